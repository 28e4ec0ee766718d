"""Tests that read the committed notebooks. (`pytest --nbval` runs them.)"""
