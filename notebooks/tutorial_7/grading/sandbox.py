"""The sandbox round the process that runs a student's code: bubblewrap, limits, and a cgroup.

Inside there are Python, `lecture_utils` and MNIST, all read-only, and one small folder in memory.
There is no network, no home, no course, no exchange, no token, and no process of anybody else.

usage: python grading/sandbox.py      (says whether there is a sandbox here, and what it limits)
"""

import contextlib
import functools
import importlib.util
import os
import platform
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

MEMORY = 3 * 2**30  # bytes of the whole sandbox, its files included, where there is a cgroup
ADDRESSES = 8 * 2**30  # bytes of addresses of one process; with 3 GiB torch cannot be imported
PROCESSES = 64  # and threads
DISK = 64 * 2**20  # bytes of all files together; they lie in memory
FILE = 32 * 2**20  # bytes of one file
FIRST_UID = 2**30  # where root grades, each sandbox is a user of its own, above all real ones
CGROUPS = Path("/sys/fs/cgroup")
INSTALL = "sudo apt install bubblewrap (Debian, Ubuntu), sudo dnf install bubblewrap (Fedora)"
ALLOW = "have it allowed here, where new namespaces of ordinary users are what is refused"
ELSEWHERE = "elsewhere grade in a container or an account that owns nothing, without network"


class Cgroup(NamedTuple):
    """How a command is put into a cgroup of its own: a prefix, and folders to be deleted."""

    prefix: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    limits: tuple[str, ...] = ()  # of ("memory", "processes")

    def close(self):
        """Delete the folders, once the last process in them has ended."""
        for folder in self.folders:
            for _ in range(100):
                try:
                    folder.rmdir()
                    break
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.05)


def command(folder: str) -> list[str]:
    """Return what stands before a command to run it in a sandbox, with `folder`/worker.py in it."""
    root = os.getuid() == 0
    # As root, no user namespace: a real user of its own is what limits on processes count.
    namespaces = ["ipc", "pid", "net", "uts"] + ([] if root else ["user"])
    words = ["bwrap", *(f"--unshare-{name}" for name in namespaces), "--unshare-cgroup-try"]
    words += ["--die-with-parent", "--new-session", "--hostname", "grading"]
    words += _system()
    for path in readable():
        words += [*_way_to(path), "--ro-bind", path, path]
    words += ["--proc", "/proc", "--dev", "/dev", *_room("/dev/shm"), "--remount-ro", "/dev"]
    words += [
        *_way_to(folder),
        *_room(folder),
        "--ro-bind",
        f"{folder}/worker.py",
        f"{folder}/worker.py",
    ]
    words += ["--chdir", folder, "--remount-ro", "/"]
    if root:
        words += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        words += ["--disable-userns", "--as-pid-1"]  # so that no kill(-1) reaches the worker
    words.append("--")
    if root:
        user = str(FIRST_UID + secrets.randbelow(2**30))
        words += ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        words += ["--inh-caps=-all", "--no-new-privs"]
        # Once more as that user, in a namespace that allows no further ones.
        words += ["bwrap", "--unshare-user", "--disable-userns", "--unshare-pid", "--as-pid-1"]
        words += ["--dev-bind", "/", "/", "--"]
    words += ["prlimit", f"--as={ADDRESSES}", f"--nproc={PROCESSES}", f"--fsize={FILE}"]
    return [*words, "--core=0", "--nofile=256", "--"]


def _way_to(path):
    """The folders above a path, empty and for everybody to pass: bwrap would make them private."""
    return [word for folder in reversed(Path(path).parents[:-1]) for word in ("--dir", str(folder))]


def _room(path):
    """A folder in memory that everybody in the sandbox may write to."""
    return ["--perms", "0777", "--size", str(DISK), "--tmpfs", path]


