"""The series by nbgitpuller: a click updates a clone, and nothing of the student's is lost."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests.helpers import ROOT

from . import semester

pytestmark = pytest.mark.matrix  # needs the extra `hub`: make test-class
PULLER = Path(sys.executable).with_name("gitpuller")
NOTEBOOK = "notebooks/04_reparameterization.ipynb"
DELETED = "notebooks/05_kl_term.ipynb"


def pull(upstream, student):
    """What a click on the link does in the student's server."""
    command = [PULLER, upstream.as_uri(), "main", student.name]
    subprocess.run(command, cwd=student.parent, check=True, capture_output=True)


def every_output(notebook, text):
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "text" in output:
                output.text = text + output.text


@pytest.fixture(scope="module")
def updated(tmp_path_factory):
    """A student's folder after the lecturer's update of a notebook that both have changed."""
    if not PULLER.exists():
        pytest.skip("gitpuller is not installed; the extra `hub` has it")
    folder = tmp_path_factory.mktemp("updates")
    lecturer, upstream, student = (folder / name for name in ("lecturer", "up.git", "student"))
    shutil.copytree(
        ROOT / "notebooks",
        lecturer / "notebooks",
        ignore=lambda _, names: [n for n in names if not re.match(r"0[45]_.*\.ipynb$", n)],
    )
    semester.git(folder, "init", "--quiet", "--initial-branch=main", lecturer)
    semester.git(lecturer, "add", "--all")
    semester.git(lecturer, "commit", "--quiet", "--message=the first week")
    semester.git(folder, "clone", "--quiet", "--bare", lecturer, upstream)
    semester.git(lecturer, "remote", "add", "origin", upstream)
    pull(upstream, student)

    own = nbformat.read(student / NOTEBOOK, 4)
    every_output(own, "from my machine\n")
    own.cells.insert(5, nbformat.v4.new_markdown_cell("my note"))
    own.cells[8].source += "\n# my change"
    nbformat.write(own, student / NOTEBOOK)
    (student / DELETED).unlink()
    (student / "notebooks" / "extra.md").write_text("mine", encoding="utf-8")

    changed = nbformat.read(lecturer / NOTEBOOK, 4)
    every_output(changed, "executed anew\n")
    for cell in changed.cells[10:]:
        if cell.cell_type == "markdown":
            cell.source += "\n\nCorrected."
    changed.cells[7].source += "\n# the lecturer's change"  # the student's 8
    nbformat.write(changed, lecturer / NOTEBOOK)
    (lecturer / "notebooks" / "extra.md").write_text("the lecturer's", encoding="utf-8")
    semester.git(lecturer, "add", "--all")
    semester.git(lecturer, "commit", "--quiet", "--message=the second week")
    semester.git(lecturer, "push", "--quiet", "origin", "main")
    pull(upstream, student)
    return student


def test_what_a_student_wrote_is_there_after_an_update_and_what_was_corrected_as_well(updated):
    notebook = nbformat.read(updated / NOTEBOOK, 4)
    nbformat.validate(notebook)  # git merges lines, and a notebook is JSON
    sources = [cell.source for cell in notebook.cells]
    assert "my note" in sources
    assert any(source.endswith("# my change") for source in sources)
    assert not any("# the lecturer's change" in source for source in sources)
    corrected = [source.endswith("Corrected.") for source in sources]
    assert sum(corrected) > 10
    outputs = [o.get("text", "") for cell in notebook.cells for o in cell.get("outputs", [])]
    assert any(text.startswith("from my machine") for text in outputs)
    assert not any(text.startswith("executed anew") for text in outputs)


def test_a_deleted_file_comes_back_and_one_in_the_way_is_kept_under_another_name(updated):
    assert (updated / DELETED).exists()
    (kept,) = (updated / "notebooks").glob("extra__*.md")
    assert kept.read_text(encoding="utf-8") == "mine"
    assert (updated / "notebooks" / "extra.md").read_text(encoding="utf-8") == "the lecturer's"


def test_the_server_of_a_student_answers_the_link():
    if not PULLER.exists():
        pytest.skip("gitpuller is not installed; the extra `hub` has it")
    listed = subprocess.run(
        [sys.executable, "-m", "jupyter", "server", "extension", "list"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.search("nbgitpuller.*enabled", listed.stdout + listed.stderr)
