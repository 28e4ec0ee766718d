"""Rules that every committed notebook keeps. (`pytest --nbval` runs the notebooks; these tests read
them.)
"""

import ast
import base64
import re

import nbformat
import pytest

from tests.helpers import ROOT
from tests.notebooks.reading import (
    EVERY,
    EVERY_NUMBERED,
    NUMBERED,
    code_cells,
    figures,
    minutes,
    prose,
    read,
    solutions,
    stated_minutes,
)


def test_there_are_notebooks():
    assert NUMBERED


@EVERY
def test_is_a_valid_notebook_under_1500_kb(path):
    nbformat.validate(read(path))
    assert path.stat().st_size < 1.5e6


@EVERY
def test_has_one_h1_and_skips_no_heading_level(path):
    levels = [len(hashes) for hashes in re.findall(r"^(#+) ", prose(path), re.MULTILINE)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(below <= above + 1 for above, below in zip(levels, levels[1:]))


@EVERY
def test_was_executed_top_to_bottom_without_errors_or_warnings(path):
    cells = code_cells(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [
        output
        for output in outputs
        if output.output_type == "error" or output.get("name") == "stderr"
    ]


@EVERY
def test_every_figure_has_alt_text_that_reaches_the_web_edition(path):
    for cell in code_cells(path):
        alts = [
            output.metadata["image/png"]["alt"]
            for output in cell.outputs
            if "image/png" in output.get("data", {})
        ]
        assert len(alts) <= 1, "one figure a cell"
        for alt in alts:
            assert len(alt.split()) >= 5, f"alt text that says nothing: {alt!r}"
            assert cell.metadata.mystnb.image.alt == alt


@EVERY
def test_every_row_of_a_table_has_as_many_cells_as_its_head(path):
    """A bar in a formula, as in p(x|z), ends a cell unless it is written as \\|."""
    cells = read(path).cells
    texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    texts += [output.get("data", {}).get("text/markdown", "") for output in outputs]
    blocks = [block.splitlines() for text in texts for block in text.strip().split("\n\n")]
    for table in blocks:
        if len(table) > 1 and "---" in table[1] and set(table[1]) <= set("|-: "):
            assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table}) == 1, table


@EVERY
def test_keeps_no_widget_state_and_no_machine_paths(path):
    text = path.read_text(encoding="utf-8")
    assert "widget-view+json" not in text and "widget-state" not in text and '"widgets"' not in text
    assert not re.search(r"(/home/|/root/|/Users/|/tmp/|/work/|[A-Z]:\\\\Users)", text)


@EVERY
def test_imports_lecture_utils_before_torch(path):
    names = []
    for cell in code_cells(path):
        for node in ast.walk(
            ast.parse(re.sub(r"^[%!].*$", "pass", cell.source, flags=re.MULTILINE))
        ):
            if isinstance(node, ast.Import):
                names += [
                    (cell.execution_count, node.lineno, alias.name.split(".")[0])
                    for alias in node.names
                ]
            elif isinstance(node, ast.ImportFrom):
                names.append((cell.execution_count, node.lineno, (node.module or "").split(".")[0]))
    order = [
        name for _, _, name in sorted(names) if name in ("lecture_utils", "torch", "torchvision")
    ]
    assert order[0] == "lecture_utils"


@EVERY_NUMBERED
def test_outputs_that_answer_a_question_are_saved_collapsed(path):
    tagged = [cell for cell in code_cells(path) if "hide-output" in cell.metadata.get("tags", [])]
    assert tagged, "no prediction is asked for"
    assert all(cell.metadata.jupyter.outputs_hidden for cell in tagged)


@EVERY_NUMBERED
def test_the_first_output_behind_a_prediction_is_collapsed_or_no_answer(path):
    asked = False
    for cell in read(path).cells:
        if cell.cell_type == "markdown":
            asked = "**Predict" in cell.source.split("</details>")[-1]
        elif asked and cell.outputs:
            tags = cell.metadata.get("tags", [])
            assert {"hide-output", "no-answer"} & set(tags), cell.source
            asked = False