def _system():
    """The system's programs and libraries: /usr, and what stands beside it as links or folders."""
    words = ["--ro-bind", "/usr", "/usr"]
    for path in ("/bin", "/sbin", "/lib", "/lib32", "/lib64"):
        if os.path.islink(path):
            words += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            words += ["--ro-bind", path, path]
    return [*words, "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]


def readable() -> list[str]:
    """The folders that the sandbox reads besides the system: Python, its packages, ours, MNIST."""
    return _without_inner([*_python(), *_packages(), str(package()), str(data() / "MNIST")])


def package() -> Path:
    """The folder of `lecture_utils`; what lies beside it, the solutions among it, stays outside."""
    return Path(importlib.util.find_spec("lecture_utils").origin).parent


@functools.cache
def data() -> Path:
    """The folder that holds MNIST/raw, unpacked here, where that may be written."""
    from lecture_utils import data as mnist

    named = os.environ.get("LECTURE_DATA")
    default = mnist.DATA_DIR if mnist.DATA_DIR.is_dir() else mnist.user_cache()
    return Path(mnist._unpacked_root(Path(named or default))).resolve()


def _python():
    """The folders of the interpreter, each link on the way to it included."""
    folders, program = [sys.prefix, sys.base_prefix], os.path.abspath(sys.executable)
    while os.path.islink(program):
        program = os.path.join(os.path.dirname(program), os.readlink(program))
        folders.append(os.path.dirname(os.path.dirname(program)))
    return folders


def _packages():
    """Where packages lie that the worker imports, if not in the interpreter's folders."""
    specs = map(importlib.util.find_spec, ("torch", "torchvision", "numpy", "IPython"))
    return [str(Path(spec.origin).parents[1]) for spec in specs if spec and spec.origin]


def _without_inner(paths):
    """Absolute paths, without those inside another one or inside /usr."""
    paths, kept = sorted({os.path.normpath(path) for path in paths}, key=len), []
    for path in paths:
        if not any(Path(path).is_relative_to(outer) for outer in ["/usr", *kept]):
            kept.append(path)
    return kept


def environment() -> dict[str, str]:
    """What the worker's environment needs more in the sandbox."""
    return {"PYTHONPATH": str(package().parent), "LECTURE_DATA": str(data())}


# ----------------------------------------------------------------------------------- cgroups


def cgroup() -> Cgroup:
    """Return a cgroup for one sandbox: by systemd, by hand as root, or none."""
    return _by_systemd() or _by_hand() or Cgroup()


@functools.cache
def _by_systemd():
    if not shutil.which("systemd-run"):
        return None
    words = ["systemd-run", "--scope", "--quiet", "--collect"]
    if os.getuid():
        # A server of JupyterHub, and the worker, are not told where the user's systemd listens.
        words = ["env", f"XDG_RUNTIME_DIR=/run/user/{os.getuid()}", *words, "--user"]
    words += [f"--property=MemoryMax={MEMORY}", "--property=MemorySwapMax=0"]
    words += [f"--property=TasksMax={PROCESSES}"]
    # From version 253 on systemd ends all of a scope that ran out of memory, the worker with it.
    for more in (["--property=OOMPolicy=continue"], []):
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            whole = [*words, *more, "--"]
            if subprocess.run([*whole, "true"], capture_output=True, timeout=20).returncode == 0:
                return Cgroup(tuple(whole), (), ("memory", "processes"))
    return None


def _by_hand():
    """Make folders below this process's own cgroup, so that all limits above still hold."""
    files = {"memory": [("memory.max", MEMORY), ("memory.swap.max", 0)]}
    files["pids"] = [("pids.max", PROCESSES)]
    folders, limits, name = [], [], f"sandbox-{secrets.token_hex(6)}"
    for kind, (path, version) in _own_cgroups().items():
        if version == 1 and kind == "memory":
            files["memory"] = [("memory.limit_in_bytes", MEMORY)]
        folder = path / name
        _tidy(path)
        try:
            folder.mkdir(exist_ok=True)
            if folder not in folders:
                folders.append(folder)
            for i, (file, most) in enumerate(files[kind]):
                if i == 0 or (folder / file).exists():
                    (folder / file).write_text(str(most))
            limits.append({"memory": "memory", "pids": "processes"}[kind])
        except OSError:
            continue
    if not limits:
        Cgroup(folders=tuple(folders)).close()
        return None
    enter = 'for file in $1; do echo $$ > "$file" || exit 1; done; shift; exec "$@"'
    procs = " ".join(str(folder / "cgroup.procs") for folder in folders)
    return Cgroup(("sh", "-c", enter, "sandbox", procs), tuple(folders), tuple(limits))


def _tidy(path):
    """Delete what killed graders have left: empty cgroups, older than any that is being filled."""
    for old in path.glob("sandbox-*"):
        with contextlib.suppress(OSError):
            if time.time() - old.stat().st_mtime > 600:
                old.rmdir()  # refuses while a process is in it


def _own_cgroups():
    """{"memory" and "pids": (folder of this process's cgroup, version)}, as far as there are."""
    found = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, kinds, path = line.split(":", 2)
            if not kinds and (CGROUPS / "cgroup.controllers").exists():
                found |= {kind: (CGROUPS / path.strip("/"), 2) for kind in ("memory", "pids")}
            for kind in {"memory", "pids"} & set(kinds.split(",")):
                found[kind] = (CGROUPS / kind / path.strip("/"), 1)
    return {kind: at for kind, at in found.items() if at[0].is_dir()}


# ------------------------------------------------------------------------------------ can it?


@functools.cache
def problem() -> str | None:
    """Return None if code can be run in a sandbox here, else in one line why not."""
    if platform.system() != "Linux":
        return f"bubblewrap runs on Linux only, this is {platform.system()}"
    for program in ("bwrap", "setpriv", "prlimit"):
        if not shutil.which(program):
            return f"the program {program} is not installed"
    from grading.score import Worker

    worker = Worker("auto")
    try:
        worker.ask({"setup": [], "cells": []})
    except (OSError, ValueError, KeyError):
        return worker.complaint() or "it does not start"
    finally:
        worker.close()
    return None


def says() -> str:
    """Return one line for the lecturer: what the sandbox limits, and what is unlimited."""
    if why := problem():
        how = f"{INSTALL if why.endswith('not installed') else ALLOW}; {ELSEWHERE}"
        if platform.system() != "Linux":
            how = ELSEWHERE
        return f"There is no sandbox here: {why.rstrip('.')}. How to get one: {how}."
    group = cgroup()
    group.close()
    gib = f"{MEMORY / 2**30:g} GiB"
    parts = {
        "memory": f"{gib} of memory in all",
        "processes": f"{PROCESSES} processes in all",
    }
    text = "Sandbox: no network, no files but Python and MNIST, " + ", ".join(
        [parts[limit] for limit in parts if limit in group.limits] + [f"{DISK >> 20} MiB of files"]
    )
    if "memory" not in group.limits:
        text += (
            ". Without a cgroup, unlimited is: the memory of all processes of a submission together"
            f" (each {ADDRESSES >> 30} GiB, at most {PROCESSES})"
        )
    return text + "."


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from grading import sandbox

    print(sandbox.says())
