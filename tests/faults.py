"""Real faults of the file system, for tests: a folder that cannot be written, and a disk with room for small files only."""

import contextlib
import ctypes
import os
import stat
import sys
from pathlib import Path

import pytest

DAC_OVERRIDE = 1 << 1  # the Linux capability by which root may write where permissions forbid it


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Capabilities(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable", *"ABC")]


@contextlib.contextmanager
def unwritable(*folders):
    """Make folders read-only for this thread, also if it is root's."""
    if os.name == "nt":
        pytest.skip("permissions of folders bind on POSIX")
    modes = {folder: stat.S_IMODE(Path(folder).stat().st_mode) for folder in folders}
    for folder in folders:
        Path(folder).chmod(0o555)
    try:
        with _bound_by_permissions():
            yield
    finally:
        for folder, mode in modes.items():
            Path(folder).chmod(mode)


@contextlib.contextmanager
def _bound_by_permissions():
    """Lay down root's right to write everywhere, in this thread."""
    if os.geteuid() != 0:
        yield
        return
    if not sys.platform.startswith("linux"):
        pytest.skip("permissions do not bind root")
    libc, header, held = ctypes.CDLL(None, use_errno=True), _Header(0x20080522, 0), _Capabilities()
    assert libc.capget(ctypes.byref(header), ctypes.byref(held)) == 0
    bound = _Capabilities.from_buffer_copy(held)
    bound.effective &= ~DAC_OVERRIDE
    assert libc.capset(ctypes.byref(header), ctypes.byref(bound)) == 0
    try:
        yield
    finally:
        assert libc.capset(ctypes.byref(header), ctypes.byref(held)) == 0


@contextlib.contextmanager
def small_files_only(limit=1_000_000):
    """Refuse to let any file grow beyond `limit` bytes: writing then fails as on a full disk, with an OSError in mid-file."""
    resource = pytest.importorskip("resource", reason="there are no such limits on Windows")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
