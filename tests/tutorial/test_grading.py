"""Tutorial 7 through nbgrader: the lecturers' commands, damaged and hostile submissions, what a
browser is shown."""

import contextlib
import csv
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import nbformat
import pytest

from tests.helpers import named
from tests.tutorial.answers.hostile import NOTEBOOKS, PROBE
from tests.tutorial.cases import BY_HAND, COURSE, NAME, POINTS, ROOT, cells
from tests.tutorial.classroom import FIRST, environment, shell, students

# Of the course root, which cases.py has put on the path.
from grading import collect as collecting  # isort: skip
from grading.harmless import markdown, outputs  # isort: skip
from grading.late import settle  # isort: skip
from grading.repair import _handed_out, repaired  # isort: skip

HONEST = {n: p for n, p in POINTS.items() if n not in BY_HAND}


def scores(course):
    """{student: {cell: automatic points, None where a person has to look}} from the gradebook."""
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        return {
            submission.student.id: {
                g.name: g.auto_score for notebook in submission.notebooks for g in notebook.grades
            }
            for submission in gradebook.assignment_submissions("tutorial_7")
        }


def test_the_solution_earns_full_marks_and_raises_no_warning(graded):
    earned = scores(graded.course)["ada"]
    assert {n: p for n, p in earned.items() if n not in BY_HAND} == HONEST
    assert all(earned[name] is None for name in BY_HAND), "written answers wait for a person"
    assert "Noted while grading" not in (graded.course / "autograded" / "ada" / NAME).read_text()


@pytest.mark.parametrize("student", named(students(), FIRST))
def test_each_student_gets_what_their_code_deserves_whoever_stands_before_them(graded, student):
    wanted = graded.students[student][1]
    printed = "\n".join(graded.printed.values())
    if wanted is None:
        assert (
            f"There was an error processing assignment 'tutorial_7' for student '{student}'"
            in printed
        )
    elif student != "ada":
        earned = scores(graded.course)[student]
        assert {n: p for n, p in earned.items() if p} == wanted
    assert printed.count("There was an error processing assignment 'tutorial_7'") == 1


def test_nothing_alarms_a_lecturer_without_a_cause(graded):
    printed = "\n".join(graded.printed.values())
    assert not re.findall(r"\w*Warning\b.*|.*not recognized.*", printed)


def test_what_was_changed_or_deleted_is_noted(graded):
    notes = cells_text(graded.course, "muddled")
    assert "The cell kl_checks was deleted; it was put back." in notes
    assert "The cell elbo_checks was changed; it was put back." in notes
    assert "Noted while grading" not in cells_text(graded.course, "zoe")


def cells_text(course, student):
    return "\n".join(
        c.source for c in nbformat.read(course / "autograded" / student / NAME, as_version=4).cells
    )


def test_a_written_answer_arrives_as_it_was_written(graded):
    assert "$a< b$ & so on" in cells(graded.course / "autograded" / "ada" / NAME)["claims"].source


@pytest.mark.matrix
def test_settings_that_are_too_slow_miss_the_target(graded):
    (output,) = [
        o.text
        for o in cells(graded.course / "autograded" / "idle" / NAME)["target_checks"].outputs
        if "text" in o
    ]
    assert "hardly learned" in output


def test_marks_tell_a_zero_from_what_was_not_graded(graded):
    table = {row["student"]: row for row in csv.DictReader((graded.course / "marks.csv").open())}
    assert (
        table["absent"]["state"] == "nothing handed in"
        and table["garbled"]["state"] == "not graded"
    )
    assert (
        table["ada"]["state"] == "written answers not graded"
        and float(table["ada"]["points"]) == 90
    )
    assert (
        table["zoe"]["state"] in ("graded", "written answers not graded")
        and table["muddled"]["look_at"] == "yes"
    )


def give_by_hand(course, student, points):
    """Give these points, {cell: points}, as the formgrader does."""
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        for name, score in points.items():
            grade = gradebook.find_grade(name, "tutorial_7", "tutorial_7", student)
            grade.manual_score, grade.needs_manual_grade = score, False
        gradebook.db.commit()


