"""Tutorial 7: what students get, and what the lecturers' page says of it."""

import re
import shutil

from lecture_utils import tutorial

import nbformat

from tests.tutorial.cases import BY_HAND, COURSE, POINTS, RELEASE, SOURCE, STUBBED, cells, notebook
from tests.tutorial.classroom import course_copy, shell

# --- What students get


def test_the_release_is_what_nbgrader_makes_of_the_source(tmp_path):
    course = course_copy(tmp_path / "course")
    shutil.rmtree(course / "release")
    shell("nbgrader generate_assignment tutorial_7 --force --no-db", course)

    def release(root):
        files = (p.relative_to(root) for p in (root / "release").rglob("*") if p.is_file())
        return {
            file: (root / file).read_bytes()
            for file in files
            if ".ipynb_checkpoints" not in file.parts
        }

    assert release(course) == release(COURSE), (
        "The release is not what the source generates: run `make tutorial`."
    )


def test_the_release_gives_nothing_away():
    release, source = nbformat.read(RELEASE, as_version=4), nbformat.read(SOURCE, as_version=4)
    text = "\n".join(cell.source for cell in release.cells)
    for secret in ("BEGIN SOLUTION", "HIDDEN TESTS", "Model answer", "Rubric"):
        assert secret not in text
    region = re.compile(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", flags=re.S)
    regions = [found for cell in source.cells for found in region.findall(cell.source)]
    lines = [line.strip() for region in regions for line in region.strip().split("\n")]
    assert (
        len(regions)
        == sum(cell.source.count(STUBBED) for cell in release.cells if cell.cell_type == "code")
        >= 15
    )
    assert not [line for line in lines if len(line) > 8 and line in text]
    assert not any(cell.get("outputs") for cell in release.cells)


def test_students_take_nothing_from_the_package_but_data_pictures_and_checks():
    text = "\n".join(
        cell.source
        for cell in nbformat.read(RELEASE, as_version=4).cells
        if cell.cell_type == "code"
    )
    imports = re.findall(r"^ *(?:from|import) (?:lecture_utils|nbgrader)\S*", text, flags=re.M)
    assert imports == [f"from lecture_utils.{name}" for name in ("data", "plotting", "tutorial")]
    assert "open(" not in text and "http" not in text


def test_no_link_needs_another_file():
    """The release is handed out alone."""
    text = "\n".join(
        cell.source
        for cell in nbformat.read(RELEASE, as_version=4).cells
        if cell.cell_type == "markdown"
    )
    assert not re.findall(r"\]\((?!#|https?:)", text)


def test_headings_and_lecturers_page_state_the_points_of_the_notebook():
    page = (COURSE / "README.md").read_text()
    rows = re.findall(r"^\| .* \| `(\w+)` \| (\d+) \| (\S.*?) \|$", page, flags=re.M)
    assert {name: int(points) for name, points, _ in rows} == {n: p for n, p in POINTS.items() if p}
    assert {name for name, _, how in rows if how == "by hand"} == BY_HAND
    assert sum(POINTS.values()) == 100 and "100 points" in page
    text = "\n".join(
        c.source for c in nbformat.read(SOURCE, as_version=4).cells if c.cell_type == "markdown"
    )
    in_headings = re.findall(r"^#+ .*\(([\d +]+) points\)$", text, flags=re.M)
    assert sum(int(n) for heading in in_headings for n in heading.split("+")) == 100


def test_nbgrader_cells_are_well_formed():
    for name, cell in cells(SOURCE).items():
        assert cell.id == name
    assert {n.removesuffix("_checks") for n in cells(SOURCE) if n.endswith("_checks")} == set(
        tutorial.TASKS
    ) - {"settings"} | {"target"}


def test_an_unfinished_notebook_runs_to_its_end(tmp_path):
    from nbclient import NotebookClient

    book = notebook()
    NotebookClient(book, timeout=300, kernel_name="python3").execute()
    text = "\n".join(o.get("text", "") for cell in book.cells for o in cell.get("outputs", []))
    assert text.count("Not answered yet.") >= 14 and "Training the VAE did not work" in text


def test_validate_finds_a_failing_check(tmp_path):
    path = tmp_path / "notebook.ipynb"
    book = notebook()
    book.cells = [c for c in book.cells if c.id in ("setup", "sample", "sample_checks")]
    nbformat.write(book, path)
    assert "Not answered yet" in shell(f"nbgrader validate {path}", tmp_path, check=False).stdout
