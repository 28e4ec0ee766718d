"""A notebook in its kernel, as readers run it: twice, and from another folder."""

import builtins

from lecture_utils import name_error_hint

from nbclient import NotebookClient

from tests.notebooks.reading import EVERY_NUMBERED, NUMBERED, read


def printed(cell):
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def test_run_all_twice_in_one_kernel_from_another_directory_prints_the_same_twice(tmp_path):
    (path,) = (path for path in NUMBERED if path.stem.startswith("05"))
    notebook = read(path)
    cells = [(index, cell) for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    client = NotebookClient(
        notebook, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    with client.setup_kernel():
        passes = [
            [printed(client.execute_cell(cell, index)) for index, cell in cells] for _ in range(2)
        ]
    assert passes[0] == passes[1] and any(passes[0])
    assert list(tmp_path.iterdir()) == [], "a notebook leaves nothing where it was started"


@EVERY_NUMBERED
def test_no_cell_takes_a_builtin_name_from_the_cells_above_it_when_all_is_run_again(path):
    """A second pass assigns every name anew, in order; only what the first pass found in Python
    itself could be lost.
    """
    for cell in read(path).cells:
        if cell.cell_type == "code":
            assert not name_error_hint.made_by(cell.source) & set(dir(builtins))
