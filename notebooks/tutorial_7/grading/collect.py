"""Put what a learning platform hands out under submitted/STUDENT/tutorial_7/, each student's
newest notebook, nobody lost.

usage: python grading/collect.py DOWNLOADED... [--handed-in TIME]     (files, folders or zip
archives; run in the course root)

Read are the names that Moodle, Canvas and plain folders give:
    Ada Lovelace_4711_assignsubmission_file_/tutorial_7.ipynb     Moodle: student ada_lovelace_4711
    lovelaceada_LATE_4711_99_tutorial_7-2.ipynb                   Canvas: student lovelaceada_4711
    ada/tutorial_7.ipynb     ada_tutorial_7.ipynb                 a folder or a file: student ada

Platforms write the time of the download into their archives, which would make everybody late. So
where names are theirs, TIME is needed: until when these notebooks were handed in, for example
"2027-01-31 23:59 UTC"; or "file", if the times of the files are right.
"""

import argparse
import io
import re
import shutil
import sys
import unicodedata
import zipfile
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import NamedTuple

NAME = "tutorial_7"
MOST_BYTES = 50 * 2**20  # of one notebook; what is larger is no notebook of this tutorial
MOST_DEPTH = 3  # archives inside archives
FILE = "file"  # instead of a time: that of each file
SAID = {
    "resubmitted": "handed in again; it will be graded anew",
    "earlier": "was handed in earlier than was known; if it is graded, grade it with --force",
    "older": "is not newer than what is there, by its time; left as it was",
}

MOODLE = re.compile(r"^(?P<name>[^_/]+)_(?P<id>\d+)_assignsubmission_(?:file|onlinetext)_?$")
CANVAS = re.compile(r"^(?P<name>[^_/]+)_(?:LATE_)?(?P<id>\d+)_\d+_.*\.ipynb$")
PLAIN = re.compile(rf"^(?P<name>.+?)[_-]+{NAME}.*\.ipynb$")


class TimeNeeded(ValueError):
    """The times of the files are those of a download; the message says what to do."""


class Found(NamedTuple):
    """A notebook that was handed in, `when` its file says."""

    student: str
    when: datetime
    path: str
    content: bytes


def student_of(path: str) -> str | None:
    """Return the student's name in the gradebook, read from the path of a notebook; None if there
    is none in it."""
    parts = PurePosixPath(path).parts
    for part in reversed(parts[:-1]):
        if match := MOODLE.match(part):
            return plain(f"{match['name']}_{match['id']}")
    if match := CANVAS.match(parts[-1]):
        return plain(f"{match['name']}_{match['id']}")
    if (match := PLAIN.match(parts[-1])) and match["name"].lower() not in ("copy of", "solution"):
        return plain(match["name"])
    folders = [
        part
        for part in parts[:-1]
        if part not in (NAME, "submitted", "archive", "downloaded", ".", "/")
    ]
    return plain(folders[-1]) if folders else None


def of_platform(path: str) -> bool:
    """Whether a path is one that Moodle or Canvas gives."""
    *folders, name = PurePosixPath(path).parts
    return any(map(MOODLE.match, folders)) or bool(CANVAS.match(name))


def time_of(text: str) -> datetime | str:
    """Read a time, UTC where it names no other zone, or the word "file". Raises
    argparse.ArgumentTypeError."""
    if text == FILE:
        return FILE
    try:
        when = datetime.fromisoformat(re.sub(r" ?(UTC|Z)$", "+00:00", text.strip()))
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f'{text!r} is no time, such as "2027-01-31 23:59 UTC"'
        ) from error
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def plain(name: str) -> str:
    """Return a name that is safe as a folder and on a web page: letters without accents, digits, _
    and -."""
    text = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    text = re.sub(r"[^A-Za-z0-9-]+", "_", text).strip("_-").lower()
    return text or "unnamed_" + name.encode().hex()[:12]


def notebooks(path: Path, problems: list[str]):
    """Yield each notebook in a file, folder or archive; what cannot be read becomes a line in
    `problems`."""
    if path.is_dir():
        for inner in sorted(p for p in path.rglob("*") if p.is_file() and not p.is_symlink()):
            yield from _from_file(inner, str(inner.relative_to(path.parent)), problems)
    elif path.is_file():
        yield from _from_file(path, path.name, problems)
    else:
        problems.append(f"{path}: there is no such file or folder")


def _from_file(path, name, problems):
    try:
        content = path.read_bytes() if path.suffix in (".ipynb", ".zip") else None
    except OSError as error:
        problems.append(f"{name}: cannot be read ({error.strerror})")
        return
    when = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    if path.suffix == ".ipynb":
        yield from _notebook(name, when, content, problems)
    elif path.suffix == ".zip":
        yield from _from_archive(content, name, problems, 1)


def _from_archive(content, name, problems, depth):
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            inside = str(PurePosixPath(name).with_suffix(""))
            for entry in archive.infolist():
                yield from _from_entry(archive, entry, inside, problems, depth)
    except (
        zipfile.BadZipFile,
        OSError,
        EOFError,
        ValueError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        problems.append(
            f"{name}: the archive is damaged ({error}); ask for it again, or unpack by hand what"
            " can be unpacked"
        )


def _from_entry(archive, entry, inside, problems, depth):
    path = f"{inside}/{entry.filename}"
    if (
        entry.is_dir()
        or not entry.filename.endswith((".ipynb", ".zip"))
        or "__MACOSX" in entry.filename
    ):
        return
    if entry.file_size > MOST_BYTES and entry.filename.endswith(".ipynb"):
        problems.append(f"{path}: larger than 50 MB; not collected")
        return
    try:
        content = archive.read(entry)
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError) as error:
        problems.append(f"{path}: is damaged inside its archive ({error})")
        return
    if entry.filename.endswith(".zip"):
        if depth < MOST_DEPTH:
            yield from _from_archive(content, path, problems, depth + 1)
        return
    yield from _notebook(path, _time_of_entry(entry), content, problems)


