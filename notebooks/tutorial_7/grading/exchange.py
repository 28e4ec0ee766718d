"""nbgrader's exchange, with nobody able to hand in under another's name.

`CollectByOwner` takes the owner of a folder for the student and not the name that the folder
claims, copies plain files of that owner only, and goes on when one submission cannot be collected.
`ReleaseToOwners` releases feedback to all who used the exchange, whoever handed in otherwise.
"""

import os
import pwd
import re
import shutil
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nbgrader.api import Gradebook, MissingEntry
from nbgrader.exchange.default import ExchangeCollect, ExchangeReleaseFeedback
from nbgrader.utils import parse_utc
from traitlets import Bool, Integer

RECORDS = ("timestamp.txt", "submission_secret.txt")  # which nbgrader writes beside the notebook
NAME = re.compile(r"[a-z_][a-z0-9_.-]*", re.IGNORECASE)


class Refused(OSError):
    """A submission, or a file of it, that is not collected; the message says why."""


class CollectByOwner(ExchangeCollect):
    """Collect each owner's newest submission; name what is refused, and touch nobody else's."""

    trust_names = Bool(
        False,
        help=(
            "believe the time in a folder's name. Without it, a time that differs from that of the"
            " file by more than ten minutes counts for nothing. Set it after a backup of the"
            " exchange was restored, which makes all files new."
        ),
    ).tag(config=True)
    most_bytes = Integer(50 * 2**20, help="of one notebook; larger ones are refused").tag(
        config=True
    )

    def init_src(self):
        """Find the submissions of each owner, the newest first."""
        self.inbound_path = os.path.join(self.root, self.coursedir.course_id, "inbound")
        if not os.path.isdir(self.inbound_path):
            self.fail(f"Course not found: {self.inbound_path}")
        self.problems, records = [], {}
        for name in sorted(os.listdir(self.inbound_path)):
            try:
                record = self._record(name)
            except OSError as error:
                self._refuse(name, error)
                continue
            if record:
                records.setdefault(record["username"], []).append(record)
        due = self._due()
        self.src_records = []
        for _, own in sorted(records.items()):
            in_time = [r for r in own if due is None or r["timestamp"] <= due]
            newest_first = sorted(in_time or own, key=lambda r: r["timestamp"], reverse=True)
            self.src_records.append(newest_first)

    def _due(self):
        """The due date, where only what came before it is wanted (--before-duedate)."""
        if not self.before_duedate:
            return None
        with Gradebook(self.coursedir.db_url, self.coursedir.course_id) as gradebook:
            try:
                return gradebook.find_assignment(self.coursedir.assignment_id).duedate
            except MissingEntry:
                return None

    def _record(self, name):
        """Return what is known of a folder in the exchange; None if it is of another assignment.

        Raises OSError where it cannot be collected.
        """
        parts = name.rsplit("+", 3) if name.count("+") > 2 else name.rsplit("+", 2)
        if len(parts) < 3 or parts[1] != self.coursedir.assignment_id:
            if self.coursedir.assignment_id in name:
                raise Refused("its name is not one that nbgrader gives")
            return None
        path = os.path.join(self.inbound_path, name)
        found = os.lstat(path)
        if not stat.S_ISDIR(found.st_mode):
            raise Refused("it is no folder")
        owner = _account(found.st_uid)
        if self.coursedir.student_id not in ("*", owner):
            return None
        if parts[0] != owner:
            self.log.warning(
                "%s was made by %s and not by %s. It is collected as %s's.",
                name,
                owner,
                *[parts[0], owner],
            )
        when = self._when(name, parts[2], path)
        return {"username": owner, "filename": name, "timestamp": when, "uid": found.st_uid}

    def _when(self, name, claimed, path):
        """The time of handing in: as claimed if the file agrees, else that of the file, in UTC."""
        changed = os.lstat(os.path.join(path, self._notebook())).st_ctime
        changed = datetime.fromtimestamp(changed, UTC).replace(tzinfo=None)
        try:
            when = parse_utc(claimed).replace(tzinfo=None)
        except (ValueError, OverflowError, AttributeError):
            self.log.warning("%s: no time can be read in its name; its file's counts.", name)
            return changed
        if not self.trust_names and abs(when - changed) > timedelta(minutes=10):
            self.log.warning(
                "%s: its name says %s, its file %s UTC. The file's time counts.",
                name,
                f"{when:%Y-%m-%d %H:%M}",
                f"{changed:%Y-%m-%d %H:%M}",
            )
            return changed
        return when

    def _notebook(self):
        return f"{self.coursedir.assignment_id}.ipynb"

    def copy_files(self):
        """Copy all submissions, each in one step, and name at the end what was not collected."""
        done = dict.fromkeys(("new", "newer", "known"), 0)
        for newest_first in self.src_records:
            for record in newest_first:
                try:
                    done[self._collect(record)] += 1
                    break
                except Refused as error:  # the one before may be as it should be
                    self._refuse(record["filename"], error)
                except OSError as error:
                    self._refuse(record["filename"], error)
                    break
        self.log.info(
            "%d collected for the first time, %d handed in again, %d known before, %d refused.",
            *done.values(),
            len(self.problems),
        )

    def _refuse(self, name, error):
        self.problems.append(name)
        self.log.error("Not collected: %s: %s", name, error.strerror or error)

    def _collect(self, record):
        student, when = record["username"], record["timestamp"]
        target = Path(
            self.coursedir.format_path(
                self.coursedir.submitted_directory, student, self.coursedir.assignment_id
            )
        )
        if target.is_dir():
            before = self.coursedir.get_existing_timestamp(str(target))
            if before is not None and not when > before.replace(tzinfo=None):
                return "known"
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = target.with_name(f".{target.name}.part")
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        try:
            self._copy(os.path.join(self.inbound_path, record["filename"]), scratch, record["uid"])
            (scratch / "timestamp.txt").write_text(f"{when:%Y-%m-%d %H:%M:%S.%f} UTC")
            again = target.exists()
            shutil.rmtree(target, ignore_errors=True)
            scratch.rename(target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        self.log.info("%s: %s", student, record["filename"])
        return "newer" if again else "new"

    def _copy(self, source, target, owner):
        """Copy the notebook and nbgrader's records; name all else. No link is followed."""
        folder = os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if os.fstat(folder).st_uid != owner:
                raise Refused("it changed hands while it was collected")
            wanted = (self._notebook(), *RECORDS)
            for name in wanted:
                try:
                    content = _read(folder, name, owner, self.most_bytes)
                except FileNotFoundError:
                    if name not in RECORDS:
                        raise Refused(f"there is no {name} in it") from None
                    continue
                (target / name).write_bytes(content)
            others = [name for name in os.listdir(folder) if name not in wanted]
            if others:
                self.log.warning("%s: left there: %s", source, ", ".join(sorted(others))[:300])
        finally:
            os.close(folder)


def _account(uid):
    """The name of the account with this number. Raises Refused if there is none that can be one."""
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        raise Refused(f"its owner, {uid}, has no account") from None
    if not NAME.fullmatch(name):
        raise Refused(f"its owner's name, {name!r}, is no name of a student")
    return name


def _read(folder, name, owner, most):
    """The content of a plain file of `owner` in an open folder. Raises Refused for all else."""
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Refused(f"{name} is no plain file that can be read ({error.strerror})") from None
    with os.fdopen(file, "rb") as opened:
        found = os.fstat(opened.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise Refused(f"{name} is no plain file")
        if found.st_uid != owner:
            raise Refused(f"{name} belongs to somebody else")
        if found.st_size > most:
            raise Refused(f"{name} is larger than {most >> 20} MB")
        return opened.read(most)


class ReleaseToOwners(ExchangeReleaseFeedback):
    """Release feedback to all who handed in through the exchange, and name who did not."""

    def copy_files(self):
        pattern = Path(self.src_path)
        folders = pattern.parent.parent.glob(f"{pattern.parent.name}/{pattern.name}")
        elsewhere = sorted(
            folder.parent.name
            for folder in folders
            if not all((folder / record).is_file() for record in RECORDS)
        )
        if elsewhere:
            self.log.warning(
                "Not handed in through the exchange, so send them feedback/…/*.html yourself: %s",
                ", ".join(elsewhere),
            )
        excluded = [self.coursedir.student_id_exclude, *elsewhere]
        self.coursedir.student_id_exclude = ",".join(filter(None, excluded))
        super().copy_files()
