"""tools/execute_notebooks.py, on notebooks of a line or two."""

import subprocess
import sys

import nbformat

from tests.helpers import ROOT

TOOL = ROOT / "tools" / "execute_notebooks.py"


def written(folder, name, source):
    path = folder / f"{name}.ipynb"
    cells = [nbformat.v4.new_code_cell(source)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def execute(*arguments):
    return subprocess.run([sys.executable, TOOL, *arguments], capture_output=True, text=True)


def test_two_run_side_by_side_and_each_is_saved(tmp_path):
    """Each waits for the file that the other writes; one after the other they would not end."""
    meet = (
        "import os, pathlib, time\n"
        "pathlib.Path('{}').touch()\n"
        "while not pathlib.Path('{}').exists(): time.sleep(0.05)\n"
        "print(os.environ['OMP_NUM_THREADS'].isdigit())"
    )
    paths = [
        written(tmp_path, me, meet.format(me, other)) for me, other in (("a", "b"), ("b", "a"))
    ]
    done = execute(*paths)
    assert done.returncode == 0, done.stderr
    names = sorted(line.split(":")[0] for line in done.stdout.splitlines())
    assert names == ["a.ipynb", "b.ipynb"]
    for path in paths:
        assert nbformat.read(path, as_version=4).cells[0].outputs[0].text == "True\n"


def test_one_that_raises_is_named_and_left_as_it_was(tmp_path):
    path = written(tmp_path, "broken", "print('first')\n1 / 0")
    before = path.read_bytes()
    done = execute(path)
    assert done.returncode == 1 and path.read_bytes() == before
    assert "broken.ipynb stopped at a cell that raises; it is unchanged." in done.stderr
    assert "ZeroDivisionError" in done.stderr


def test_discard_saves_nothing(tmp_path):
    path = written(tmp_path, "small", "open('ran', 'w').close()")
    before = path.read_bytes()
    assert execute("--discard", path).returncode == 0
    assert (tmp_path / "ran").exists() and path.read_bytes() == before