def _time_of_entry(entry):
    """Archives hold the local time of the machine that made them: read as that of this one."""
    try:
        return datetime(*entry.date_time).astimezone(UTC)
    except ValueError:  # month 0, where the program that made the archive had no time
        return datetime(1980, 1, 1, tzinfo=UTC)


def _notebook(name, when, content, problems):
    if ".ipynb_checkpoints" in name:
        return
    student = student_of(name)
    if student is None:
        problems.append(
            f"{name}: whose is it? Put it into a folder with the student's name, or begin its name"
            " with it"
        )
    elif len(content) > MOST_BYTES:
        problems.append(f"{name}: larger than 50 MB; not collected")
    else:
        yield Found(student, when, name, content)


def newest(found: list[Found], messages: list[str]) -> dict[str, Found]:
    """Return each student's newest notebook; say which others there were."""
    chosen = {}
    for student in sorted({f.student for f in found}):
        own = sorted(
            (f for f in found if f.student == student),
            key=lambda f: (f.when, _number(f.path), f.path),
        )
        chosen[student] = own[-1]
        others = [f for f in own[:-1] if f.content != own[-1].content]
        if others:
            messages.append(
                f"{student}: {len(others) + 1} notebooks; the newest was taken, {own[-1].path}, not"
                f" {', '.join(f.path for f in others)}"
            )
    return chosen


def _number(path):
    """The number that Canvas and browsers append to the name of a later file: -2 or (2)."""
    match = re.search(r"(?:-|\()(\d+)\)?\.ipynb$", path)
    return int(match[1]) if match else 0


def place(found: Found, root: Path, given: datetime | None) -> str:
    """Write a notebook and its time, the one that is given or that of its file, under submitted/.

    Return what was done: new, resubmitted, same, earlier (the same, and it was there by then) or
    older. Of two with the same given time, that of the later call is the newer one.
    """
    when = given or found.when
    folder = root / "submitted" / found.student / NAME
    target, stamp = folder / f"{NAME}.ipynb", folder / "timestamp.txt"
    done = "new"
    if target.exists():
        before = time_of(stamp.read_text()) if stamp.exists() else datetime.min.replace(tzinfo=UTC)
        if target.read_bytes() == found.content:
            if when >= before:
                return "same"
            _write_time(stamp, when)
            return "earlier"
        if when < before or when == before and not given:
            return "older"
        if when == before:  # by its time, nbgrader would take it for graded
            shutil.rmtree(root / "autograded" / found.student / NAME, ignore_errors=True)
        done = "resubmitted"
    folder.mkdir(parents=True, exist_ok=True)
    target.write_bytes(found.content)
    _write_time(stamp, when)
    return done


def _write_time(stamp, when):
    stamp.write_text(when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S+00:00"))


def collect(
    paths: list[Path], root: Path, handed_in: datetime | str | None = None
) -> tuple[list[str], list[str]]:
    """Collect everything in `paths` into `root`; return what was done and what could not be, one
    line each.

    `handed_in` is the time for all of them, or "file" for those of the files. None will do where no
    name is that of a platform, else TimeNeeded is raised.
    """
    problems, messages = [], []
    found = [f for path in paths for f in notebooks(path, problems)]
    theirs = [f.path for f in found if of_platform(f.path)]
    if theirs and handed_in is None:
        raise TimeNeeded(
            f"Nothing was collected: {theirs[0]} comes from a learning platform, and the times in"
            " its archives can be those of the download. Say until when these notebooks were"
            ' handed in, for example --handed-in "2027-01-31 23:59 UTC", or --handed-in file if'
            " you know that the times are right."
        )
    count = dict.fromkeys(("new", "resubmitted", "same", "earlier", "older"), 0)
    for student, chosen in newest(found, messages).items():
        stamp = f"submitted/{student}/{NAME}/timestamp.txt"
        try:
            done = place(chosen, root, None if handed_in == FILE else handed_in)
        except argparse.ArgumentTypeError as error:
            problems.append(f"{chosen.path}: not compared with what is there; in {stamp}, {error}")
            continue
        count[done] += 1
        if "_LATE_" in chosen.path and handed_in != FILE and done in ("new", "resubmitted"):
            messages.append(f"{student}: late, says Canvas; write when into {stamp}")
        if done in SAID:
            messages.append(f"{student}: {chosen.path} {SAID[done]}")
    messages.append(
        f"{count['new']} new, {count['resubmitted']} handed in again,"
        f" {count['same'] + count['earlier']} as before, {count['older']} older:"
        f" {len({f.student for f in found})} students in all."
    )
    return messages, problems


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("downloaded", nargs="+", type=Path)
    parser.add_argument(
        "--handed-in", type=time_of, metavar="TIME", help='"2027-01-31 23:59 UTC", or "file"'
    )
    arguments = parser.parse_args()
    if not Path("nbgrader_config.py").exists():
        sys.exit("Run this in the course root, the folder with nbgrader_config.py.")
    try:
        messages, problems = collect(arguments.downloaded, Path(), arguments.handed_in)
    except TimeNeeded as error:
        sys.exit(str(error))
    print("\n".join(messages))
    if problems:
        sys.exit("\n".join(["", f"{len(problems)} not collected:", *problems]))


if __name__ == "__main__":
    main()
