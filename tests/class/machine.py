"""A machine of its own on this one: accounts, homes and programs that vanish with it.

Its processes see this machine through a copy that only they write to (overlays in a mount
namespace), have their own list of processes, and end with it. Needs root. Nothing of the real
machine changes: no account is made, no file is written.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# A Python that has jupyterhub and nbgrader. `make test-class` installs them into .venv.
PYTHON = Path(os.environ.get("CLASS_PYTHON", os.path.abspath(sys.executable)))
HERE = "/opt/lecture-11"  # where deploy/README.md puts the repository
COPIED = ("/etc", "/home", "/srv", "/opt", "/var", "/root", "/usr/local")


def problem() -> str | None:
    """Why there cannot be such a machine here, None if there can."""
    if sys.platform != "linux":
        return "Linux is needed"
    if os.getuid() != 0:
        return "root is needed, for accounts and namespaces: sudo make test-class"
    for program in ("unshare", "nsenter", "useradd", "bwrap"):
        if not shutil.which(program):
            return f"the program {program} is needed"
    if not (PYTHON.parent / "jupyterhub").exists():
        return f"JupyterHub is not installed beside {PYTHON}: pip install -e '.[tutorial,hub]'"
    if not proxy():
        return "configurable-http-proxy is needed: npm install --global configurable-http-proxy"
    with tempfile.TemporaryDirectory() as folder:
        script = f"mount -t tmpfs none {folder} && mkdir {folder}/a {folder}/b && mount -t overlay"
        script += f" none -o lowerdir=/etc,upperdir={folder}/a,workdir={folder}/b /etc"
        done = subprocess.run(["unshare", "--mount", "sh", "-c", script], capture_output=True)
    return "overlays cannot be mounted" if done.returncode else None


def proxy() -> str | None:
    """The folder with configurable-http-proxy."""
    found = shutil.which("configurable-http-proxy", path=os.environ.get("CLASS_PROXY"))
    found = found or shutil.which("configurable-http-proxy")
    return str(Path(found).parent) if found else None


class Machine:
    """Start it, run commands in it by `run`, and it is gone after `close`."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="class-machine-")
        paths = [*COPIED, *self._elsewhere()]
        script = ["set -e", f"mount -t tmpfs tmpfs {self.folder}"]
        for i, path in enumerate(paths):
            upper, work = f"{self.folder}/u{i}", f"{self.folder}/w{i}"
            layers = f"lowerdir={path},upperdir={upper},workdir={work}"
            script += [f"mkdir {upper} {work}", f"mount -t overlay overlay -o {layers} {path}"]
        script += ["chmod 711 /root", f"ln -sfn {ROOT} {HERE}"]
        environment = PYTHON.parents[1]
        if (ROOT / ".venv").resolve() != environment.resolve():
            script += [f"rm -rf {ROOT}/.venv", f"ln -s {environment} {ROOT}/.venv"]
        if not str(ROOT).startswith("/tmp/"):
            script += ["mount -t tmpfs -o mode=1777 tmpfs /tmp"]
        # The first process of a machine buries what has died; bash does, sleep would not.
        script += ["touch /var/machine-is-up", "while true; do sleep 3600 & wait; done"]
        # It ends with this process, however that ends.
        words = ["setpriv", "--pdeathsig", "KILL"]
        words += ["unshare", "--mount", "--propagation=private", "--pid", "--fork", "--ipc"]
        words += ["--mount-proc", "--kill-child", "bash", "-c", "\n".join(script)]
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)
        self.process = subprocess.Popen(words, stderr=self.errors, start_new_session=True)
        self.pid = self._first_process()
        self.started = []

    @staticmethod
    def _elsewhere():
        """The repository and the environment, where no folder above copies them."""
        wanted = {str(ROOT), str(PYTHON.parents[1]), sys.base_prefix}
        outside = [p for p in wanted if not any(Path(p).is_relative_to(c) for c in COPIED)]
        return [p for p in outside if p != "/usr"]

    def _first_process(self):
        for _ in range(100):
            if self.process.poll() is not None:
                self.errors.seek(0)
                raise OSError(self.errors.read().decode())
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
            found = children.read_text().split()
            if found and Path(f"/proc/{found[0]}/root/var/machine-is-up").exists():
                return int(found[0])
            time.sleep(0.1)
        raise OSError("the machine did not start")

    def _words(self, command, user, environment):
        path = f"{PYTHON.parent}:{proxy()}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
        set_to = {"PATH": path, "LANG": "C.UTF-8"} | environment
        words = ["nsenter", "--target", str(self.pid), "--mount", "--pid", "--ipc", "--"]
        if user:
            set_to |= {"HOME": f"/home/{user}", "USER": user, "LOGNAME": user}
            words += ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
        else:
            set_to |= {"HOME": "/root", "USER": "root"}
        assigned = [f"{name}={value}" for name, value in set_to.items()]
        return [*words, "env", "-i", *assigned, "sh", "-c", f"cd; {command}"]

    def run(self, command, user=None, check=True, timeout=900, **environment):
        """Run a line of shell in the machine; return the finished process with its output."""
        done = subprocess.run(
            self._words(command, user, environment),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
        )
        assert not check or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"[-6000:]
        return done

    def start(self, command, log, user=None, **environment):
        """Start a command that goes on; what it prints goes to the file `log`."""
        with open(log, "ab") as file:
            process = subprocess.Popen(
                self._words(f"exec {command}", user, environment),
                stdout=file,
                stderr=file,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def path(self, path):
        """The path by which this machine reaches a file of the other."""
        return Path(f"/proc/{self.pid}/root{path}")

    def close(self):
        """End every process in it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for process in self.started:
            process.wait(timeout=60)
        self.errors.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()
