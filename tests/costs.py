"""A pytest plugin that measures what each part of the tests costs: CPU minutes, kernels included.

    LECTURE_TEST_COSTS=FILE pytest -p tests.costs ...

Every process of the run (the workers of pytest-xdist, too) adds lines "part seconds" to the file.
A part is a folder of tests/, or the notebooks.
"""

import collections
import os
from pathlib import Path

import psutil
import pytest


def cpu_seconds(family: bool = True) -> float:
    """CPU seconds of this process so far, of its living descendants and of those that ended.

    Without `family`, of this process alone.
    """
    me = psutil.Process()
    if not family:
        return sum(me.cpu_times()[:2])
    total = 0.0
    for process in [me, *me.children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.Error:  # it has just ended
            continue
        ended = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
        total += times.user + times.system + ended
    return total


class Costs:
    """Books the CPU time since the last test to the part that the test belongs to."""

    def __init__(self, config):
        self.root, self.parts = config.rootpath, collections.Counter()
        # Workers book for themselves: the process that started them books itself alone.
        has_workers = bool(getattr(config.option, "numprocesses", None))
        self.family = hasattr(config, "workerinput") or not has_workers
        self.last = cpu_seconds(self.family)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        self.book("collecting and waiting")
        result = yield
        first, *others = item.path.relative_to(self.root).parts
        self.book(f"{first}/{others[0]}" if first == "tests" else first)
        return result

    def book(self, part):
        now = cpu_seconds(self.family)
        self.parts[part] += max(0.0, now - self.last)
        self.last = now

    def pytest_sessionfinish(self):
        self.book("collecting and waiting")
        lines = [f"{seconds:.2f} {part}\n" for part, seconds in self.parts.items()]
        with open(os.environ["LECTURE_TEST_COSTS"], "a") as file:
            file.writelines(lines)


def pytest_configure(config):
    config.pluginmanager.register(Costs(config), "costs")


def minutes_by_part(file: str | Path) -> dict[str, float]:
    """CPU minutes by part, from the lines of all processes."""
    total = collections.Counter()
    for line in Path(file).read_text().splitlines():
        seconds, part = line.split(" ", 1)
        total[part] += float(seconds)
    return {part: round(seconds / 60, 2) for part, seconds in sorted(total.items())}
