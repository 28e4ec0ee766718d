"""Tests of what a reader sees in a browser. A package, so that its conftest is not taken for the
one at the root.
"""