def row_of(course, student):
    """The student's row of the marks, made anew."""
    shell(f"{sys.executable} grading/marks.py", course)
    with (course / "marks.csv").open() as file:
        return next(row for row in csv.DictReader(file) if row["student"] == student)


@pytest.mark.matrix
def test_late_work_loses_its_share_of_all_points_once(graded, tmp_path):
    content = graded.students["zoe"][0]
    with zipfile.ZipFile(tmp_path / "again.zip", "w") as archive:
        archive.writestr("zoe/tutorial_7.ipynb", content + b"\n")
    done = shell(
        f"{sys.executable} grading/collect.py {tmp_path / 'again.zip'}"
        ' --handed-in "2027-02-02 12:00 UTC"',
        graded.course,
    )
    assert "handed in again" in done.stdout
    shell("nbgrader autograde tutorial_7 --student=zoe", graded.course)
    assert float(row_of(graded.course, "zoe")["late"]) == pytest.approx(-0.2 * 24)  # 2 days begun
    give_by_hand(graded.course, "zoe", {"claims": 4, "generating": 2})
    shell("nbgrader generate_feedback tutorial_7 --student=zoe --force", graded.course)
    page = (graded.course / "feedback" / "zoe" / "tutorial_7" / "tutorial_7.html").read_text()
    assert "Late submission penalty (Score: -6.0)" in page and "Score: 24.0 / 100.0" in page
    for again in ("", "nbgrader autograde tutorial_7 --student=zoe --force", ""):
        if again:
            shell(again, graded.course)
            give_by_hand(graded.course, "zoe", {"claims": 4, "generating": 2})  # "Resolve"
        row = row_of(graded.course, "zoe")
        assert (row["state"], row["points"], row["late"], row["mark"]) == (
            "graded",
            "30",
            "-6",
            "24",
        )
    assert scores(graded.course)["zoe"]["kl_checks"] == 8


