"""The process in which a student's code runs. It returns what the code did, as numbers; it
compares nothing and knows no answer.

Started by score.py, in an empty folder. It reads requests, one line of JSON each, and answers each
with a line of JSON that
says how many bytes follow. Every request is met in a child that is killed afterwards, so that
nothing outlives it.
"""

import builtins
import contextlib
import ctypes
import io
import json
import os
import resource
import select
import signal
import struct
import sys
import time

CPU_SECONDS = 20  # that a child may compute: for one task, with the cells that it needs
# that one cell, or one task, may take in all: a busy machine must not cost an honest answer its
# points
CELL_SECONDS = 60
MOST_BYTES = 32 * 2**20
ROOM = 4 * 2**30  # bytes of memory that a child may take more than its parent
FILE_BYTES = 2**20
SLOW = 5  # seconds: a cell that is no answer and takes longer is left out


class Shell:
    """What `get_ipython()` gives: magics do nothing."""

    def __getattr__(self, name):
        return lambda *arguments, **options: None


def main():
    """Answer requests until there are no more."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    _adopt_orphans()
    world = None
    for line in requests:
        request = json.loads(line)
        if "cells" in request:
            world = World(**request)
            header, payload = world.load(), b""
        else:
            header, payload = world.observe(**request)
        answers.write(json.dumps(header | {"size": len(payload)}).encode() + b"\n" + payload)
        answers.flush()


class World:
    """A submission's cells, and what they may use."""

    def __init__(self, setup, cells, computing=CPU_SECONDS):
        """`setup`: sources of the cells that were handed out; `cells`: [name of the answer or "",
        source] of the student's."""
        from IPython.core.inputtransformer2 import TransformerManager

        self.cells = [
            (i, name, TransformerManager().transform_cell(source))
            for i, (name, source) in enumerate(cells)
        ]
        self.left_out, self.computing = {}, computing
        self.names = {"__name__": "__main__", "get_ipython": Shell, "display": lambda *a, **k: None}
        with contextlib.redirect_stdout(io.StringIO()):
            for source in setup:
                exec(source, self.names)
        nothing = {name: lambda *a, **k: None for name in ("check", "check_target", "train")}
        self.names.update(nothing)

    def load(self):
        """Run all cells once, to find those that do not end, end Python, or take too long; return
        {"trouble": {cell: text}}."""
        for _ in range(len(self.cells) + 1):
            status, lines = in_child(self._load, 3 * CELL_SECONDS, self.computing, by_line=True)
            events = [json.loads(line) for line in lines]
            started = [e["cell"] for e in events if "cell" in e]
            slow = [
                e["done"]
                for e in events
                if e.get("seconds", 0) > SLOW and not self.cells[e["done"]][1]
            ]
            self.left_out |= dict.fromkeys(slow, f"took longer than {SLOW} s and was left out")
            if status == "ok" or not started:
                break
            words = {
                "died": f"ended Python, or computed for more than {self.computing} s,",
                "late": f"did not end within {CELL_SECONDS} s",
            }[status]
            self.left_out[started[-1]] = f"{words} and was left out"
        return {"trouble": {str(i): text for i, text in self.left_out.items()}}

    def _load(self, send):
        for i, _, _ in self._wanted():
            send(json.dumps({"cell": i}).encode() + b"\n")
            start = time.monotonic()
            self._run(i)
            send(json.dumps({"done": i, "seconds": time.monotonic() - start}).encode() + b"\n")
        send(b"")

    def _wanted(self, task=None):
        return [
            cell
            for cell in self.cells
            if cell[0] not in self.left_out and (task is None or cell[1] in ("", task))
        ]

    def _run(self, i):
        try:
            exec(compile(self.cells[i][2], f"<cell {i}>", "exec"), self.names)
        except BaseException as error:  # a SystemExit is an error of that cell, no more
            return f"{type(error).__name__}: {error}"[:500]
        return None

    def observe(self, task, seed, alone):
        """Return what the answer to `task` does on the inputs of `seed`: ({"status"}, safetensors).

        `alone`: only the cell of that task and cells that answer none are run, with the package's
        other functions.
        """
        status, payload = in_child(
            lambda send: self._observe(send, task, seed, alone), CELL_SECONDS, self.computing
        )
        return {"status": status}, payload

    def _observe(self, send, task, seed, alone):
        from lecture_utils.tutorial import TASKS, is_taken
        from lecture_utils.tutorial.answers import NAMES

        import torch
        from safetensors.torch import save

        kept, functions = dict(vars(builtins)), TASKS[task].functions
        if alone:
            self.names.update(NAMES)
            for name in functions:
                self.names.pop(name, None)
        failed = {}
        for i, name, _ in self._wanted(task if alone else None):
            if error := self._run(i):
                failed[name] = error
        vars(builtins).update(kept)
        torch.set_default_dtype(torch.float32)
        torch.set_grad_enabled(True)
        answer = {name: self.names[name] for name in functions if name in self.names}
        if len(answer) < len(functions):
            record = {"error": failed.get(task, f"NameError: there is no {functions[0]}")}
        else:
            record = dict(TASKS[task].observe(answer, seed))
            record["taken"] = any(is_taken(name, one) for name, one in answer.items())
        tensors = {k: v for k, v in record.items() if type(v) is torch.Tensor}
        rest = {k: v for k, v in record.items() if isinstance(v, (str, float, int, bool))}
        send(save(tensors, {"rest": json.dumps(rest)}))


