"""Decide the points of a submission. The student's code runs in worker.py, a process apart; here
its numbers are compared.

No cell of a submission runs in this process, nothing it prints or writes counts, and its numbers
come back as safetensors,
which hold arrays and no code.
"""

import contextlib
import json
import os
import re
import secrets
import select
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Unicode

from grading import sandbox
from grading.grade import SCORED
from grading.repair import NOTES

WORKER = Path(__file__).with_name("worker.py")
RUN_FIRST = (
    "setup",
    "loop",
)  # cells that were handed out and that answers may use; the others are not run
CELL_OF = {"settings": "target_checks"}  # the points of a task stand in its check cell
SECONDS = 120  # longer than the worker allows itself for one request
MOST_SECONDS = 1800  # for one submission: who never ends does not hold up the class
TARGETS = ".targets.json"  # test ELBOs of settings that were trained before, in the course root
ENVIRONMENT = (
    "PATH",
    "LANG",
    "LC_ALL",
    "PYTHONPATH",
    "LECTURE_DATA",
    "LD_LIBRARY_PATH",
    "SYSTEMROOT",
)
# What an answer to these tasks does not need. It is allowed, and a person should look at it.
UNUSUAL = re.compile(
    r"lecture_utils|get_ipython|_getframe|sys\.modules|builtins|ctypes|subprocess|get_objects|__globals__|importlib|"
    r"\bos\.\w+|\bsocket\b|(?<![.\w])(?:open|exec|eval|take)\(|the checks pass"
)
# What the notebook offers: data from the package, and its answer in place of a whole function.
USUAL = re.compile(
    r"^(?:\s*(?:from|import) lecture_utils\.data\b.*|\w+ = take\(['\"]\w+['\"]\)\s*)$", flags=re.M
)