DUE = datetime(2027, 1, 31, 23, 59)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A course root with a gradebook of one assignment of two cells, 50 points each."""
    from nbgrader.api import Gradebook

    root = tmp_path_factory.mktemp("small")
    shutil.copytree(COURSE / "grading", root / "grading")
    shutil.copy(COURSE / "nbgrader_config.py", root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", environment()["PATH"])  # a new gradebook calls alembic
        with Gradebook(f"sqlite:///{root / 'gradebook.db'}") as gradebook:
            gradebook.add_assignment("tutorial_7", duedate=DUE)
            gradebook.add_notebook("tutorial_7", "tutorial_7")
            for cell, kind in {"kl_checks": "code", "claims": "markdown"}.items():
                about = {"max_score": 50, "cell_type": kind}
                gradebook.add_grade_cell(cell, "tutorial_7", "tutorial_7", **about)
    return root


@pytest.mark.parametrize(
    ("days", "share"), [(-1, 0), (0, 0), (0.01, 0.1), (1, 0.1), (1.5, 0.2), (9.5, 1), (30, 1)]
)
def test_the_share_is_of_what_stands_in_the_gradebook_and_nobody_is_reduced_twice(
    days, share, small
):
    from nbgrader.api import Gradebook

    student, address = f"zoe {days}", f"sqlite:///{small / 'gradebook.db'}"
    with Gradebook(address) as gradebook:
        gradebook.add_student(student)
        gradebook.add_submission("tutorial_7", student, timestamp=DUE + timedelta(days=days))
        gradebook.find_grade("kl_checks", "tutorial_7", "tutorial_7", student).auto_score = 20
        gradebook.db.commit()

    def lost():
        with Gradebook(address) as gradebook:
            submission = gradebook.find_submission("tutorial_7", student)
            return submission.score, submission.late_submission_penalty

    for _ in range(3):
        settle(small, "tutorial_7", [student])
        assert lost() == pytest.approx((20, 20 * share))
    give_by_hand(small, student, {"claims": 10})
    for _ in range(3):
        settle(small, "tutorial_7", [student])
        assert lost() == pytest.approx((30, 30 * share))


@pytest.mark.parametrize("path", [COURSE, ROOT / "deploy"])
def test_validating_gives_a_slow_machine_time_to_train(path):
    from traitlets.config import PyFileConfigLoader

    config = PyFileConfigLoader("nbgrader_config.py", path=str(path)).load_config()
    assert config.Execute.timeout >= 600


# --- Collecting


def test_names_of_learning_platforms():
    read = {
        path: collecting.student_of(path)
        for path in (
            "x/Ada Lovelace_4711_assignsubmission_file_/tutorial_7.ipynb",
            "x/lovelaceada_LATE_4711_99_tutorial_7-2.ipynb",
            "submitted/judy/tutorial_7.ipynb",
            "alice_4711_file_tutorial_7.ipynb",
            "tutorial_7.ipynb",
            "Zoë <script>_12_assignsubmission_file_/a.ipynb",
        )
    }
    assert list(read.values()) == [
        "ada_lovelace_4711",
        "lovelaceada_4711",
        "judy",
        "alice_4711_file",
        None,
        "zoe_script_12",
    ]


def test_nothing_that_is_damaged_costs_anybody_else(tmp_path):
    good = b'{"cells": []}'
    with zipfile.ZipFile(tmp_path / "inner.zip", "w") as archive:
        archive.writestr("dora/tutorial_7.ipynb", good)
    damaged = (tmp_path / "inner.zip").read_bytes()[:40]
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("carol/tutorial_7.ipynb", good)
        archive.writestr("broken.zip", damaged)
        archive.writestr("inner.zip", (tmp_path / "inner.zip").read_bytes())
        archive.writestr("carol/tutorial_7 (2).ipynb", good + b" ")
        archive.writestr("../../outside/tutorial_7.ipynb", good)
        archive.writestr("tutorial_7.ipynb", good)
    messages, problems = collecting.collect(
        [tmp_path / "all.zip", tmp_path / "absent.zip"], tmp_path / "course"
    )
    assert sorted(p.name for p in (tmp_path / "course" / "submitted").iterdir()) == [
        "all",
        "carol",
        "dora",
        "outside",
    ]
    assert any("carol: 2 notebooks; the newest was taken" in m for m in messages)
    assert any("broken.zip: the archive is damaged" in p for p in problems) and any(
        "absent.zip" in p for p in problems
    )
    assert len(problems) == 2 and not (tmp_path / "outside").exists()


def archive_of(path, *entries):
    """Write {name, time, content} of a zip archive."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, when, content in entries:
            archive.writestr(zipfile.ZipInfo(name, (*when, 12, 0, 0)), content)
    return path


def stamp(course, student):
    return (course / "submitted" / student / "tutorial_7" / "timestamp.txt").read_text()


def test_the_time_of_a_download_makes_nobody_late(tmp_path):
    """Moodle writes it into its archives."""
    course, time = tmp_path / "course", collecting.time_of("2027-01-31 23:59 UTC")
    moodle = "Ada Lovelace_4711_assignsubmission_file_/tutorial_7.ipynb"
    canvas = "doeberta_LATE_4712_99_tutorial_7.ipynb"
    download = archive_of(
        tmp_path / "all.zip", (moodle, (2027, 2, 9), b"{}"), (canvas, (2027, 2, 9), b"{}")
    )
    with pytest.raises(collecting.TimeNeeded, match="Nothing was collected"):
        collecting.collect([download], course)
    assert not course.exists()
    messages, problems = collecting.collect([download], course, time)
    assert not problems and stamp(course, "ada_lovelace_4711") == "2027-01-31 23:59:00+00:00"
    assert any("doeberta_4712: late, says Canvas" in message for message in messages)
    # What a lecturer writes stays, and is read.
    (course / "submitted" / "doeberta_4712" / "tutorial_7" / "timestamp.txt").write_text(
        "2027-02-02 10:00:00 UTC\n"
    )
    later = archive_of(
        tmp_path / "later.zip", (moodle, (2027, 2, 9), b"{ }"), (canvas, (2027, 2, 9), b"{}")
    )
    messages, _ = collecting.collect([later], course, collecting.time_of("2027-02-03 12:00 UTC"))
    assert any(moodle in m and "graded anew" in m for m in messages)
    assert stamp(course, "ada_lovelace_4711") == "2027-02-03 12:00:00+00:00"
    assert stamp(course, "doeberta_4712") == "2027-02-02 10:00:00 UTC\n"
    collecting.collect([later], course, collecting.FILE)
    assert stamp(course, "ada_lovelace_4711") == "2027-02-03 12:00:00+00:00"


