"""What every test run needs: an empty model cache of its own, and the exercises' solutions run after their notebook."""

import collections
import os
import re
import shutil
import threading
from pathlib import Path

import nbformat
from nbval.plugin import IPyNbCell

pytest_plugins = ["tests.started_early"]
CACHE = Path(__file__).parent / ".cache" / "tests"
BROWSER_TESTS = Path(__file__).parent / "tests" / "browser"
SOLUTION = re.compile(r"<details>\s*<summary>.*?</summary>(.*?)</details>", re.DOTALL)
CODE_BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def pytest_configure(config):
    """Start with an empty cache, so that a run proves what a fresh clone does; the notebooks' kernels inherit it."""
    if not hasattr(config, "workerinput"):  # under pytest-xdist only the parent process empties it
        shutil.rmtree(CACHE, ignore_errors=True)
    os.environ["LECTURE_CACHE"] = str(CACHE)
    # Notebooks, browsers and what was started early run beside each other, two at a time: each gets its share of the cores.
    os.environ.setdefault(
        "OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // 2))
    )  # before torch is imported
    config.addinivalue_line(
        "markers",
        "before_notebooks: a browser test that runs before the notebooks, to start the readers beside them",
    )


def solutions(notebook):
    """The code of the folded solutions of a notebook, in order."""
    return [
        "\n".join(CODE_BLOCK.findall(folded))
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for folded in SOLUTION.findall(cell.source)
        if CODE_BLOCK.search(folded)
    ]


def pytest_collection_modifyitems(items):
    """Put the tests in order, and each folded solution behind its notebook."""
    items.sort(key=turn)  # a stable sort: all else stays in order
    add_solutions(items)


def pytest_collection_finish(session):
    """Give each notebook of the run an event that says that its cells have all been run."""
    session.config.has_run = {
        item.path: threading.Event() for item in session.items if isinstance(item, IPyNbCell)
    }


def turn(item):
    """First the notebooks; then the unit tests, while browsers still read the notebooks; then the tests of what they read.

    One browser test comes before all and starts the readers: beside nbval they read each notebook that it is done with, on
    the models that it trained.
    """
    if isinstance(item, IPyNbCell):
        return 1
    if BROWSER_TESTS in item.path.parents:
        return 0 if item.get_closest_marker("before_notebooks") else 3
    return 2


def pytest_runtest_teardown(item, nextitem):
    """Set the event of a notebook behind its last cell."""
    if isinstance(item, IPyNbCell) and (nextitem is None or nextitem.path != item.path):
        item.config.has_run[item.path].set()


def add_solutions(items):
    """Run each folded solution in its notebook's kernel, as one more cell behind the last."""
    for position in reversed(range(len(items))):
        item = items[position]
        is_last = position + 1 == len(items) or items[position + 1].parent is not item.parent
        if isinstance(item, IPyNbCell) and is_last:
            for number, source in reversed(list(enumerate(solutions(item.parent.nb), start=1))):
                cell = nbformat.v4.new_code_cell(source)
                items.insert(
                    position + 1,
                    IPyNbCell.from_parent(
                        item.parent,
                        name=f"Solution {number}",
                        cell_num=1000 + number,
                        cell=cell,
                        options=collections.defaultdict(bool),
                    ),
                )
