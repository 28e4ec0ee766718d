"""Collecting from nbgrader's exchange: whose folder is it, what is copied, who is refused."""

import logging
import os
import pwd
import time
from datetime import UTC, datetime, timedelta

import pytest
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config

import tests.tutorial.cases  # noqa: F401  (puts the course root on the path)

# Of the course root.
from grading import exchange  # isort: skip

if os.getuid() != 0:
    pytest.skip("Files of other users can only be made by root.", allow_module_level=True)

USERS = {"ada": 71001, "mallory": 71002, "zoe": 71003}
NOTEBOOK = "tutorial_7.ipynb"


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A function that collects; the exchange is at `.inbound`, what was collected at `.got`."""

    def account(uid):
        names = {number: name for name, number in USERS.items()}
        return (
            pwd.struct_passwd((names[uid], "x", uid, uid, "", "/", "")) if uid in names else {}[0]
        )

    monkeypatch.setattr(exchange.pwd, "getpwuid", account)
    return Course(tmp_path)


class Course:
    def __init__(self, root):
        self.root, self.inbound = root / "course", root / "exchange" / "lecture_11" / "inbound"
        for folder in (self.root, self.inbound):
            folder.mkdir(parents=True)
        (root / "exchange").chmod(0o1777)
        self.exchange, self.lines = root / "exchange", []

    def collect(self, **options):
        """Collect everything, as `nbgrader collect tutorial_7`; keep what was logged in `lines`."""
        coursedir = CourseDirectory(
            root=str(self.root), course_id="lecture_11", assignment_id="tutorial_7"
        )
        log = logging.getLogger("collect")
        log.setLevel(logging.INFO)
        handler = logging.Handler()
        handler.emit = lambda record: self.lines.append(record.getMessage())
        log.handlers = [handler]
        config = Config({"Exchange": {"root": str(self.exchange)}, "CollectByOwner": options})
        exchange.CollectByOwner(coursedir=coursedir, config=config, log=log).start()

    def got(self):
        """{student: content of the notebook} of all that was collected."""
        found = (self.root / "submitted").glob(f"*/tutorial_7/{NOTEBOOK}")
        return {path.parent.parent.name: path.read_text() for path in found}

    def said(self, *words):
        return any(all(word in line for word in words) for line in self.lines)

    def hand_in(self, owner, content, name=None, when=None, random="AbC"):
        """Put a folder into the exchange as `owner` would; return it."""
        when = when or f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f} UTC"
        folder = self.inbound / f"{name or owner}+tutorial_7+{when}+{random}"
        folder.mkdir()
        (folder / NOTEBOOK).write_text(content)
        (folder / "timestamp.txt").write_text(when)
        (folder / "submission_secret.txt").write_text(f"secret of {owner}")
        for path in (folder, *folder.iterdir()):
            os.chown(path, USERS.get(owner, 79999), 0)
        return folder


def test_honest_submissions_are_collected_with_time_and_secret(course):
    course.hand_in("ada", "ada's")
    course.hand_in("zoe", "zoe's")
    course.collect()
    assert course.got() == {"ada": "ada's", "zoe": "zoe's"}
    kept = course.root / "submitted" / "ada" / "tutorial_7"
    assert (kept / "submission_secret.txt").read_text() == "secret of ada"
    assert course.said("2 collected for the first time", "0 refused")


def test_a_folder_in_anothers_name_is_its_owners(course):
    course.hand_in("ada", "ada's")
    course.hand_in("mallory", "forged", name="ada", random="later")
    course.collect()
    assert course.got() == {"ada": "ada's", "mallory": "forged"}
    assert course.said("ada+tutorial_7", "was made by mallory and not by ada")


@pytest.mark.parametrize("when", ["nonsense", "9999-99-99", "", "../../x", "2027-01-01 +", "\x07"])
def test_a_nonsense_time_counts_for_nothing_and_stops_nobody(course, when):
    course.hand_in("ada", "ada's", when=when.replace("/", "_"))
    course.hand_in("zoe", "zoe's")
    course.collect()
    assert course.got()["zoe"] == "zoe's"
    if "+" not in when:
        stamp = course.root / "submitted" / "ada" / "tutorial_7" / "timestamp.txt"
        age = (
            time.time()
            - datetime.fromisoformat(stamp.read_text().replace(" UTC", "+00:00")).timestamp()
        )
        assert 0 <= age < 60
    assert course.said("ada+tutorial_7")


def test_late_work_does_not_become_early_by_its_name(course):
    early = datetime.now(UTC) - timedelta(days=3)
    course.hand_in("mallory", "late", when=f"{early:%Y-%m-%d %H:%M:%S.%f} UTC")
    course.collect()
    stamp = (course.root / "submitted" / "mallory" / "tutorial_7" / "timestamp.txt").read_text()
    assert f"{early:%Y-%m-%d}" not in stamp and course.said("The file's time counts")


def test_after_a_restored_backup_names_can_be_trusted(course):
    course.hand_in("ada", "ada's", when="2026-01-02 03:04:05.0 UTC")
    course.collect(trust_names=True)
    stamp = (course.root / "submitted" / "ada" / "tutorial_7" / "timestamp.txt").read_text()
    assert stamp.startswith("2026-01-02 03:04:05")


def test_the_newest_counts_and_is_collected_again_only_if_newer(course):
    def at(minutes):
        return f"{datetime.now(UTC) - timedelta(minutes=minutes):%Y-%m-%d %H:%M:%S.%f} UTC"

    course.hand_in("ada", "second", when=at(4))
    course.hand_in("ada", "first", when=at(6))
    course.collect()
    course.collect()
    assert course.got() == {"ada": "second"} and course.said("1 known before")
    course.hand_in("ada", "third", when=at(2))
    course.collect()
    assert course.got() == {"ada": "third"} and course.said("1 handed in again")


def _link_to_the_gradebook(course, folder):
    (course.root / "gradebook.db").write_text("points")
    (folder / NOTEBOOK).unlink()
    (folder / NOTEBOOK).symlink_to(course.root / "gradebook.db")
    os.chown(folder / NOTEBOOK, USERS["mallory"], 0, follow_symlinks=False)


def _a_neighbours_file(course, folder):
    (folder / NOTEBOOK).unlink()
    ada = next(course.inbound.glob("ada+*"))
    os.link(ada / NOTEBOOK, folder / NOTEBOOK)


def _a_pipe(course, folder):
    (folder / NOTEBOOK).unlink()
    os.mkfifo(folder / NOTEBOOK)
    os.chown(folder / NOTEBOOK, USERS["mallory"], 0)


def _nothing(course, folder):
    (folder / NOTEBOOK).unlink()


def _a_folder(course, folder):
    (folder / NOTEBOOK).unlink()
    (folder / NOTEBOOK).mkdir()


def _huge(course, folder):
    with open(folder / NOTEBOOK, "wb") as file:
        file.truncate(2**40)


def _the_folder_a_link(course, folder):
    ada = next(course.inbound.glob("ada+*"))
    folder.rename(folder.with_name("moved"))
    folder.symlink_to(ada)


@pytest.mark.parametrize(
    "spoil",
    [
        _link_to_the_gradebook,
        _a_neighbours_file,
        _a_pipe,
        _nothing,
        _a_folder,
        _huge,
        _the_folder_a_link,
    ],
)
def test_what_is_no_notebook_of_the_owner_is_named_and_costs_nobody_else(course, spoil):
    course.hand_in("ada", "ada's")
    spoil(course, course.hand_in("mallory", "mine"))
    course.hand_in("zoe", "zoe's")
    course.collect()
    assert course.got() == {"ada": "ada's", "zoe": "zoe's"}
    assert course.said("Not collected: mallory+tutorial_7")


def test_behind_a_refused_one_the_student_s_last_good_one_counts(course):
    course.hand_in("mallory", "good")
    spoilt = course.hand_in("mallory", "newer", random="later")
    os.utime(spoilt / NOTEBOOK)
    _link_to_the_gradebook(course, spoilt)
    course.collect()
    assert course.got() == {"mallory": "good"} and course.said("1 refused")


def test_foreign_files_and_accounts_are_named_and_left_there(course):
    folder = course.hand_in("ada", "ada's")
    (folder / "grading.py").write_text("import os")
    (course.inbound / "rubbish").mkdir()
    (course.inbound / "x+tutorial_7").write_text("")
    (course.inbound / "ada+other_course+2027-01-01+x").mkdir()
    course.hand_in("gone", "an account that was deleted")
    course.collect()
    assert course.got() == {"ada": "ada's"}
    assert course.said("left there: grading.py") and course.said("79999, has no account")
    assert not course.said("rubbish") and not course.said("other_course")


def test_a_full_disk_costs_one_submission_for_now_and_loses_none(course, monkeypatch):
    course.hand_in("ada", "first")
    course.collect()
    course.hand_in("ada", "second", random="later")
    course.hand_in("zoe", "zoe's")
    write = exchange.Path.write_bytes

    def full(path, content):
        if b"second" in content:
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(exchange.Path, "write_bytes", full)
    course.collect()
    assert course.got() == {"ada": "first", "zoe": "zoe's"}
    assert course.said("Not collected: ada+", "No space left")
    monkeypatch.undo()
    names = {number: name for name, number in USERS.items()}
    account = lambda uid: pwd.struct_passwd((names[uid], "x", uid, uid, "", "/", ""))  # noqa: E731
    monkeypatch.setattr(exchange.pwd, "getpwuid", account)
    course.collect()
    assert course.got() == {"ada": "second", "zoe": "zoe's"}


def test_feedback_goes_out_although_somebody_handed_in_another_way(course):
    for student, records in (("ada", exchange.RECORDS), ("bob", ()), ("zoe", exchange.RECORDS)):
        folder = course.root / "feedback" / student / "tutorial_7"
        folder.mkdir(parents=True)
        (folder / "tutorial_7.html").write_text(student)
        for record in records:
            (folder / record).write_text(f"{record} of {student}")
    coursedir = CourseDirectory(
        root=str(course.root), course_id="lecture_11", assignment_id="tutorial_7"
    )
    log = logging.getLogger("feedback")
    handler = logging.Handler()
    handler.emit = lambda record: course.lines.append(record.getMessage())
    log.handlers = [handler]
    config = Config({"Exchange": {"root": str(course.exchange)}})
    exchange.ReleaseToOwners(coursedir=coursedir, config=config, log=log).start()
    released = [p.read_text() for p in (course.inbound.parent / "feedback").glob("*.html")]
    assert sorted(released) == ["ada", "zoe"]
    assert course.said("Not handed in through the exchange", "bob")
