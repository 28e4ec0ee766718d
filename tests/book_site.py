"""The web edition, built once for all tests that look at it, as `make book` builds it but without a network."""

import atexit
import functools
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Python imports a module of this name at its start: it turns every attempt to reach a network into an error.
NO_NETWORK = """
import socket
def connect(self, address):
    if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1"):  # Python itself may use the loopback address
        raise OSError(f"the web edition must be built without a network, not by asking {address}")
    return original(self, address)
original, socket.socket.connect = socket.socket.connect, connect
"""


@functools.cache
def build():
    """Run the command of `make book` with another output folder, which it returns with the finished process."""
    folder = tempfile.TemporaryDirectory(prefix="web-edition-")
    atexit.register(folder.cleanup)
    out = Path(folder.name)
    recipe = re.search(r"^book:.*\n\t(.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)[1]
    command = [part.replace("$(BIN)/python", sys.executable).replace("build/book", str(out)) for part in shlex.split(recipe)]
    (out / "sitecustomize.py").write_text(NO_NETWORK)
    return out, subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(out)})


def site():
    """The folder with the built pages."""
    out, process = build()
    assert process.returncode == 0, process.stderr
    return out / "html"
