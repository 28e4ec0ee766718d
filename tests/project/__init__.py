"""Tests of what stands around the package: dependencies, commands, benchmarks, the web edition."""
