"""Seconds, first figure and size of every notebook of the series, each run as a student runs it.

usage: python benchmarks/series.py

Every notebook is executed top to bottom in a kernel of its own, one after another, with an empty
cache of trained models. The clock runs from starting the kernel to the end of the last cell, or,
for "first figure", of the first that shows one.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import records
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
TUTORIAL = NOTEBOOKS / "tutorial_7" / "source" / "tutorial_7" / "tutorial_7.ipynb"


def has_figure(cell):
    return any("image/png" in output.get("data", {}) for output in cell.get("outputs", []))


def run(path):
    """Execute one notebook and return its three figures."""
    notebook = nbformat.read(path, as_version=4)
    # The times at which each cell, and each that shows a figure, had been executed.
    figures, cells = (
        [],
        [],
    )
    start = time.perf_counter()

    def note(cell, **_):
        cells.append(time.perf_counter() - start)
        if has_figure(cell):
            figures.append(cells[-1])

    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(
            notebook,
            timeout=600,
            shutdown_kernel="immediate",
            resources={"metadata": {"path": folder}},
            on_cell_executed=note,
        ).execute()
    return {
        "notebook": path.stem,
        "seconds": round(cells[-1], 1),
        "first figure (seconds)": round(figures[0], 1),
        "kilobytes": round(path.stat().st_size / 1000),
    }


def main():
    rows = []
    for path in [*sorted(NOTEBOOKS.glob("*.ipynb")), TUTORIAL]:
        with tempfile.TemporaryDirectory() as cache:
            os.environ["LECTURE_CACHE"] = cache
            rows.append(run(path))
        print(rows[-1], flush=True)
    records.save(
        "series",
        {
            "notebooks": rows,
            "seconds, all": round(sum(row["seconds"] for row in rows), 1),
            "kilobytes, all": sum(row["kilobytes"] for row in rows),
        },
    )


if __name__ == "__main__":
    if len(sys.argv) != 1:
        sys.exit(__doc__)
    main()
