"""Reading committed notebooks: their cells, prose and figures."""

import re

import nbformat
import pytest

from tests.helpers import ROOT

SOLUTION = re.compile(r"<details>\s*<summary>.*?</summary>(.*?)</details>", re.DOTALL)
CODE_BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
NUMBERED = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
NOTEBOOKS = NUMBERED + sorted((ROOT / "notebooks" / "tutorial_7" / "source").rglob("*.ipynb"))
EVERY = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
EVERY_NUMBERED = pytest.mark.parametrize("path", NUMBERED, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(path):
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def prose(path):
    """The markdown of the notebook without code blocks and code spans."""
    text = "\n\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    return re.sub(r"`[^`\n]*`", "", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def figures(path):
    return [
        output
        for cell in code_cells(path)
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]


def solutions(notebook):
    """The code of the folded solutions of a notebook, in order."""
    return [
        "\n".join(CODE_BLOCK.findall(folded))
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for folded in SOLUTION.findall(cell.source)
        if CODE_BLOCK.search(folded)
    ]