def in_child(job, seconds, computing, by_line=False):
    """Run `job(send)` in a child that is killed afterwards; return "ok", "died" or "late", and the
    bytes that it sent.

    With `by_line` it sends lines, each within CELL_SECONDS of the one before and an empty one at
    the end: a list is returned.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _become_harmless(writing, computing)

        def send(data):
            (
                os.write(writing, b"\n")
                if by_line and not data
                else _write_all(writing, data if by_line else struct.pack("<Q", len(data)) + data)
            )

        try:
            job(send)
        finally:
            os._exit(0)
    os.close(writing)
    try:
        return _receive_lines(reading, seconds) if by_line else _receive(reading, seconds)
    finally:
        os.close(reading)
        _kill(child)


def _write_all(descriptor, data):
    data = memoryview(data)
    while data:
        data = data[os.write(descriptor, data) :]


def _receive(reading, seconds):
    end, data = time.monotonic() + seconds, b""
    while True:
        if len(data) >= 8:
            (size,) = struct.unpack("<Q", data[:8])
            if size > MOST_BYTES:
                return "died", b""
            if len(data) >= 8 + size:
                return "ok", data[8 : 8 + size]
        part = _some(reading, end)
        if part is None:
            return "late", b""
        if not part:
            return "died", b""
        data += part


def _receive_lines(reading, seconds):
    end, data = time.monotonic() + seconds, b""
    while b"\n\n" not in data and not data.startswith(b"\n"):
        part = _some(reading, min(end, time.monotonic() + CELL_SECONDS))
        if not part or len(data) > 2**20:
            return ("late" if part is None else "died"), _lines(data)
        data += part
    return "ok", _lines(data)


def _lines(data):
    """The lines that are what they should be; what a submission wrote between them is not."""
    kept = []
    for line in data.split(b"\n"):
        with contextlib.suppress(ValueError):
            event = json.loads(line)
            if isinstance(event, dict) and all(isinstance(v, (int, float)) for v in event.values()):
                kept.append(line)
    return kept


def _some(reading, end):
    """Some bytes, b"" at the end of the pipe, None if it is too late."""
    ready, _, _ = select.select([reading], [], [], max(0, end - time.monotonic()))
    return os.read(reading, 2**16) if ready else None


def _become_harmless(writing, computing):
    """In the child: a session of its own, no way to the parent's pipes, limits on memory, files
    and time."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.closerange(3, writing)
    os.closerange(writing + 1, 1024)
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(i, "w" if i else "r") for i in (0, 1, 2))
    limits = {
        resource.RLIMIT_FSIZE: FILE_BYTES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: computing,
    }
    with contextlib.suppress(OSError), open("/proc/self/statm") as statm:  # on Linux
        limits[resource.RLIMIT_AS] = int(statm.read().split()[0]) * resource.getpagesize() + ROOM
    for what, most in limits.items():
        resource.setrlimit(what, (most, most))


def _adopt_orphans():
    """Make this process the parent of what its children leave behind, so that it can be killed
    (Linux)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def _kill(child):
    """Kill a child with its session, then whatever it left behind."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    for _ in range(100):
        with contextlib.suppress(OSError):
            left = _children()
            for orphan in left:
                with contextlib.suppress(OSError):
                    os.kill(int(orphan), signal.SIGKILL)
                    os.waitpid(int(orphan), 0)
            if left:
                continue
        break


def _children():
    """The processes whose parent is this one, by the numbers that this one knows them by."""
    own, found = os.readlink("/proc/self"), []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/status") as file:
            status = dict(line.split(":", 1) for line in file if ":" in line)
            if status["PPid"].strip() == own:
                found.append(status["NSpid"].split()[-1])  # its number in this namespace
    return found


if __name__ == "__main__":
    main()
