"""Bring a submission back to the cells that were handed out, whatever happened to them, so that it
can be graded.

nbgrader stops grading the whole class at a cell whose metadata it does not understand. Here the
metadata of a submission
decides one thing only: which cell is the answer to which task. All else is taken from the
gradebook.
"""

import re

from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor

NOTES = "notes_for_the_grader"  # key in the notebook's metadata: what a person should look at
# How an answer is found whose cell has lost its metadata: what stands in the cell, or in the one
# above it.
QUESTIONS = {"claims": "**A.**", "generating": "**B.**"}


class Repair(NbGraderPreprocessor):
    """Give every cell its handed-out metadata; put back what was changed or deleted; note what a
    person should see."""

    def preprocess(self, nb, resources):
        about = resources["nbgrader"]
        with Gradebook(about["db_url"]) as gradebook:
            handed_out = _handed_out(
                gradebook.find_notebook(about["notebook"], about["assignment"])
            )
        nb.cells, notes = repaired(nb.cells, handed_out)
        nb.metadata = NotebookNode(
            {
                NOTES: notes,
                "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            }
        )
        nb.nbformat, nb.nbformat_minor = 4, 5
        for note in notes:
            self.log.warning("%s: %s", about["student"], note)
        return nb, resources


def _handed_out(notebook):
    """Return {name: what the gradebook knows of the cell}, in the order of the notebook."""
    points = {cell.name: cell.max_score for cell in notebook.grade_cells}
    solutions = {cell.name for cell in notebook.solution_cells}
    return {
        cell.name: NotebookNode(
            name=cell.name,
            cell_type=cell.cell_type,
            source=cell.source,
            locked=cell.locked,
            checksum=cell.checksum,
            points=points.get(cell.name),
            solution=cell.name in solutions,
        )
        for cell in notebook.source_cells
    }


def repaired(cells, handed_out):
    """Return the cells as they are to be graded, and notes about what a person should look at."""
    cells = [_plain(cell) for cell in cells if isinstance(cell, dict)]
    names, notes = _names(cells, handed_out), []
    kept, seen = [], {}
    for cell, name in zip(cells, names):
        known = handed_out.get(name)
        if known is None:
            kept.append(_fresh(cell["cell_type"], cell["source"], cell["outputs"]))
        elif name not in seen:
            kept.append(_as_handed_out(cell, known, notes))
            seen[name] = kept[-1]
        elif known.solution and known.cell_type == "markdown":
            if (
                cell["source"].strip() not in seen[name].source
            ):  # a text cut in two is one text again
                seen[name].source = f"{seen[name].source}\n\n{cell['source']}"
                notes.append(
                    f"The answer {name} stood in more than one cell; the parts were joined."
                )
        elif known.solution:  # a second piece of an answer runs where it stands
            kept.append(_fresh("code", cell["source"], cell["outputs"]))
    _put_back(kept, handed_out, notes)
    for position, cell in enumerate(kept):
        cell.id = cell.metadata.get("nbgrader", {}).get("grade_id", f"cell-{position}")
    return kept, notes


def _plain(cell):
    """The parts of a cell that are used, of the types that they should have."""
    source = cell.get("source")
    if isinstance(source, list):
        source = "".join(part for part in source if isinstance(part, str))
    outputs = cell.get("outputs")
    metadata = cell.get("metadata")
    nbgrader = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    return {
        "cell_type": "code" if cell.get("cell_type") == "code" else "markdown",
        "source": source if isinstance(source, str) else "",
        "id": cell.get("id"),
        "grade_id": nbgrader.get("grade_id") if isinstance(nbgrader, dict) else None,
        "outputs": outputs if isinstance(outputs, list) else [],
    }


def _names(cells, handed_out):
    """Which handed-out cell each cell is: by its metadata, else by its id, else by what stands in
    it."""

    def known(value):
        return value if isinstance(value, str) and value in handed_out else None

    names = [known(cell["grade_id"]) for cell in cells]
    for look in (lambda i: known(cells[i]["id"]), lambda i: _recognised(cells, i, handed_out)):
        found = set(names)
        for i, name in enumerate(names):
            guess = look(i) if name is None else None
            if guess is not None and guess not in found:
                names[i] = guess
    return names


def _recognised(cells, i, handed_out):
    source = cells[i]["source"].strip()
    if cells[i]["cell_type"] == "markdown":
        above = cells[i - 1]["source"] if i else ""
        return next((name for name, start in QUESTIONS.items() if start in above), None)
    for name, known in handed_out.items():
        opening = re.search(r"^(?:def|class) \w+\b", known.source, flags=re.M)
        if known.locked and source == known.source.strip():
            return name
        if known.solution and opening and re.search(rf"^{opening[0]}\b", source, flags=re.M):
            return name
    return None


def _fresh(cell_type, source, outputs=()):
    cell = NotebookNode(cell_type=cell_type, metadata=NotebookNode(), source=source)
    if cell_type == "code":
        cell.update(outputs=list(outputs), execution_count=None)
    return cell


def _as_handed_out(cell, known, notes):
    """The submitted cell with the handed-out metadata, and source where students may not change
    it."""
    source = cell["source"] if known.solution else known.source
    if source.strip() != cell["source"].strip():
        notes.append(f"The cell {known.name} was changed; it was put back.")
    fresh = _fresh(known.cell_type, source, cell["outputs"])
    fresh.metadata.nbgrader = NotebookNode(
        grade_id=known.name,
        grade=known.points is not None,
        solution=known.solution,
        locked=known.locked,
        task=False,
        schema_version=3,
        cell_type=known.cell_type,
        checksum=known.checksum,
    )
    if known.points is not None:
        fresh.metadata.nbgrader.points = known.points
    return fresh


def _put_back(kept, handed_out, notes):
    """Insert the handed-out cells that are missing, each behind the one that it followed."""
    position = 0
    for name, known in handed_out.items():
        here = [
            i
            for i, cell in enumerate(kept)
            if cell.metadata.get("nbgrader", {}).get("grade_id") == name
        ]
        if here:
            position = here[0] + 1
        elif (
            known.points is not None or not known.solution
        ):  # a missing answer to a task stays missing
            kept.insert(
                position, _as_handed_out({"source": known.source, "outputs": []}, known, notes)
            )
            notes.append(f"The cell {name} was deleted; it was put back.")
            position += 1
