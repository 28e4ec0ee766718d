"""The web edition, built as `make book` builds it but without a network."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Python imports a module of this name at its start: it turns every attempt to reach a network into
# an error.
NO_NETWORK = """
import socket
def connect(self, address):
    # Python itself may use the loopback address.
    if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1"):
        raise OSError(f"the web edition must be built without a network, not by asking {address}")
    return original(self, address)
original, socket.socket.connect = socket.socket.connect, connect
"""


def build(out):
    """Run the command of `make book` with the output folder `out` in place of build/book; return
    `out` and the finished process.
    """
    recipe = re.search(
        r"^book:.*\n\t(.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )[1]
    command = [
        part.replace("$(BIN)/python", sys.executable).replace("build/book", str(out))
        for part in shlex.split(recipe)
    ]
    (out / "sitecustomize.py").write_text(NO_NETWORK)
    return out, subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(out)}
    )
