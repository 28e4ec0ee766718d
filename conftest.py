"""What every test run needs: an empty model cache of its own, and the exercises' solutions run after their notebook."""

import collections
import os
import re
import shutil
from pathlib import Path

import nbformat
from nbval.plugin import IPyNbCell

CACHE = Path(__file__).parent / ".cache" / "tests"
BROWSER_TESTS = Path(__file__).parent / "tests" / "browser"
SOLUTION = re.compile(r"<details>\s*<summary>.*?</summary>(.*?)</details>", re.DOTALL)
CODE_BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def pytest_configure(config):
    """Start with an empty cache, so that a run proves what a fresh clone does; the notebooks' kernels inherit it."""
    if not hasattr(config, "workerinput"):  # under pytest-xdist only the parent process empties it
        shutil.rmtree(CACHE, ignore_errors=True)
    os.environ["LECTURE_CACHE"] = str(CACHE)


def solutions(notebook):
    """The code of the folded solutions of a notebook, in order."""
    return ["\n".join(CODE_BLOCK.findall(folded)) for cell in notebook.cells if cell.cell_type == "markdown"
            for folded in SOLUTION.findall(cell.source) if CODE_BLOCK.search(folded)]


def pytest_collection_modifyitems(items):
    """Run the browser tests last, on the models that the notebooks trained, and each folded solution behind its notebook."""
    items.sort(key=lambda item: BROWSER_TESTS in item.path.parents)  # a stable sort: all else stays in order
    add_solutions(items)


def add_solutions(items):
    """Run each folded solution in its notebook's kernel, as one more cell behind the last."""
    for position in reversed(range(len(items))):
        item = items[position]
        is_last = position + 1 == len(items) or items[position + 1].parent is not item.parent
        if isinstance(item, IPyNbCell) and is_last:
            for number, source in reversed(list(enumerate(solutions(item.parent.nb), start=1))):
                cell = nbformat.v4.new_code_cell(source)
                items.insert(position + 1, IPyNbCell.from_parent(
                    item.parent, name=f"Solution {number}", cell_num=1000 + number, cell=cell, options=collections.defaultdict(bool)))
