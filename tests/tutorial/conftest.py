"""A class that is collected and graded once, for all tests that look at it."""

import pytest


@pytest.fixture(scope="session")
def graded(tmp_path_factory):
    """The course root after all commands of the lecturers' page (classroom.Graded)."""
    from classroom import grade  # here, because this folder is on the path only once its tests are collected

    return grade(tmp_path_factory.mktemp("graded"))
