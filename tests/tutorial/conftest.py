"""A class that is collected and graded once, for all tests that look at it."""

import pytest

from tests.tutorial import classroom


@pytest.fixture(scope="session")
def graded(tmp_path_factory, request):
    """The course root after all commands of the lecturers' page (classroom.Graded).

    The whole class is graded if a test of the long matrix asks for it, else `classroom.FIRST`.
    """
    items = request.session.items  # a notebook's cell has no fixtures
    asking = [item for item in items if "graded" in getattr(item, "fixturenames", ())]
    everybody = classroom.students()
    if not any(item.get_closest_marker("matrix") for item in asking):
        everybody = {name: everybody[name] for name in classroom.FIRST}
    return classroom.grade(tmp_path_factory.mktemp("graded"), everybody)
