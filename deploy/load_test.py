"""How many students a machine carries: simulated ones on a real hub, and what each takes.

usage (as root, in the environment that deploy/README.md makes, with the extra `test` as well):
    python deploy/load_test.py                          # 1, 5 and 10 students at once
    python deploy/load_test.py --at-once 1 5 10 20 --notebook 06_training_on_mnist.ipynb

Each student logs in, starts a server, fetches Tutorial 7, runs a notebook in its kernel to the end
and hands in. It all happens on a machine of its own (tests/class/machine.py), whose accounts vanish
with it. No wave is started that would take more than 80 % of this machine's memory.

Memory is counted in USS, what a process would give back if it ended. What all processes take
together is the sum of their PSS: what they share (programs, libraries) is counted once. CPU seconds
are what the processor worked; the time on the clock also holds the waiting for it, and says nothing
about another machine. Fill the models first: `make cache`, and let LECTURE_SHARED_CACHE name their
folder.
"""

import argparse
import contextlib
import importlib
import json
import os
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
machines = importlib.import_module("tests.class.machine")
semester = importlib.import_module("tests.class.semester")
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
            answer = socket.recv()
            if isinstance(answer, bytes):  # of a widget, with pixels behind it; no reply is
                continue
            answer = json.loads(answer)
            if answer["parent_header"].get("msg_id") != message:
                continue
            if answer["msg_type"] == "execute_reply":
                if answer["content"]["status"] != "ok":
                    raise RuntimeError(f"cell {number}: {answer['content'].get('evalue')}")
                break
    socket.close()
    return time.monotonic() - start


class Watch(threading.Thread):
    """Looks once a second at what the processes of the accounts, and the hub with its proxy, take.

    `servers`, `kernels`: {account: most USS in MiB}; `hub`: most USS; `together`: most PSS of all;
    `machine`: the most of this machine's memory that was taken, in percent.
    """

    def __init__(self, accounts, starter):
        """`accounts`: {uid: name}; `starter`: the process that started the hub."""
        super().__init__(daemon=True)
        self.accounts, self.starter, self.end = dict(accounts), starter, threading.Event()
        self.servers, self.kernels = {}, {}
        self.hub = self.together = self.machine = 0.0

    def processes(self):
        """Yield ("hub", "server" or "kernel", whose, process) of what runs now."""
        for process in self.starter.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                uid, words = process.uids().real, process.cmdline()
                kind = "kernel" if any("ipykernel" in word for word in words) else "server"
                if uid in self.accounts:
                    yield kind, self.accounts[uid], process
                elif uid == 0:
                    yield "hub", "root", process

    def run(self):
        while not self.end.wait(1):
            together, now = 0.0, {"hub": {}, "server": {}, "kernel": {}}
            for kind, name, process in self.processes():
                with contextlib.suppress(psutil.Error):
                    memory = process.memory_full_info()
                    now[kind][name] = now[kind].get(name, 0) + memory.uss / MIB
                    together += memory.pss / MIB
            for most, kind in ((self.servers, "server"), (self.kernels, "kernel")):
                for name, uss in now[kind].items():
                    most[name] = max(most.get(name, 0), uss)
            self.hub = max(self.hub, now["hub"].get("root", 0))
            self.together = max(self.together, together)
            self.machine = max(self.machine, psutil.virtual_memory().percent)

    def cpu(self, whose):
        """The CPU seconds of an account, or of the hub and its proxy ("root"), up to now."""
        seconds = 0.0
        for kind, name, process in self.processes():
            with contextlib.suppress(psutil.Error):
                if name == whose:
                    times = process.cpu_times()
                    seconds += times.user + times.system
                    # The hub buries students' servers, whose time is not its own.
                    if kind != "hub":
                        seconds += times.children_user + times.children_system
        return seconds


def one_student(school, name, notebook, barrier, watch):
    """What one student does; return {what: (CPU seconds, seconds on the clock)}."""
    taken = {}

    def timed(what, do):
        start, cpu = time.monotonic(), watch.cpu(name)
        result = do()
        taken[what] = (watch.cpu(name) - cpu, time.monotonic() - start)
        return result

    barrier.wait()
    person = timed("log in", lambda: school.person(name))
    timed("start the server", person.start)
    timed("fetch", lambda: person.assignments("fetch"))
    timed("run the notebook", lambda: run_notebook(person, notebook))
    person.save(semester.three_answers())
    done = timed("hand in", lambda: person.assignments("submit"))
    assert done["success"], done
    return taken


