"""How many students a machine carries: simulated ones on a real hub, and what each takes.

usage (as root, in the environment that deploy/README.md makes):
    python deploy/load_test.py                          # 1, 5 and 10 students at once
    python deploy/load_test.py --at-once 1 5 10 20 --notebook 06_training_on_mnist.ipynb

Each student logs in, starts a server, fetches Tutorial 7, runs a notebook in its kernel to the end
and hands in. It all happens on a machine of its own (tests/class/machine.py), whose accounts vanish
with it. It stops at 80 % of this machine's memory.

Memory is counted in USS, what a process would give back if it ended; what students share (programs,
libraries, the page cache) is counted once. Fill the models first: `make cache`, and let
LECTURE_SHARED_CACHE name their folder.
"""

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
MIB = 2**20
# A guess: how many of those who are logged in have a kernel that holds data and models.
AT_WORK = 1 / 3


def run_notebook(person, path: Path, patience=1800) -> float:
    """Run all cells in a kernel of the student's server; return the seconds. Raises at an error."""
    import nbformat
    import websocket

    kernel = person.server("POST", "api/kernels", {"name": "python3"}).json()["id"]
    address = f"{person.hub}/user/{person.name}/api/kernels/{kernel}/channels"
    socket = websocket.create_connection(
        address.replace("http", "ws", 1),
        header=[f"Authorization: token {person.token}"],
        timeout=patience,
    )
    start = time.monotonic()
    for number, cell in enumerate(nbformat.read(path, as_version=4).cells):
        if cell.cell_type != "code":
            continue
        message = str(number)
        header = {"msg_id": message, "msg_type": "execute_request", "session": person.name}
        header |= {"username": person.name, "version": "5.3"}
        content = {"code": cell.source, "silent": False, "store_history": True}
        content |= {"user_expressions": {}, "allow_stdin": False, "stop_on_error": True}
        request = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
        socket.send(json.dumps(request | {"channel": "shell", "buffers": []}))
        while True:
            answer = json.loads(socket.recv())
            if answer["parent_header"].get("msg_id") != message:
                continue
            if answer["msg_type"] == "execute_reply":
                if answer["content"]["status"] != "ok":
                    raise RuntimeError(f"cell {number}: {answer['content'].get('evalue')}")
                break
    socket.close()
    return time.monotonic() - start


class Memory(threading.Thread):
    """Watches what the accounts' processes take: {account: most USS in MiB}, and the machine."""

    def __init__(self, names):
        super().__init__(daemon=True)
        self.names, self.end = dict(names), threading.Event()
        self.most, self.kernels, self.servers = {}, {}, {}
        self.machine = 0.0

    def run(self):
        import psutil

        while not self.end.wait(1):
            now, kernels, servers = {}, {}, {}
            for process in psutil.process_iter(["uids", "cmdline"]):
                try:
                    name = self.names.get(process.info["uids"].real)
                    if name is None:
                        continue
                    uss = process.memory_full_info().uss / MIB
                except (psutil.Error, AttributeError):
                    continue
                now[name] = now.get(name, 0) + uss
                kind = kernels if "ipykernel" in " ".join(process.info["cmdline"]) else servers
                kind[name] = kind.get(name, 0) + uss
            for most, seen in (
                (self.most, now),
                (self.kernels, kernels),
                (self.servers, servers),
            ):
                for name, uss in seen.items():
                    most[name] = max(most.get(name, 0), uss)
            self.machine = max(self.machine, psutil.virtual_memory().percent)


def one_student(school, name, notebook, barrier):
    """What one student does; return {what: seconds}."""
    import nbformat

    from tests.tutorial.classroom import THREE
    from tests.tutorial.classroom import notebook as answered

    seconds = {}

    def timed(what, do):
        start = time.monotonic()
        result = do()
        seconds[what] = time.monotonic() - start
        return result

    barrier.wait()
    person = timed("log in", lambda: school.person(name))
    timed("start the server", person.start)
    timed("fetch", lambda: person.assignments("fetch"))
    timed("run the notebook", lambda: run_notebook(person, notebook))
    person.save(nbformat.writes(answered(**THREE)))
    timed("hand in", lambda: person.assignments("submit"))
    return seconds


def wave(school, names, notebook):
    """All these students at once; return ([seconds of each], Memory)."""
    ids = {}
    for name in names:
        ids[int(school.machine.run(f"id -u {name}").stdout)] = name
    memory, barrier = Memory(ids), threading.Barrier(len(names))
    memory.start()
    with ThreadPoolExecutor(len(names)) as pool:
        jobs = [pool.submit(one_student, school, name, notebook, barrier) for name in names]
        seconds = [job.result() for job in jobs]
    memory.end.set()
    memory.join()
    for name in names:
        school.machine.run(f"pkill -9 -u {name}", check=False)
    return seconds, memory


def mean(values):
    values = list(values)
    return sum(values) / max(1, len(values))


def say(count, seconds, memory):
    """Print a line of what was measured with `count` students at once."""
    times = ", ".join(f"{what} {mean(s[what] for s in seconds):.1f} s" for what in seconds[0])
    print(f"{count} at once: {times}")
    server, kernel = mean(memory.servers.values()), mean(memory.kernels.values())
    print(
        f"    most USS a student: {mean(memory.most.values()):.0f} MiB (server {server:.0f}, kernel"
        f" {kernel:.0f}); the machine at {memory.machine:.0f} % of its memory",
        flush=True,
    )


def extrapolate(memory, hub_mib):
    """Print what 50, 300 and 1000 students need, from what one takes."""
    server, kernel = mean(memory.servers.values()), mean(memory.kernels.values())
    print("\nstudents   all at work   a third at work, the others reading")
    for count in (50, 300, 1000):
        everybody = (hub_mib + count * (server + kernel)) / 1024
        some = (hub_mib + count * server + count * AT_WORK * kernel) / 1024
        print(f"{count:8d}   {everybody:7.0f} GiB   {some:7.0f} GiB")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 5, 10])
    parser.add_argument("--notebook", default="06_training_on_mnist.ipynb")
    arguments = parser.parse_args()

    import importlib

    machines = importlib.import_module("tests.class.machine")
    semester = importlib.import_module("tests.class.semester")
    if why := machines.problem():
        sys.exit(f"The load cannot be tested here: {why}.")
    notebook = next((ROOT / "notebooks").glob(arguments.notebook))
    most = max(arguments.at_once)
    semester.STUDENTS = tuple(f"student{i}" for i in range(most))
    models = os.environ.get("LECTURE_SHARED_CACHE")
    with tempfile.TemporaryDirectory() as logs, machines.Machine() as machine:
        school = semester.set_up(machine, Path(logs) / "hub.log")
        if models:
            machine.run(f"mount --bind {models} /srv/lecture-11/models")
        for count in sorted(arguments.at_once):
            seconds, memory = wave(school, semester.STUDENTS[:count], notebook)
            say(count, seconds, memory)
            if memory.machine > 80:
                print("80 % of the memory is taken; no more at once.")
                break
        extrapolate(memory, hub_mib=200)


if __name__ == "__main__":
    main()
