"""Unit tests: one file a module of lecture_utils."""