class Worker:
    """A process that runs a submission's cells, in an empty folder, without the grader's
    environment."""

    def __init__(self, prefix=()):
        """`prefix`: a command that starts another in a sandbox; "auto" is that of sandbox.py."""
        self.folder = tempfile.mkdtemp(prefix="tutorial_7_")
        shutil.copy(
            WORKER, self.folder
        )  # the folder of the course is not named to the code that runs here
        environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        environment |= {
            "HOME": self.folder,
            "TMPDIR": self.folder,
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "MPLCONFIGDIR": self.folder,
            "PYTHONDONTWRITEBYTECODE": "1",
            "IPYTHONDIR": self.folder,
        }
        self.cgroup = sandbox.cgroup() if prefix == "auto" else sandbox.Cgroup()
        if prefix == "auto":
            environment |= sandbox.environment()
            prefix = [*self.cgroup.prefix, *sandbox.command(self.folder)]
        command = [part.replace("{folder}", self.folder) for part in prefix]
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
        self.process = subprocess.Popen(
            [*command, os.path.abspath(sys.executable), str(Path(self.folder) / "worker.py")],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            start_new_session=True,
        )
        self._data = b""

    def complaint(self) -> str:
        """The last line that the process wrote before it ended."""
        self.errors.seek(0)
        lines = self.errors.read(10_000).decode(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else ""

    def ask(self, request: dict) -> tuple[dict, bytes]:
        """Send a request; return the header of the answer and its payload. Raises OSError if the
        worker is gone or deaf."""
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        end = time.monotonic() + SECONDS * (4 if "cells" in request else 1)
        while b"\n" not in self._data:
            self._read(end)
        line, self._data = self._data.split(b"\n", 1)
        header = json.loads(line)
        while len(self._data) < header["size"]:
            self._read(end)
        payload, self._data = self._data[: header["size"]], self._data[header["size"] :]
        return header, payload

    def _read(self, end):
        ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
        part = os.read(self.process.stdout.fileno(), 2**16) if ready else b""
        if not part:
            raise OSError("the process that runs the submission's code does not answer")
        self._data += part

    def close(self):
        """End the process and delete its folder."""
        with contextlib.suppress(OSError):
            os.killpg(self.process.pid, 9)
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()
        self.process.wait()
        self.errors.close()
        self.cgroup.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def record_of(payload: bytes) -> dict:
    """Return {name: tensor, number or text} of a worker's payload. Raises ValueError if it cannot
    be read."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        size = int.from_bytes(payload[:8], "little")
        if not 0 < size < 2**20:
            raise ValueError("no header")
        rest = json.loads(json.loads(payload[8 : 8 + size])["__metadata__"]["rest"])
        tensors = load(payload)
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"the answer came back unreadable ({type(error).__name__})") from error
    return {k: v for k, v in rest.items() if isinstance(v, (str, float, int))} | tensors


class Submission:
    """The verdicts on one submission: `verdict(task)` is None, or a text that says what is not
    right yet."""

    def __init__(self, setup, cells, prefix=(), computing=20):
        """`setup`: sources of handed-out cells; `cells`: [(name of the answer or "", source)].

        `computing`: seconds that the processor may work for one task, the cells included.
        """
        self.request = {"setup": setup, "cells": cells, "computing": computing}
        self.prefix = prefix
        self.worker, self.trouble = None, {}
        self.end = time.monotonic() + MOST_SECONDS

    def __enter__(self):
        self._start()
        return self

    def __exit__(self, *error):
        self.worker.close()

    def _start(self):
        self.worker = Worker(self.prefix)
        header, _ = self.worker.ask(self.request)
        self.trouble = {int(i): text for i, text in header["trouble"].items()}

    def _observe(self, task, seed, alone):
        if time.monotonic() > self.end:
            return {"error": "TimeoutError: the submission took more than half an hour in all"}
        try:
            header, payload = self.worker.ask({"task": task, "seed": seed, "alone": alone})
        except (OSError, ValueError, KeyError):
            self.worker.close()
            self._start()
            return {"error": "RuntimeError: the process was ended"}
        if header.get("status") != "ok":
            words = {
                "late": "TimeoutError: it did not end within a minute",
                "died": "RuntimeError: it ended Python, took all memory or computed too long",
            }
            return {"error": words.get(header.get("status"), "RuntimeError")}
        return record_of(payload)

    def verdict(self, task, seed):
        """Judge one task on the numbers of `seed`: first among the student's own functions, else
        among the package's."""
        for i, (name, _) in enumerate(self.request["cells"]):
            if name == task and i in self.trouble:
                return f"The cell {self.trouble[i]}.", {}
        own, record = self._judge(task, seed, False)
        if own is None:
            return None, record
        alone, record_alone = self._judge(task, seed, True)
        return alone, record_alone

    def _judge(self, task, seed, alone):
        from lecture_utils.tutorial import TASKS, NotYet

        try:
            record = self._observe(task, seed, alone)
            if record.get("taken"):
                return "Taken from the package: 0 points, as agreed.", record
            TASKS[task].judge(seed, record)
        except NotYet as error:
            return str(error), {}
        except Exception as error:  # a record that no right answer leaves behind
            return f"What came back cannot be judged: {type(error).__name__}.", {}
        return None, record


class Score(NbGraderPreprocessor):
    """Write the points of each task under its check, from what a worker returned, whatever stood
    there before."""

    sandbox = Unicode(
        "auto",
        help=(
            "auto: bubblewrap where it can be had, else a warning; required: bubblewrap, or nothing"
            " is graded; none; or a command that starts another in a sandbox, where {folder} is the"
            " one folder that it needs to read and write"
        ),
    ).tag(config=True)
    said = False
    targets = Unicode(TARGETS, help="file that remembers the test ELBO of settings").tag(
        config=True
    )

    def preprocess(self, nb, resources):
        prefix = self._prefix()
        named = {cell.metadata.get("nbgrader", {}).get("grade_id"): cell for cell in nb.cells}
        cells = [
            (self._answer(cell), cell.source)
            for cell in nb.cells
            if cell.cell_type == "code" and not _locked(cell)
        ]
        setup = [named[name].source for name in RUN_FIRST]
        notes = nb.metadata.setdefault(NOTES, [])
        notes += _unusual(cells)
        with Submission(setup, cells, prefix) as submission:
            for i, text in submission.trouble.items():
                notes.append(f"The cell {cells[i][0] or 'of the student'} {text}.")
            self._score(submission, named, notes)
        nb.metadata[SCORED] = True  # Repair has deleted what a submission wrote there
        if notes:
            text = "\n".join(f"- {note}" for note in dict.fromkeys(notes))
            nb.cells.insert(
                0,
                NotebookNode(
                    cell_type="markdown",
                    id="notes",
                    metadata={},
                    source=f"**Noted while grading**\n\n{text}",
                ),
            )
        return nb, resources

    def _prefix(self):
        """How workers are started; say once for the class what stops a hostile submission."""
        known = self.sandbox in ("auto", "required", "none")
        if self.sandbox == "required" and sandbox.problem():
            raise RuntimeError(f"Nothing is graded without a sandbox. {sandbox.says()}")
        safe = known and self.sandbox != "none" and not sandbox.problem()
        if not Score.said:
            Score.said = True
            if safe:
                self.log.info(sandbox.says())
            elif known:
                why = sandbox.says() if self.sandbox == "auto" else "No sandbox is wanted."
                self.log.warning("%s Students' code runs with your rights.", why)
        if known:
            return "auto" if safe else ()
        return shlex.split(self.sandbox)

    @staticmethod
    def _answer(cell):
        return cell.metadata.get("nbgrader", {}).get("grade_id", "")

    def _score(self, submission, named, notes):
        from lecture_utils.tutorial import TASKS

        for task in TASKS:
            cell = named[CELL_OF.get(task, f"{task}_checks")]
            failed, record = submission.verdict(task, secrets.randbelow(2**31))
            if task == "settings" and failed is None:
                failed = self._target(record)
            claimed = any(
                "the checks pass" in str(output.get("text", "")) for output in cell.outputs
            )
            if failed and claimed and not failed.startswith("Taken"):
                notes.append(
                    f"{TASKS[task].label}: the student's own check said that it passes, grading"
                    " says that it does not."
                )
            points = cell.metadata.nbgrader.points
            earned = 0 if failed else points
            text = f"{TASKS[task].label}: {earned:g} of {points:g} points.\n" + (
                f"{failed}\n" if failed else ""
            )
            cell.outputs = [
                NotebookNode(output_type="stream", name="stdout", text=text),
                NotebookNode(
                    output_type="execute_result",
                    execution_count=None,
                    metadata={},
                    data={"text/plain": str(float(earned))},
                ),
            ]

    def _target(self, record):
        """Train the package's model with the student's settings, unless that was done before; None
        if the target is met."""
        from lecture_utils.tutorial import NotYet, answers, measures

        path = Path(self.targets)
        known = _known(path)
        try:
            epochs, rate = measures.settings(record)
            key = f"{epochs} {rate:.6g}"
            if key not in known:
                known[key] = answers.mean_test_elbo(answers.train(epochs, rate))
                _remember(path, key, known[key])
            measures.judge_target(known[key], measures.SLACK)
        except NotYet as error:
            return str(error)
        return None


def _known(path):
    """{settings: test ELBO} of what was trained before."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}


def _remember(path, key, value):
    """Add an entry in one step: several submissions may be graded at once."""
    scratch = path.with_name(f"{path.name}.{os.getpid()}")
    scratch.write_text(json.dumps(_known(path) | {key: value}, indent=1))
    os.replace(scratch, path)


def _locked(cell):
    return cell.metadata.get("nbgrader", {}).get("locked", False)


def _unusual(cells):
    """Notes on code that an answer does not need."""
    notes = []
    for name, source in cells:
        found = sorted(set(UNUSUAL.findall(USUAL.sub("", source))))
        if found:
            notes.append(
                f"Look at the cell {name or 'of the student'}: it uses {', '.join(found)}."
            )
    return notes
