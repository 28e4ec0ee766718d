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


def stated_minutes(path):
    """How long the notebook says that it takes."""
    return int(re.search(r"(\d+) minutes", prose(path))[1])


def minutes(path):
    """How long a notebook takes, by counting; notebooks/README.md states the rates.

    200 words a minute, ten lines of code that are not folded, two formulas or figures, and a minute
    for each question and each solution.
    """
    words = lines = formulas = questions = 0
    for cell in read(path).cells:
        if cell.cell_type == "code":
            folded = "hide-input" in cell.metadata.get("tags", [])
            lines += 0 if folded else sum(bool(line.strip()) for line in cell.source.splitlines())
            continue
        formulas += cell.source.count("$$") // 2
        text = re.sub(r"\$\$.*?\$\$|```.*?```", "", cell.source, flags=re.DOTALL)
        words += len(re.sub(r"\$[^$]*\$", "x", text).split())
        questions += len(re.findall(r"\*\*(?:Predict|Your turn)|<details>", text))
    return words / 200 + lines / 10 + (formulas + len(figures(path))) / 2 + questions