def test_of_two_downloads_with_one_time_the_later_counts_and_is_graded(tmp_path):
    course, time = tmp_path / "course", collecting.time_of("2027-01-31 23:59 UTC")
    for n in range(2):
        download = archive_of(
            tmp_path / f"{n}.zip",
            ("Ada_4711_assignsubmission_file/a.ipynb", (2027, 2, 9), b"{%d}" % n),
            ("Bob_4712_assignsubmission_file/a.ipynb", (2027, 2, 9), b"{}"),
        )
        messages, _ = collecting.collect([download], course, time)
        for student in ("ada_4711", "bob_4712"):
            handed_in = course / "submitted" / student / "tutorial_7"
            if not n:  # as if it was graded
                shutil.copytree(handed_in, course / "autograded" / student / "tutorial_7")
    assert messages[-1].startswith("0 new, 1 handed in again, 1 as before")
    handed_in = course / "submitted" / "ada_4711" / "tutorial_7" / "tutorial_7.ipynb"
    assert handed_in.read_bytes() == b"{1}"
    graded = [path.parent.name for path in course.glob("autograded/*/tutorial_7")]
    assert graded == ["bob_4712"]


def test_an_earlier_time_of_the_same_notebook_mends_a_wrong_one(tmp_path):
    course, download = tmp_path / "course", tmp_path / "all.zip"
    archive_of(download, ("Ada_4711_assignsubmission_file/a.ipynb", (2027, 2, 9), b"{}"))
    collecting.collect([download], course, collecting.FILE)
    messages, _ = collecting.collect([download], course, collecting.time_of("2027-01-31 23:59"))
    assert any("earlier than was known" in message for message in messages)
    assert stamp(course, "ada_4711") == "2027-01-31 23:59:00+00:00"


def test_times_that_are_none(tmp_path):
    course, download = tmp_path / "course", tmp_path / "all.zip"
    archive_of(download, ("ada/tutorial_7.ipynb", (2027, 1, 9), b"{}"))
    content = download.read_bytes()  # in the two headers: day, month and year in two bytes
    date = ((2027 - 1980) << 9 | 1 << 5 | 9).to_bytes(2, "little")
    assert content.count(date) == 2
    download.write_bytes(content.replace(date, b"\0\0"))
    messages, problems = collecting.collect([download], course)
    assert not problems and messages[-1].startswith("1 new")
    (course / "submitted" / "ada" / "tutorial_7" / "timestamp.txt").write_text("yesterday")
    archive_of(tmp_path / "new.zip", ("ada/tutorial_7.ipynb", (2027, 1, 9), b"{ }"))
    _, problems = collecting.collect([tmp_path / "new.zip"], course)
    assert len(problems) == 1 and "'yesterday' is no time" in problems[0]


