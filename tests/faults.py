"""Real faults of the file system, for tests: what may not be written, and what may not be read."""

import contextlib
import ctypes
import os
import stat
import sys
from pathlib import Path

import pytest

# The Linux capabilities by which root may write, and read, where permissions forbid it.
DAC_OVERRIDE, DAC_READ_SEARCH = 1 << 1, 1 << 2


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Capabilities(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable", *"ABC")
    ]


@contextlib.contextmanager
def unwritable(*folders):
    """Make folders read-only for this thread, also if it is root's."""
    with _modes(0o555, folders):
        yield


@contextlib.contextmanager
def unreadable(*files):
    """Make files unreadable for this thread, also if it is root's."""
    with _modes(0o000, files):
        yield


@contextlib.contextmanager
def _modes(mode, paths):
    """Give files or folders a mode, and bind this thread to it."""
    if os.name == "nt":
        pytest.skip("permissions bind on POSIX")
    modes = {path: stat.S_IMODE(Path(path).stat().st_mode) for path in paths}
    for path in paths:
        Path(path).chmod(mode)
    try:
        with _bound_by_permissions():
            yield
    finally:
        for path, before in modes.items():
            if Path(path).exists():
                Path(path).chmod(before)


@contextlib.contextmanager
def _bound_by_permissions():
    """Lay down root's right to write and read everywhere, in this thread."""
    if os.geteuid() != 0:
        yield
        return
    if not sys.platform.startswith("linux"):
        pytest.skip("permissions do not bind root")
    libc, header, held = ctypes.CDLL(None, use_errno=True), _Header(0x20080522, 0), _Capabilities()
    assert libc.capget(ctypes.byref(header), ctypes.byref(held)) == 0
    bound = _Capabilities.from_buffer_copy(held)
    bound.effective &= ~(DAC_OVERRIDE | DAC_READ_SEARCH)
    assert libc.capset(ctypes.byref(header), ctypes.byref(bound)) == 0
    try:
        yield
    finally:
        assert libc.capset(ctypes.byref(header), ctypes.byref(held)) == 0
