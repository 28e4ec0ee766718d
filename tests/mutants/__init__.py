"""Injured formulas and models, and models by others: `make test-mutants`."""
