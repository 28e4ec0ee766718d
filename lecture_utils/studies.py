"""The former name of `records`; notebook 03 still asks for it."""

from lecture_utils.records import load as load_study

__all__ = ["load_study"]
