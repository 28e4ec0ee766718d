"""Hostile submissions against the machine that grades: what is read, written, filled, killed."""

import contextlib
import json
import os
import socket
import sqlite3
import subprocess
import sys

import pytest

from tests.tutorial.cases import COURSE, SOLUTIONS, SOURCE, cells  # noqa: F401

from . import attacks

# Of the course root, which cases.py has put on the path.
from grading import sandbox  # isort: skip
from grading.score import Score, Submission  # isort: skip

psutil = pytest.importorskip("psutil")
SETUP = [cells(SOURCE)[name].source for name in ("setup", "loop")]


@pytest.fixture
def lecturer(tmp_path, monkeypatch):
    """Everything that a submission must not reach, in a folder that everybody may read."""
    for folder in ("course/source", "course/submitted/ada", "exchange/inbound/x", "home", "cache"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "course/source/tutorial_7.ipynb").write_text("logvar")
    (tmp_path / "course/submitted/ada/tutorial_7.ipynb").write_text("ada")
    with sqlite3.connect(tmp_path / "course/gradebook.db") as book:
        book.execute("CREATE TABLE grade AS SELECT 1 AS points")
    for path in [tmp_path, *tmp_path.rglob("*"), *list(tmp_path.parents)[:3]]:
        path.chmod(0o777 if path.is_dir() else 0o666)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    server = subprocess.Popen(["sleep", "3600"], env={"JUPYTERHUB_API_TOKEN": "secret"})
    yield tmp_path
    server.kill()
    server.wait()


@pytest.fixture
def port(lecturer):
    """Two servers: on a port of this machine, and on a socket in the lecturer's home."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(os.path.relpath(lecturer / "home" / "socket"))
        unix.listen()
        (lecturer / "home" / "socket").chmod(0o777)
        yield server.getsockname()[1]


def judged(name, lecturer, port, prefix):
    """What the grader says of the attacked task and of an honest answer, and the cgroup's peaks."""
    answers = [("kl", attacks.cell(name, lecturer, port)), ("likelihood", SOLUTIONS["likelihood"])]
    with Submission(SETUP, answers, prefix, computing=10) as submission:
        said = [submission.verdict(task, 1)[0] for task in ("kl", "likelihood")]
        return *said, peaks(submission.worker.cgroup)


def peaks(cgroup) -> dict[str, int]:
    """{kind: the most that a sandbox has taken}, as far as the kernel counts it."""
    files = {"memory.max_usage_in_bytes": "memory", "memory.peak": "memory", "pids.peak": "pids"}
    found = {}
    for folder in cgroup.folders:
        for file, kind in files.items():
            with contextlib.suppress(OSError):
                found[kind] = int((folder / file).read_text())
    return found


@pytest.fixture(scope="module")
def sandboxed():
    if why := sandbox.problem():
        pytest.skip(f"There is no sandbox here: {why}")


def tried(codes, lecturer, port, shut_in) -> dict[str, bool]:
    """{attack: did it succeed?} in the sandbox, or outside it with the grader's rights."""
    folder = lecturer / "worker"
    folder.mkdir(exist_ok=True)
    (folder / "worker.py").write_text(attacks.probe(codes, lecturer, port))
    prefix = sandbox.command(str(folder)) if shut_in else []
    command = [*prefix, os.path.abspath(sys.executable), str(folder / "worker.py")]
    environment = {"PATH": os.environ["PATH"]} | sandbox.environment()
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_succeeds_without_a_sandbox_is_refused_in_it(lecturer, port, sandboxed):
    kept = {path: path.stat().st_mtime_ns for path in lecturer.rglob("*")}
    inside = tried(attacks.READERS | attacks.ESCAPES, lecturer, port, True)
    assert inside == dict.fromkeys(attacks.READERS | attacks.ESCAPES, False)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept, "something was changed"
    outside = tried(attacks.READERS, lecturer, port, False)
    assert outside == dict.fromkeys(attacks.READERS, True), "an attack that is none"


@pytest.mark.matrix
@pytest.mark.parametrize("name", ["neighbours"])
def test_the_grader_starts_that_sandbox(name, lecturer, port, sandboxed):
    attacked, honest, _ = judged(name, lecturer, port, "auto")
    assert attacked and honest is None
    assert judged(name, lecturer, port, ())[0] is None, "no points even without a sandbox"


@pytest.mark.matrix  # fork bombs and full memories take minutes: make test-class
@pytest.mark.parametrize("name", attacks.HARM)
def test_harm_stays_in_the_sandbox_and_costs_no_honest_answer(name, lecturer, port, sandboxed):
    attacked, honest, most = judged(name, lecturer, port, "auto")
    assert attacked and honest is None
    assert most.get("pids", 0) <= sandbox.PROCESSES
    assert most.get("memory", 0) <= sandbox.MEMORY


