"""Seconds, first figure, memory and size of every notebook; CPU minutes of each part of the tests.

usage: python benchmarks/series.py            (each notebook, from an empty cache of its own)
       python benchmarks/series.py together   (all notebooks from one empty cache, then once more:
                                               one after another, and two side by side)
       python benchmarks/series.py tests      (`make check` and `make test`, about ten minutes)

Every notebook is executed top to bottom in a kernel of its own, one after another, unless they run
side by side, as `make cache` runs them. The cache is that of trained models and long results;
started once more, the notebooks find what they left in it. The clock runs from starting the kernel
to the end of the last cell, or, for "first figure", of the first that shows one; with `together`,
until the last kernel has ended. The peak memory is that of the kernel (VmHWM, Linux alone). Who
adds to the tests' minutes says what was saved for it.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import records
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
NUMBERED = sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))
SIDE_BY_SIDE = NOTEBOOKS.parent / "tools" / "execute_notebooks.py"
TUTORIAL = NOTEBOOKS / "tutorial_7" / "source" / "tutorial_7" / "tutorial_7.ipynb"


def has_figure(cell):
    return any("image/png" in output.get("data", {}) for output in cell.get("outputs", []))


def peak_megabytes(client):
    """The kernel's peak memory so far; None where the system does not say."""
    status = Path(f"/proc/{client.km.provisioner.pid}/status")
    if not status.exists():
        return None
    (line,) = (line for line in status.read_text().split("\n") if line.startswith("VmHWM"))
    return round(int(line.split()[1]) * 1024 / 1e6)  # the system's kB is 1024 bytes


def run(path):
    """Execute one notebook and return what it took."""
    notebook = nbformat.read(path, as_version=4)
    cells, figures, megabytes = [], [], []  # after each cell; seconds at each that shows a figure
    start = time.perf_counter()

    def note(cell, **_):
        cells.append(time.perf_counter() - start)
        megabytes.append(peak_megabytes(client))
        if has_figure(cell):
            figures.append(cells[-1])

    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=600,
            shutdown_kernel="immediate",
            resources={"metadata": {"path": folder}},
            on_cell_executed=note,
        )
        client.execute()
    return {
        "notebook": path.stem,
        "seconds": round(cells[-1], 1),
        "first figure (seconds)": round(figures[0], 1),
        "peak memory (MB)": megabytes[-1],
        "kilobytes": round(path.stat().st_size / 1000),
    }


def notebooks():
    rows = []
    for path in [*NUMBERED, TUTORIAL]:  # start.ipynb has no figure
        with tempfile.TemporaryDirectory() as cache:
            os.environ["LECTURE_CACHE"] = cache
            rows.append(run(path))
        print(rows[-1], flush=True)
    return {
        "notebooks": rows,
        "seconds, all": round(sum(row["seconds"] for row in rows), 1),
        "kilobytes, all": sum(row["kilobytes"] for row in rows),
    }


def one_after_another():
    """As a student works through the series."""
    for path in NUMBERED:
        run(path)


def side_by_side():
    """As `make cache` does it for a class."""
    subprocess.run([sys.executable, SIDE_BY_SIDE, "--discard", *NUMBERED], check=True)


def together():
    """Minutes of all numbered notebooks."""
    minutes = {}
    for way, execute_all in (("", one_after_another), ("side by side, ", side_by_side)):
        with tempfile.TemporaryDirectory() as cache:
            os.environ["LECTURE_CACHE"] = cache
            for state in ("from an empty cache", "once more"):
                start = time.perf_counter()
                execute_all()
                minutes[way + state] = round((time.perf_counter() - start) / 60, 1)
                print(minutes, flush=True)
    return {"minutes, one cache": minutes}


def tests():
    """What the two commands of `make test` cost, by part, and how long they take."""
    common = ["-m", "pytest", "-q", "-n", "2", "--dist", "loadscope", "--no-loadscope-reorder"]
    common += ["-p", "tests.costs"]
    parts = [["-m", "quick", "tests/unit"], ["--nbval", "-m", "not quick and not matrix"]]
    measured = {}
    for name, part in zip(("make check", "make test, the rest"), parts):
        with tempfile.NamedTemporaryFile() as file:
            environment = os.environ | {"LECTURE_TEST_COSTS": file.name}
            start = time.perf_counter()
            command = [sys.executable, *common, *part]
            subprocess.run(command, cwd=NOTEBOOKS.parent, env=environment, check=True)
            minutes = (time.perf_counter() - start) / 60
            cpu = costs.minutes_by_part(file.name)
        busy = sum(cpu.values()) / (minutes * os.cpu_count())
        measured[name] = {
            "minutes": round(minutes, 1),
            "CPU minutes": cpu,
            "share of the cores that was busy": round(busy, 2),
        }
    return {"tests": measured}


PARTS = {"": notebooks, "together": together, "tests": tests}


def main():
    part = " ".join(sys.argv[1:])
    records.save(f"series_{part}" if part else "series", PARTS[part]())


if __name__ == "__main__":
    if " ".join(sys.argv[1:]) not in PARTS:
        sys.exit(__doc__)
    sys.path.insert(0, str(NOTEBOOKS.parent))
    from tests import costs

    main()
