"""A class of students, some of whom handed in something damaged or hostile, and the lecturers'
commands that grade it."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

import nbformat

from tests.tutorial.answers.hostile import NOTEBOOKS, PROBE
from tests.tutorial.cases import COURSE, SOLUTIONS, SOURCE, code, notebook

WRITTEN = "The distance of the VAE is 0.3 nats, of the AE 40 nats: $a<b$ & so on."
MUDDLED = dict.fromkeys(["setup", "kl", "kl_checks", "likelihood_checks", "claims"]) | {
    "sample": (
        SOLUTIONS["sample"].replace(
            "    ### BEGIN", "    import warnings\n    warnings.warn('careful')\n    ### BEGIN"
        )
    ),
    "likelihood": SOLUTIONS["likelihood"],
    "elbo": "x = 1",
    "elbo_checks": "pass",
    "model": "class VAE(nn.Module:\n    pass",
    "step": "import sys\nsys.exit()",
}
THREE = {name: SOLUTIONS[name] for name in ("sample", "kl", "likelihood")}
SCRIPTS = (
    "script-in-text",
    "html-output",
    "svg-output",
    "png-output",
)  # and one by its tag, in the text as well


# What `make test` grades; the others' damages are graded by `make test-answers`.
FIRST = ("ada", "garbled", "mallory", "muddled", "zoe")


def as_file(book) -> bytes:
    return nbformat.writes(book).encode()


def damaged(name, **sources):
    """A notebook as `answers/hostile.py` damages it."""
    book = json.loads(nbformat.writes(notebook(**sources)))
    changed = NOTEBOOKS[name](book)
    return changed if isinstance(changed, bytes) else json.dumps(book).encode()


def with_scripts():
    """A submission with four kinds of script: in a text, in a tag of a text, in HTML output and in
    SVG output."""
    book = json.loads(nbformat.writes(notebook(**THREE)))
    for name in SCRIPTS:
        outputs = [c.get("outputs") for c in book["cells"] if c.get("id") == "measure"][0]
        NOTEBOOKS[name](book)
        measure = next(c for c in book["cells"] if c.get("id") == "measure")
        measure["outputs"] += [o for o in outputs if o not in measure["outputs"]]
    claims = next(c for c in book["cells"] if c.get("id") == "claims")
    claims["source"] += f'\n\n<img src=x onerror="{PROBE}"> [link](javascript:alert(1))'
    return json.dumps(book).encode()


def students():
    """{student: (file, points of the tasks)}: behind each damaged notebook, in the alphabet,
    stands an honest one."""
    full = {f"{task}_checks": None for task in SOLUTIONS}
    three = {"sample_checks": 8, "kl_checks": 8, "likelihood_checks": 8}
    solved = nbformat.read(SOURCE, as_version=4)
    for cell in solved.cells:
        if cell.id == "claims":
            cell.source = WRITTEN
    return {
        "ada": (as_file(solved), full),
        "copied": (damaged("duplicated-answer", **THREE), three),
        "garbled": (damaged("not-json"), None),
        "idle": (as_file(notebook(**THREE, settings=code("settings", "return 1, 1e-6"))), three),
        "mallory": (with_scripts(), three),
        "muddled": (as_file(notebook(**MUDDLED)), {"sample_checks": 8, "likelihood_checks": 8}),
        "schema": (damaged("schema-99", **THREE), three),
        "stripped": (damaged("metadata-stripped", **THREE), three),
        "zoe": (as_file(notebook(**THREE)), three),
    }


def environment():
    """The environment with this interpreter's commands first, as after `. .venv/bin/activate`."""
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def shell(command, folder, check=True):
    done = subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert not check or done.returncode == 0, (
        f"{command}\n{done.stdout[-1000:]}\n{done.stderr[-4000:]}"
    )
    return done


def course_copy(folder):
    """A course root as a lecturer has it: configuration, source, release, grading; no gradebook."""
    made_by_grading = shutil.ignore_patterns(
        "gradebook.db", "submitted", "autograded", "feedback", "*.csv", "__pycache__", ".*"
    )
    shutil.copytree(COURSE, folder, ignore=made_by_grading)
    return folder


def commands():
    """The commands of the lecturers' page, in order, of the blocks that begin with ```sh."""
    blocks = re.findall(r"```sh\n(.*?)```", (COURSE / "README.md").read_text(), flags=re.S)
    return [line for block in blocks for line in block.strip().split("\n")]


class Graded(NamedTuple):
    """A course root after all commands, what each printed, and the class."""

    course: Path
    printed: dict[str, str]
    students: dict


def grade(folder, everybody) -> Graded:
    """Follow the lecturers' page with a class, {student: (file, points)}, some of whom handed in
    something damaged, zoe twice."""
    course, printed = course_copy(folder / "course"), {}
    with zipfile.ZipFile(folder / "submissions.zip", "w") as archive:
        for student, (content, _) in everybody.items():
            archive.writestr(
                zipfile.ZipInfo(f"{student}/tutorial_7.ipynb", (2027, 1, 30, 12, 0, 0)), content
            )
        archive.writestr(zipfile.ZipInfo("zoe/tutorial_7-1.ipynb", (2027, 1, 29, 12, 0, 0)), b"{}")
    (course / "students.txt").write_text("ada\nabsent\n")
    for command in commands():
        if "validate" in command or "--force" in command and "autograde" in command:
            continue  # the source is run by other tests; grading again is tested on one student
        run = command.replace("~/Downloads", str(folder)).replace("python ", f"{sys.executable} ")
        done = shell(run, course, check="autograde" not in command)
        printed[command] = done.stdout + done.stderr
        if "generate_assignment" in command:
            shutil.rmtree(course / "source")  # as the page advises
            (course / "source").mkdir()
    return Graded(course, printed, everybody)
