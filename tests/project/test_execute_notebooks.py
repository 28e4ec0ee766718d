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


def test_one_that_raises_is_named_ends_the_others_and_changes_nothing(tmp_path):
    broken = written(tmp_path, "broken", "print('first')\n1 / 0")
    long = written(tmp_path, "long", "import time\ntime.sleep(300)")
    before = [path.read_bytes() for path in (broken, long)]
    done = execute(long, broken)
    assert done.returncode == 1 and [path.read_bytes() for path in (broken, long)] == before
    assert "broken.ipynb stopped at a cell." in done.stderr and "1 / 0" in done.stderr
    assert "Notebooks whose names do not stand above are unchanged." in done.stderr
    assert "Kernel died" not in done.stderr and "long.ipynb" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.ipynb", "long.ipynb"]


def test_a_kernel_that_dies_is_said_to_have_ended(tmp_path):
    path = written(tmp_path, "killed", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    done = execute(path)
    assert done.returncode == 1 and "killed.ipynb: its kernel has ended" in done.stderr


def test_discard_saves_nothing(tmp_path):
    path = written(tmp_path, "small", "open('ran', 'w').close()")
    before = path.read_bytes()
    assert execute("--discard", path).returncode == 0
    assert (tmp_path / "ran").exists() and path.read_bytes() == before
