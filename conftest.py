"""Every test run starts with an empty model cache of its own, so that it proves what a fresh clone does."""

import os
import shutil
from pathlib import Path

CACHE = Path(__file__).parent / ".cache" / "tests"


def pytest_configure(config):
    if not hasattr(config, "workerinput"):  # under pytest-xdist only the parent process empties it
        shutil.rmtree(CACHE, ignore_errors=True)
    os.environ["LECTURE_CACHE"] = str(CACHE)  # the notebooks' kernels inherit it
