"""What takes long and waits for no other test: started with the first test, beside the others."""

from concurrent.futures import ThreadPoolExecutor

import pytest


def grade(folder):
    import test_tutorial  # here, because this module is imported before the folder of the tests can be

    return test_tutorial.grade(folder)


def build(folder):
    import book_site

    return book_site.build(folder)


@pytest.fixture(scope="session", autouse=True)
def started(request, tmp_path_factory):
    """A future of each slow job that a collected test asks for: {the fixture that waits for it: future}.

    One after the other, in a thread of their own: one process alone does not keep two cores busy.
    """
    jobs = {"graded": grade, "built": build}
    asked = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    with ThreadPoolExecutor(1) as pool:
        futures = {name: pool.submit(job, tmp_path_factory.mktemp(name)) for name, job in jobs.items() if name in asked}
        yield futures
        pool.shutdown(cancel_futures=True)  # after a run that was stopped early


@pytest.fixture(scope="session")
def graded(started):
    """The graded submissions (test_tutorial.Graded)."""
    return started["graded"].result()


@pytest.fixture(scope="session")
def built(started):
    """The folder that the web edition was built in, and the finished process that built it."""
    return started["built"].result()


@pytest.fixture(scope="session")
def site(built):
    """The folder with the pages of the web edition."""
    folder, process = built
    assert process.returncode == 0, process.stderr
    return folder / "html"
