"""The answers of `answers/` as code, and how the tests run them: in this process, or as a
submission in the grader's worker."""

import copy
import math
import sys
from pathlib import Path

from lecture_utils import tutorial
from lecture_utils.tutorial import answers

import nbformat
import pytest
import torch
import torch.nn.functional as F
from torch import nn

ROOT = Path(__file__).resolve().parents[2]
COURSE = ROOT / "notebooks" / "tutorial_7"
NAME = "tutorial_7/tutorial_7.ipynb"
SOURCE, RELEASE = COURSE / "source" / NAME, COURSE / "release" / NAME
STUBBED = "raise NotImplementedError()"
BY_HAND = {"claims", "generating"}

sys.path.insert(0, str(COURSE))  # as nbgrader_config.py does: the tests look at grading/ there


def cells(path):
    """The cells of a notebook that nbgrader knows, {name: cell}."""
    return {
        c.metadata.nbgrader.grade_id: c
        for c in nbformat.read(path, as_version=4).cells
        if "nbgrader" in c.metadata
    }


SOLUTIONS = {name: cell.source for name, cell in cells(SOURCE).items() if name in tutorial.TASKS}
STUBS = {name: cell.source for name, cell in cells(RELEASE).items() if name in tutorial.TASKS}
POINTS = {
    name: c.metadata.nbgrader.points
    for name, c in cells(SOURCE).items()
    if c.metadata.nbgrader.grade
}
POINTS_OF_TASK = {
    task: POINTS["target_checks" if task == "settings" else f"{task}_checks"]
    for task in tutorial.TASKS
}


def code(task, body):
    """The cell in which a student answers `task` with these bodies of its functions."""
    bodies, lines, made = body.split("\n---\n"), STUBS[task].split("\n"), []
    for line in lines:
        if STUBBED in line:
            indent = line[: len(line) - len(line.lstrip())]
            made += [indent + part for part in bodies.pop(0).split("\n")]
        else:
            made.append(line)
    assert not bodies, f"{task}: a body too many"
    return "\n".join(made)


def verdict(task, source, seed=tutorial.VISIBLE_SEED):
    """What the check of `task` says of the cell `source`, None if it passes; other tasks are
    answered by the package."""
    names = {"torch": torch, "F": F, "nn": nn, "math": math, **answers.NAMES}
    exec(source, names)
    return tutorial.judged(
        task, {name: names[name] for name in tutorial.TASKS[task].functions}, seed
    )


def one_of_each(cases, but=()):
    """All of {task: {name: ...}} as parameters (task, name); all but each task's first are long."""
    return [
        pytest.param(task, name, marks=() if name == next(iter(answers)) else pytest.mark.matrix)
        for task, answers in cases.items()
        for name in answers
        if (task, name) not in but
    ]


def notebook(**sources):
    """The release with the sources of some cells replaced; None deletes a cell."""
    book = copy.deepcopy(_RELEASED)
    for cell in list(book.cells):
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        if name in sources and sources[name] is None:
            book.cells.remove(cell)
        elif name in sources:
            cell.source = sources[name]
    return book


_RELEASED = nbformat.read(RELEASE, as_version=4)