def test_an_archive_holds_the_local_time_of_its_maker(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        archive_of(tmp_path / "all.zip", ("ada/tutorial_7.ipynb", (2027, 1, 9), b"{}"))
        collecting.collect([tmp_path / "all.zip"], tmp_path / "course")
        assert stamp(tmp_path / "course", "ada") == "2027-01-09 06:30:00+00:00"
    finally:
        monkeypatch.undo()
        time.tzset()


# --- Damaged notebooks


@pytest.fixture(scope="module")
def handed_out(graded):
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{graded.course / 'gradebook.db'}") as gradebook:
        return _handed_out(gradebook.find_notebook("tutorial_7", "tutorial_7"))


EASILY_MET = ["split-answer", "split-text", "ids-a-list", "cell-without-source", "widget-state"]


@pytest.mark.parametrize("name", named(NOTEBOOKS, EASILY_MET))
def test_any_damaged_notebook_is_repaired_or_refused(name, handed_out):
    from nbgrader.nbgraderformat import MetadataValidator

    book = json.loads(nbformat.writes(nbformat.read(COURSE / "release" / NAME, as_version=4)))
    changed = NOTEBOOKS[name](book)
    if isinstance(changed, bytes) or not isinstance(book["cells"], list) or book["nbformat"] != 4:
        return  # nbgrader refuses it, and names it at the end: see the student `garbled`
    kept, _ = repaired(book["cells"], handed_out)
    found = [c.metadata.nbgrader.grade_id for c in kept if "nbgrader" in c.metadata]
    assert len(found) == len(set(found)) and set(found) >= set(POINTS)
    notebook = nbformat.v4.new_notebook(cells=kept)
    MetadataValidator().validate_nb(notebook)
    text = json.dumps(
        [markdown(c.source) if c.cell_type == "markdown" else outputs(c.outputs) for c in kept]
    )
    for part in (
        "<script",
        "<img",
        "<svg",
        "<iframe",
        "<style",
        "<meta",
        "javascript:",
        'onerror=\\"' if "<img" in text else "<x",
    ):
        assert part not in text


# --- What a browser runs


@contextlib.contextmanager
def formgrader(course):
    """The address of a Jupyter server with the formgrader, as a lecturer starts it in the course
    root."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "jupyter",
        "server",
        "--no-browser",
        "--allow-root",
        f"--port={port}",
        "--IdentityProvider.token=",
        "--ServerApp.password=",
        "--ServerApp.disable_check_xsrf=True",
        "--ServerApp.jpserver_extensions={'nbgrader.server_extensions.formgrader': True}",
    ]
    process = subprocess.Popen(
        command,
        cwd=course,
        env=environment() | {"JUPYTER_CONFIG_DIR": str(course)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{address}/api", timeout=5)
                break
            time.sleep(0.5)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_no_script_of_a_submission_runs_in_the_formgrader_or_the_feedback(graded):
    from nbconvert import HTMLExporter
    from nbgrader.api import Gradebook

    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        required = os.environ.get("LECTURE_REQUIRE_BROWSER")
        (pytest.fail if required else pytest.skip)("This test needs Chromium or Chrome.")
    with Gradebook(f"sqlite:///{graded.course / 'gradebook.db'}") as gradebook:
        submission = gradebook.find_submission_notebook("tutorial_7", "tutorial_7", "mallory").id
    unsafe, _ = HTMLExporter().from_filename(str(graded.course / "submitted" / "mallory" / NAME))
    (graded.course / "unsafe.html").write_text(unsafe)
    # In a thread of its own: another test's Playwright may still be open in this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(look_as_a_lecturer, graded.course, submission, program).result()


def look_as_a_lecturer(course, submission, program):
    """Open the probes, the formgrader and the feedback in a browser: only the probes run."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, formgrader(course) as address:
        browser = playwright.chromium.launch(args=["--no-sandbox"], executable_path=program)
        page = browser.new_page()

        def ran(path):
            page.goto(address + path, wait_until="load", timeout=120_000)
            page.wait_for_timeout(1500)
            return page.title() == "ran" or page.evaluate("document.body.dataset.ran || ''") != ""

        assert ran("/files/unsafe.html"), "the probes themselves do not work"
        assert not ran(f"/formgrader/submissions/{submission}/")
        assert "Noted" not in page.content() or PROBE not in page.evaluate(
            "[...document.scripts].map(s => s.text).join()"
        )
        assert "An answer." in page.inner_text("body")
        assert not ran("/files/feedback/mallory/tutorial_7/tutorial_7.html")
        browser.close()