@EVERY_NUMBERED
def test_has_the_parts_every_chapter_has(path):
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    assert text.startswith(f"# {path.stem[:2]} · ")
    assert re.search(r"\*\*You will be able to\*\*|You will be able to", text) and "minutes" in text
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert "Summary" in headings and "Exercises" in headings
    assert 2 <= len(solutions(read(path))) <= 6


@EVERY_NUMBERED
def test_links_lead_to_files_that_exist(path):
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", prose(path)):
        if not link.startswith("http"):
            assert (path.parent / link).exists(), link


@EVERY_NUMBERED
def test_prose_has_no_exclamation_marks(path):
    # A factorial stands after a digit, letter or bracket in maths; an image link starts with "![".
    text = re.sub(r"\$[^$]*\$", "", prose(path))
    assert not re.findall(r".{0,30}\w!(?:\s|$)", text)


@EVERY_NUMBERED
def test_reads_and_writes_no_file_but_through_the_package(path):
    source = "\n".join(cell.source for cell in code_cells(path))
    assert not re.search(
        r"\bopen\(|read_text|read_csv|np\.load|torch\.load|os\.chdir|savefig|\.\./", source
    )


@EVERY_NUMBERED
def test_a_model_that_was_trained_on_the_best_device_meets_data_there(path):
    """`fit` and `trained` take a GPU where there is one, and the machines that test have none. So a
    notebook speaks of its `best_device()`, or each cell that trains, or the next one, names a
    device or brings the model back."""
    cells = [cell.source for cell in code_cells(path)] + solutions(read(path))
    trains = re.compile(r"\b(trained|training\.fit|fit_classifier|fit_gan|fit_diffusion)\(")
    # FIT are the options of 03, with a device; the playground works on a copy on the CPU, and
    # mean_loss_terms takes the data to the model.
    says = re.compile(r"device|\.cpu\(\)|\bFIT\b|on_epoch=watched\.update|mean_loss_terms\(")
    if not any("best_device()" in cell for cell in cells):
        for cell, after in zip(cells, [*cells[1:], ""]):
            assert not trains.search(cell) or says.search(cell + after), cell


def test_the_readme_shows_the_picture_that_notebook_06_made():
    link = re.search(
        r"!\[(.*?)\]\((notebooks/figures/.*?)\)", (ROOT / "README.md").read_text(encoding="utf-8")
    )
    outputs = figures(ROOT / "notebooks" / "06_training_on_mnist.ipynb")
    made = {
        output.metadata["image/png"]["alt"]: base64.b64decode(output.data["image/png"])
        for output in outputs
    }
    assert (ROOT / link[2]).read_bytes() == made[link[1]]


def test_the_map_of_slides_names_sections_that_exist():
    text = (ROOT / "notebooks" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| .*?(?<!\\)\| (\[\d\d\].*?) \| (.*?) \|$", text.split("## How long")[0], re.MULTILINE
    )
    assert len(rows) >= 15
    for links, sections in rows:
        linked = [ROOT / "notebooks" / name for name in re.findall(r"\((\d\d_.*?\.ipynb)\)", links)]
        headings = {
            heading.replace("$", "")
            for path in linked
            for heading in re.findall(r"^#+ (.*)$", prose(path), re.MULTILINE)
        }
        for section in sections.split("; "):
            assert section in headings, (links, section)


@EVERY_NUMBERED
def test_the_minutes_stated_are_those_that_counting_gives(path):
    assert stated_minutes(path) == pytest.approx(minutes(path), rel=0.15)


def test_the_readmes_state_the_minutes_that_the_notebooks_state():
    readme, chart = (
        (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "notebooks/README.md")
    )
    for path in NUMBERED:
        stated = str(stated_minutes(path))
        assert (
            re.search(rf"^\| {path.stem[:2]} \|.*\| (\d+) \|$", readme, re.MULTILINE)[1] == stated
        ), path.stem
        assert re.search(rf"^\| {path.stem[:2]} \| (\d+) \|", chart, re.MULTILINE)[1] == stated, (
            path.stem
        )
