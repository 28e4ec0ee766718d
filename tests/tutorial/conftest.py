"""A class that is collected and graded once, for all tests that look at it."""

import pytest

from tests.tutorial import classroom


@pytest.fixture(scope="session")
def graded(tmp_path_factory):
    """The course root after all commands of the lecturers' page (classroom.Graded)."""
    return classroom.grade(tmp_path_factory.mktemp("graded"))
