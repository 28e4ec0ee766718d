"""A class from the accounts to the marks, on a machine of its own, as deploy/README.md says it.

A lecturer, a second one, and four students: ada hands in twice, zoe late, mallory attacks, and
idle never comes.
"""

import contextlib
import importlib.util
import json
import socket
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import nbformat
import requests

from tests.tutorial.cases import SOURCE, notebook
from tests.tutorial.classroom import THREE, WRITTEN

from . import attacks
from .browserless import Person
from .machine import HERE, Machine

STUDENTS = ("ada", "idle", "mallory", "zoe")
PASSWORDS = {"lecturer": "chalk-and-talk", "second": "talk-and-chalk"}
COURSE = "/home/lecturer/tutorial_7"
EXCHANGE = "/srv/lecture-11/exchange"
INBOUND = f"{EXCHANGE}/lecture_11/inbound"


class Class(NamedTuple):
    """A running hub on a machine of its own."""

    machine: Machine
    hub: str
    passwords: dict
    log: Path
    environment: dict

    def person(self, name):
        return Person(self.hub, name, self.passwords[name])

    def lecturer(self, command, check=True, **environment):
        """Run a command of the lecturer in the course's folder."""
        return self.machine.run(f"cd {COURSE} && {command}", "lecturer", check, **environment)

    def start_hub(self):
        """Start the hub, and wait until it answers."""
        process = self.machine.start(
            f"jupyterhub --config {HERE}/deploy/jupyterhub_config.py",
            self.log,
            CLASS_ADDRESS=self.hub,
            CLASS_LECTURERS="lecturer,second",
            **self.environment,
        )
        for _ in range(600):
            with contextlib.suppress(OSError):
                if requests.get(f"{self.hub}/hub/api", timeout=5).status_code == 200:
                    return process
            assert process.poll() is None, self.log.read_text()[-3000:]
            time.sleep(0.5)
        raise TimeoutError(self.log.read_text()[-3000:])


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def git(folder: Path, *arguments):
    """Call git in a folder, as the lecturer."""
    who = ["-c", "user.name=Lecturer", "-c", "user.email=lecturer@example.org"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def load_test():
    """The program deploy/load_test.py as a module."""
    path = Path(__file__).resolve().parents[2] / "deploy" / "load_test.py"
    spec = importlib.util.spec_from_file_location("load_test", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def set_up(machine: Machine, log: Path, **environment) -> Class:
    """Follow deploy/README.md on a machine where the Python environment is installed already.

    `environment` holds variables for the hub.
    """
    load = "from lecture_utils.data import load_mnist; load_mnist()"
    machine.run(f"cd {HERE} && .venv/bin/python -c '{load}'")
    machine.run("install --directory --mode 1777 /srv/lecture-11/exchange")
    machine.run("install --directory --mode 700 /srv/lecture-11/hub")
    machine.run("install --directory /srv/lecture-11/models")
    machine.run(
        f"mkdir -p {HERE}/.venv/etc/jupyter; cp {HERE}/deploy/nbgrader_config.py"
        f" {HERE}/.venv/etc/jupyter; sh {HERE}/deploy/students_see.sh"
    )
    machine.run(
        "printf '%s\\n' " + " ".join(STUDENTS) + f" > s; sh {HERE}/deploy/students.sh s > p"
    )
    passwords = dict(line.split() for line in machine.run("cat p").stdout.splitlines())
    for name, password in PASSWORDS.items():
        machine.run(f"useradd --create-home --shell /bin/bash --key HOME_MODE=0700 {name}")
        machine.run(f"echo {name}:{password} | chpasswd")
    machine.run(f"sh {HERE}/deploy/lecturer.sh", "lecturer")
    hub = f"http://127.0.0.1:{free_port()}"
    made = Class(machine, hub, passwords | PASSWORDS, log, environment)
    made.start_hub()
    return made


def solved() -> str:
    """A notebook with every answer, the written ones included."""
    book = nbformat.read(SOURCE, as_version=4)
    for cell in book.cells:
        if cell.id == "claims":
            cell.source = WRITTEN
    return nbformat.writes(book)


def three_answers() -> str:
    """A notebook that answers three tasks rightly."""
    return nbformat.writes(notebook(**THREE))


def hostile() -> str:
    """A notebook that attacks in an extra cell and in an answer, and has two right answers."""
    book = notebook(likelihood=THREE["likelihood"], sample=THREE["sample"])
    places = {
        "course": [f"{COURSE}/gradebook.db", f"{COURSE}/source", f"{COURSE}/submitted"],
        "homes": ["/home/ada", "/home/lecturer", "/root/.bashrc", "/root/.ssh"],
        "exchange": [EXCHANGE, INBOUND],
    }
    lines = [
        "won, seen = False, []",
        "import os, socket",
        f"for path in {sum(places.values(), [])!r}:",
        "    try:",
        "        seen += os.listdir(path) if os.path.isdir(path) else [open(path, 'rb').read(9)]",
        "    except OSError:",
        "        pass",
        "for pid in [p for p in os.listdir('/proc') if p.isdigit()]:",
        "    try:",
        "        if b'TOKEN' in open(f'/proc/{pid}/environ', 'rb').read():",
        "            seen.append(pid)",
        "    except OSError:",
        "        pass",
        "won = bool(seen)",
    ]
    code = "\n".join(lines) + attacks.ANSWER
    for cell in book.cells:
        if cell.get("id") == "kl":
            cell.source = code
    return nbformat.writes(book)


def mischief(school: Class) -> dict[str, int]:
    """What mallory does on the server, without the grader: {attempt: exit status}, 0 is success."""
    forged = f"'{INBOUND}/ada+tutorial_7+2030-01-01 00:00:00.0 UTC+forged'"
    nonsense = f"'{INBOUND}/mallory+tutorial_7+yesterday+x'"
    attempts = {
        "reads ada's home": "ls /home/ada",
        "reads the course": f"ls {COURSE}",
        "lists the exchange": f"ls {INBOUND}",
        "renames the course in the exchange": f"mv {EXCHANGE}/lecture_11 {EXCHANGE}/mine",
        "changes what is handed out": f"touch {EXCHANGE}/lecture_11/outbound/tutorial_7/x",
        "writes to the models": "touch /srv/lecture-11/models/x",
        "reads the hub's secrets": "ls /srv/lecture-11/hub",
        "sees what others' servers were told": "cat /proc/[0-9]*/environ | grep -z ADA_TOKEN",
        "hands in under ada's name": f"cp -r ~/tutorial_7 {forged} && chmod 755 {forged}",
        "hands in at no time": f"cp -r ~/tutorial_7 {nonsense} && chmod 755 {nonsense}",
        "hands in a link": (
            f"mkdir '{INBOUND}/mallory+tutorial_7+2031-01-01+l' && ln -s {COURSE}/gradebook.db"
            f" '{INBOUND}/mallory+tutorial_7+2031-01-01+l/tutorial_7.ipynb'"
        ),
    }
    return {
        name: school.machine.run(command, "mallory", check=False).returncode
        for name, command in attempts.items()
    }


def give_points_by_hand(school: Class, person: Person, student: str, points: float):
    """Give points for every written answer of a student, as the formgrader does."""

    def call(method, path, data=None, **parameters):
        answer = person.server(
            method, f"formgrader/api/{path}", data, owner="lecturer", **parameters
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    submissions = call("GET", "submitted_notebooks/tutorial_7/tutorial_7")
    mine = next(s for s in submissions if s["student"] == student)
    waiting = [
        g for g in call("GET", "grades", submission_id=mine["id"]) if g["name"] in WRITTEN_CELLS
    ]
    for grade in waiting:
        call("PUT", f"grade/{grade['id']}", {"manual_score": points, "extra_credit": None})
    return len(waiting)


WRITTEN_CELLS = ("claims", "generating")


def book_of(text: str):
    return json.loads(text)
