"""Grading many: several at once, on after an interruption, nobody twice and nobody left out."""

import fcntl
import subprocess
import sys
import threading
import time

import nbformat
import pytest

import tests.tutorial.cases  # noqa: F401  (puts the course root on the path)

# Of the course root.
from grading import grade  # isort: skip

NAME = "tutorial_7"


@pytest.fixture
def course(tmp_path):
    """A course root with five submissions."""
    (tmp_path / "gradebook.db").touch()
    for student in ("ada", "bob", "cara", "4711", "zoe"):
        put(tmp_path, "submitted", student)
    return tmp_path


def put(root, kind, student, when="2027-01-01 12:00:00 UTC", **metadata):
    folder = root / kind / student / NAME
    folder.mkdir(parents=True, exist_ok=True)
    book = nbformat.v4.new_notebook(metadata=metadata)
    nbformat.write(book, folder / f"{NAME}.ipynb")
    (folder / "timestamp.txt").write_text(when)
    return folder


@pytest.fixture
def nbgrader(monkeypatch, course):
    """Instead of `nbgrader autograde`: notes who is graded, how many at once, and grades."""
    seen = {"students": [], "now": 0, "most": 0}
    lock = threading.Lock()

    def run(command, **options):
        student = command[-2].split("=")[1]
        with lock:
            seen["students"].append(student)
            seen["now"] += 1
            seen["most"] = max(seen["most"], seen["now"])
        time.sleep(0.2)
        failed = student in seen.get("fail", ())
        if not failed:
            put(course, "autograded", student, **{grade.SCORED: True})
        with lock:
            seen["now"] -= 1
        return subprocess.CompletedProcess(command, failed, "", "[x | ERROR] it is no notebook\n")

    monkeypatch.setattr(grade.subprocess, "run", run)
    return seen


def test_all_are_graded_several_at_once(course, nbgrader):
    assert grade.autograde_all(grade.waiting(course), course, 3) == {}
    assert sorted(nbgrader["students"]) == ["4711", "ada", "bob", "cara", "zoe"]
    assert nbgrader["most"] == 3 and grade.waiting(course) == []


def test_one_that_cannot_be_graded_is_named_and_costs_nobody_else(course, nbgrader):
    nbgrader["fail"] = ("bob",)
    failed = grade.autograde_all(grade.waiting(course), course, 2)
    assert list(failed) == ["bob"] and "no notebook" in failed["bob"]
    assert grade.waiting(course) == ["bob"]


def test_after_an_interruption_it_goes_on(course):
    put(course, "autograded", "ada", **{grade.SCORED: True})
    put(course, "autograded", "bob")  # repaired and not yet scored: nbgrader takes it for graded
    cut = put(course, "autograded", "cara", **{grade.SCORED: True}) / f"{NAME}.ipynb"
    cut.write_text(cut.read_text()[:40])  # written half
    put(course, "autograded", "zoe", when="2027-01-01 11:00:00 UTC", **{grade.SCORED: True})
    assert grade.waiting(course) == ["4711", "bob", "cara", "zoe"]


def test_what_a_submission_claims_about_itself_is_not_believed(course):
    put(course, "submitted", "ada", **{grade.SCORED: True})
    assert "ada" in grade.waiting(course)


def test_a_second_grader_is_told_who_is_grading(course):
    refused = pytest.raises(SystemExit, match="graded already, by process")
    with grade.alone(course), refused, grade.alone(course):
        pass
    with grade.alone(course):
        pass


def test_the_lock_of_a_grader_that_was_killed_is_free(course):
    code = f"import fcntl, os; f = open({str(course / '.grading.lock')!r}, 'a+'); "
    code += "fcntl.flock(f, fcntl.LOCK_EX); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code])
    with grade.alone(course), open(course / ".grading.lock") as lock:
        refused = pytest.raises(BlockingIOError)
        with refused:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_settings_are_remembered_by_several_graders_at_once(tmp_path):
    from grading import score

    path = tmp_path / ".targets.json"
    for key in ("1 0.1", "2 0.1"):
        score._remember(path, key, -100.0)
    path_read = score._known(path)
    assert path_read == {"1 0.1": -100.0, "2 0.1": -100.0}
    path.write_text("{")  # a damaged file costs a training, no more
    assert score._known(path) == {}
    assert [p.name for p in tmp_path.iterdir()] == [".targets.json"]
