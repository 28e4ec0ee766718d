"""The page on which JupyterLab opens leads to every notebook, and says of each what README does."""

import re

import nbformat

from tests.helpers import ROOT

START = nbformat.read(ROOT / "notebooks" / "start.ipynb", as_version=4)
ROW = re.compile(r"^(\| \d\d \| \[.*\]\()(?:notebooks/)?(\d\d_\w+\.ipynb\).*)$", re.MULTILINE)


def test_its_map_is_that_of_the_readme_and_leads_to_every_notebook():
    here = ROW.findall("\n".join(cell.source for cell in START.cells))
    assert here == ROW.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    linked = [row[1].split(")")[0] for row in here]
    assert linked == sorted(path.name for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))


def test_make_lab_opens_it():
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").split("\nlab:")[1].split("\n\n")[0]
    assert "--notebook-dir=notebooks" in recipe and "/lab/tree/start.ipynb" in recipe


def test_it_begins_with_one_cell_to_run_and_keeps_no_output():
    code = [cell for cell in START.cells if cell.cell_type == "code"]
    assert len(code) == 1 and "playground.digits" in code[0].source
    assert code[0].outputs == [] and code[0].execution_count is None
    assert START.cells[0].source.startswith("# Start here")