@pytest.mark.matrix
def test_nothing_is_left_of_a_sandbox(lecturer, port, sandboxed):
    answers = [("kl", attacks.cell("fork-bomb", lecturer, port))]
    with Submission(SETUP, answers, "auto", computing=2) as submission:
        worker = submission.worker
    assert not os.path.exists(worker.folder)
    assert not any(folder.exists() for folder in worker.cgroup.folders)
    left = [p for p in psutil.process_iter(["cmdline"]) if worker.folder in str(p.info["cmdline"])]
    assert left == []


def test_without_bubblewrap_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None)
    sandbox.problem.cache_clear()
    try:
        text = sandbox.says()
    finally:
        sandbox.problem.cache_clear()
    assert "bwrap is not installed" in text and "apt install bubblewrap" in text
    assert "\n" not in text


def test_where_bubblewrap_is_refused_the_line_does_not_say_to_install_it(monkeypatch):
    why = "bwrap: No permissions to create a new namespace. See <README.Debian.gz>."
    monkeypatch.setattr(sandbox, "problem", lambda: why)
    text = sandbox.says()
    assert why in text and "have it allowed" in text and "grade in a container" in text
    assert "apt install" not in text and ".." not in text and "\n" not in text


def test_where_there_is_no_linux_the_line_says_what_else_there_is(monkeypatch):
    monkeypatch.setattr(sandbox.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(sandbox, "problem", sandbox.problem.__wrapped__)
    text = sandbox.says()
    assert "this is Darwin" in text and "How to get one: elsewhere grade in a container" in text
    assert "allowed" not in text and "apt install" not in text


def test_without_a_cgroup_it_says_what_is_unlimited(monkeypatch, sandboxed):
    monkeypatch.setattr(sandbox, "cgroup", sandbox.Cgroup)
    assert "unlimited is: the memory" in sandbox.says()


def test_a_cgroup_of_version_2_is_made_below_the_own_one(tmp_path, monkeypatch):
    """With ordinary files in the place of the kernel's, which must delegate the controllers."""
    own = tmp_path / "user.slice"
    own.mkdir()
    (tmp_path / "cgroup.controllers").write_text("memory pids")
    monkeypatch.setattr(
        sandbox, "_own_cgroups", lambda: dict.fromkeys(("memory", "pids"), (own, 2))
    )
    made = sandbox._by_hand()
    (folder,) = made.folders
    assert (folder / "memory.max").read_text() == str(sandbox.MEMORY)
    assert (folder / "pids.max").read_text() == str(sandbox.PROCESSES)
    assert made.limits == ("memory", "processes")


SYSTEMD_RUN = """#!/bin/sh
[ "$XDG_RUNTIME_DIR" = /run/user/4711 ] || { echo 'Failed to connect to bus' >&2; exit 1; }
case "$*" in *OOMPolicy*) REFUSED ;; esac
while [ "$1" != -- ]; do shift; done
shift
exec "$@"
"""


@pytest.mark.parametrize("old", [False, True])
def test_an_ordinary_users_systemd_is_found_from_a_server_of_the_hub(old, tmp_path, monkeypatch):
    """The worker's environment names no XDG_RUNTIME_DIR, nor does that of a server of the hub.

    A script stands in for systemd-run; an old one knows no OOMPolicy for scopes.
    """
    program = tmp_path / "systemd-run"
    program.write_text(SYSTEMD_RUN.replace("REFUSED", "exit 1" if old else ":"))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    with monkeypatch.context() as somebody:
        somebody.setattr(sandbox.os, "getuid", lambda: 4711)
        made = sandbox._by_systemd.__wrapped__()
    assert made.limits == ("memory", "processes")
    assert ("--property=OOMPolicy=continue" in made.prefix) == (not old)
    environment = {"PATH": os.environ["PATH"]}
    done = subprocess.run([*made.prefix, "echo", "in it"], env=environment, capture_output=True)
    assert done.stdout == b"in it\n"


def test_the_sandbox_holds_neither_the_course_nor_the_tests(sandboxed):
    bound = sandbox.readable()
    for private in (COURSE, COURSE.parent, COURSE.parents[1], COURSE.parents[1] / "tests"):
        assert not any(private.is_relative_to(path) for path in bound), bound


@pytest.mark.parametrize("wanted", ["auto", "required", "none"])
def test_what_happens_without_a_sandbox(wanted, monkeypatch, caplog):
    monkeypatch.setattr(sandbox, "problem", lambda: "bwrap is not installed")
    monkeypatch.setattr(Score, "said", False)
    score = Score(sandbox=wanted)
    warned = []
    monkeypatch.setattr(score.log, "warning", lambda text, *words: warned.append(text % words))
    if wanted == "required":
        with pytest.raises(RuntimeError, match="bwrap is not installed"):
            score._prefix()
        return
    assert [score._prefix(), score._prefix()] == [(), ()]
    (line,) = warned  # once for the class
    assert "runs with your rights" in line and "\n" not in line
    assert ("apt install bubblewrap" in line) == (wanted == "auto")


def test_another_sandbox_than_bubblewrap_can_be_named():
    score = Score(sandbox="podman run --rm -i -v {folder}:{folder} 'my image'")
    assert score._prefix()[-1] == "my image"