class Wave(NamedTuple):
    """Students at once: what each took, what was watched, and the hub's CPU seconds for each."""

    taken: list[dict]
    watch: Watch
    hub: float

    def mean(self, what):
        """The mean over the students of the most memory ("servers", "kernels"), in MiB."""
        values = getattr(self.watch, what).values()
        return sum(values) / len(values)


def wave(school, names, notebook) -> Wave:
    """All these students at once."""
    accounts = {int(school.machine.run(f"id -u {name}").stdout): name for name in names}
    watch = Watch(accounts, psutil.Process(school.machine.started[0].pid))
    barrier, before = threading.Barrier(len(names)), watch.cpu("root")
    watch.start()
    with ThreadPoolExecutor(len(names)) as pool:
        jobs = [pool.submit(one_student, school, n, notebook, barrier, watch) for n in names]
        taken = [job.result() for job in jobs]
    watch.end.set()
    watch.join()
    hub = (watch.cpu("root") - before) / len(names)
    theirs = [process for kind, _, process in watch.processes() if kind != "hub"]
    for name in names:
        school.machine.run(f"pkill -9 -u {name}", check=False)
    _, alive = psutil.wait_procs(theirs, timeout=30)  # `fits` would count their memory once more
    if alive:
        print(f"{len(alive)} processes did not end: their memory is counted again")
    return Wave(taken, watch, hub)


def say(count, done: Wave):
    """Print what was measured with `count` students at once."""
    print(f"{count} at once, for each: CPU seconds (seconds on the clock)")
    for what in done.taken[0]:
        cpu, clock = (sum(t[what][i] for t in done.taken) / count for i in (0, 1))
        print(f"    {what}: {cpu:.1f} ({clock:.1f})")
    print(f"    the hub and its proxy, for all of it: {done.hub:.1f}")
    server, kernel = (done.mean(what) for what in ("servers", "kernels"))
    watch = done.watch
    print(
        f"  MiB: server {server:.0f}, kernel {kernel:.0f}, hub and proxy {watch.hub:.0f}; together"
    )
    print(f"    {watch.together:.0f}, shared pages once; the machine at {watch.machine:.0f} %")
    sys.stdout.flush()


def extrapolate(waves: dict[int, Wave]):
    """Print what 50, 300 and 1000 students need, from what one of the largest wave takes."""
    least, most = min(waves), max(waves)
    server, kernel = (waves[most].mean(what) for what in ("servers", "kernels"))
    print(f"\none student: {server + kernel:.0f} MiB, server and kernel at their most")
    if most > least:
        grown = waves[most].watch.together - waves[least].watch.together
        print(f"each more, from {least} to {most} at once: {grown / (most - least):.0f} MiB of PSS")
    print("students   all at work   a third at work, the others reading")
    for count in (50, 300, 1000):
        hub = waves[most].watch.hub
        everybody = (hub + count * (server + kernel)) / 1024
        some = (hub + count * server + count * AT_WORK * kernel) / 1024
        print(f"{count:8d}   {everybody:7.0f} GiB   {some:7.0f} GiB")


def fits(count, waves: dict[int, Wave]):
    """Whether so many at once would stay below 80 % of this machine's memory."""
    if not waves:
        return True
    largest = waves[max(waves)]
    each = (largest.mean("servers") + largest.mean("kernels")) * MIB
    memory = psutil.virtual_memory()
    return memory.total - memory.available + count * each < 0.8 * memory.total


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 5, 10])
    parser.add_argument("--notebook", default="06_training_on_mnist.ipynb")
    arguments = parser.parse_args()

    if why := machines.problem():
        sys.exit(f"The load cannot be tested here: {why}.")
    notebook = next((ROOT / "notebooks").glob(arguments.notebook))
    most = max(arguments.at_once)
    semester.STUDENTS = tuple(f"student{i}" for i in range(most))
    models, waves = os.environ.get("LECTURE_SHARED_CACHE"), {}
    with tempfile.TemporaryDirectory() as logs, machines.Machine() as machine:
        school = semester.set_up(machine, Path(logs) / "hub.log")
        if models:
            machine.run(f"mount --bind {models} /srv/lecture-11/models")
        for count in sorted(arguments.at_once):
            if not fits(count, waves):
                print(f"{count} at once would take more than 80 % of the memory here.")
                break
            waves[count] = wave(school, semester.STUDENTS[:count], notebook)
            say(count, waves[count])
        extrapolate(waves)


if __name__ == "__main__":
    main()
