"""Explorers that compute in Python (ipywidgets), one module a notebook, on one `shell`.

What a browser computes itself is `lecture_utils.playground`; `toy` has its formulas in Python.
"""
