"""Tutorial 7: what students get, what their mistakes are told, and what nbgrader makes of good, wrong and hostile work."""

import ast
import copy
import csv
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest
from traitlets.config.loader import PyFileConfigLoader

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import tutorial as tool  # noqa: E402

COURSE = ROOT / "notebooks" / "tutorial_7"
NAME = "tutorial_7/tutorial_7.ipynb"
SOURCE, RELEASE = COURSE / "source" / NAME, COURSE / "release" / NAME
STUBBED = "raise NotImplementedError()"


def grader_cells(path):
    return {c.metadata.nbgrader.grade_id: c for c in nbformat.read(path, as_version=4).cells if "nbgrader" in c.metadata}


POINTS = {name: c.metadata.nbgrader.points for name, c in grader_cells(SOURCE).items() if c.metadata.nbgrader.grade}
BY_HAND = {"claims", "generating"}


def course_copy(folder):
    """A course root as a lecturer has it: configuration, source, release; no gradebook."""
    made_by_grading = shutil.ignore_patterns("gradebook.db", "submitted", "autograded", "feedback", "downloaded", ".*")
    shutil.copytree(COURSE, folder, ignore=made_by_grading)
    return folder


def environment():
    """The environment with this interpreter's commands first, as after `. .venv/bin/activate`."""
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def shell(command, folder, check=True):
    done = subprocess.run(command, shell=True, cwd=folder, env=environment(), capture_output=True, text=True, timeout=300)
    assert not check or done.returncode == 0, f"{command}\n{done.stdout[-1000:]}\n{done.stderr[-4000:]}"
    return done


def scores(course):
    """{student: {cell: automatic points, None where a person has to look}} from the gradebook."""
    from nbgrader.api import Gradebook
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        return {submission.student.id: {g.name: g.auto_score for notebook in submission.notebooks for g in notebook.grades}
                for submission in gradebook.assignment_submissions("tutorial_7")}


# --- What students get

def test_the_release_is_what_nbgrader_makes_of_the_source(tmp_path):
    course = course_copy(tmp_path / "course")
    shutil.rmtree(course / "release")
    shell("nbgrader generate_assignment tutorial_7 --force --no-db", course)

    def release(root):
        files = (p.relative_to(root) for p in (root / "release").rglob("*") if p.is_file())
        return {file: (root / file).read_bytes() for file in files if ".ipynb_checkpoints" not in file.parts}

    assert release(course) == release(COURSE), "The release is not what the source generates: run `make tutorial`."


def test_the_release_gives_nothing_away():
    release, source = nbformat.read(RELEASE, as_version=4), nbformat.read(SOURCE, as_version=4)
    text = "\n".join(cell.source for cell in release.cells)
    for secret in ("BEGIN SOLUTION", "HIDDEN TESTS", "Model answer", "Rubric", "# seed"):
        assert secret not in text
    region = re.compile(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", flags=re.S)
    regions = [found for cell in source.cells for found in region.findall(cell.source)]
    lines = [line.strip() for region in regions for line in region.strip().split("\n")]
    assert len(regions) == sum(cell.source.count(STUBBED) for cell in release.cells if cell.cell_type == "code") >= 15
    assert not [line for line in lines if len(line) > 8 and line in text]
    assert not any(cell.get("outputs") for cell in release.cells)


def test_students_need_nothing_but_the_data_loader():
    text = "\n".join(cell.source for cell in nbformat.read(RELEASE, as_version=4).cells if cell.cell_type == "code")
    imports = re.findall(r"^ *(?:from|import) (?:lecture_utils|nbgrader).*", text, flags=re.M)
    assert imports == ["from lecture_utils.data import binarize, load_mnist"]
    assert "open(" not in text and "http" not in text


def test_headings_and_lecturers_page_state_the_points_of_the_notebook():
    page = (COURSE / "README.md").read_text()
    rows = re.findall(r"^\| .* \| `(\w+)` \| (\d+) \| (\S.*?) \|$", page, flags=re.M)
    assert {name: int(points) for name, points, _ in rows} == {n: p for n, p in POINTS.items() if p}
    assert {name for name, _, how in rows if how == "by hand"} == BY_HAND
    assert sum(POINTS.values()) == 100 and "100 points" in page
    text = "\n".join(c.source for c in nbformat.read(SOURCE, as_version=4).cells if c.cell_type == "markdown")
    in_headings = re.findall(r"^#+ .*\(([\d +]+) points\)$", text, flags=re.M)
    assert sum(int(n) for heading in in_headings for n in heading.split("+")) == 100


def test_nbgrader_cells_are_well_formed():
    for name, cell in grader_cells(SOURCE).items():
        assert cell.id == name
        if name.endswith("_checks"):
            assert name.removesuffix("_checks") in grader_cells(SOURCE) or name == "target_checks"


# --- The numbers in the checks

@pytest.fixture(scope="module")
def tutorial():
    return tool.Tutorial()


def test_the_frozen_numbers_are_those_of_the_public_seed(tutorial):
    again = copy.deepcopy(tutorial)
    tool.refresh(again, tool.PUBLIC_SEED)
    for name, cell in tutorial.cells.items():
        assert again.cells[name].source == cell.source, f"{name}: run `python tools/tutorial.py numbers`."


def test_the_right_numbers_are_those_of_torch_distributions(tutorial):
    import torch
    from torch.distributions import Bernoulli, Normal, kl_divergence

    def frozen(cell, pattern):
        return torch.tensor(ast.literal_eval(re.search(pattern, tutorial.cells[cell].source)[1]))

    mu, logvar = (frozen("kl_checks", rf"    {name} = torch.tensor\((.*)\)  # input") for name in ("mu", "logvar"))
    kl = kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(0.0, 1.0)).sum(dim=-1)
    assert torch.allclose(frozen("kl_checks", r"near\(kl, (\[.*?\])\).*# right"), kl, atol=1e-3)
    logits, x = (frozen("likelihood_checks", rf"    {name} = torch.tensor\((\[.*\])\)") for name in ("logits", "x"))
    value = Bernoulli(logits=logits).log_prob(x).sum(dim=-1)
    assert torch.allclose(frozen("likelihood_checks", r"near\(value, (\[.*?\])\).*# right"), value, atol=1e-3)


def test_a_private_variant_has_other_numbers_and_still_knows_every_mistake(tmp_path):
    folder = tmp_path / "private"
    command = re.search(r"```sh\n(python tools/tutorial.py variant .*)\n```", (COURSE / "README.md").read_text())[1]
    shell(command.replace("~/private_tutorial_7", str(folder)), ROOT)  # fails if a wrong answer loses its hint
    public, private = tool.Tutorial(), tool.Tutorial(folder / tool.SOURCE)
    assert (folder / "nbgrader_config.py").exists()
    changed = {name for name in public.cells if public.cells[name].source != private.cells[name].source}
    assert changed >= {"kl_checks", "likelihood_checks", "elbo_checks", "step_checks", "distance_checks", "separation_checks"}
    assert all(name.endswith("_checks") for name in changed)
    assert private.run()[0] == {}


# --- Wrong answers

def test_the_solution_passes_every_check(tutorial):
    failed, _ = tutorial.run()
    assert failed == {}


def test_the_list_of_wrong_answers_covers_every_task(tutorial):
    assert len(tool.WRONG_ANSWERS) >= 15
    assert len({w.name for w in tool.WRONG_ANSWERS}) == len(tool.WRONG_ANSWERS)
    assert {w.checks for w in tool.WRONG_ANSWERS} == set(tutorial.checks())


@pytest.mark.parametrize("wrong", tool.WRONG_ANSWERS, ids=lambda w: w.name)
def test_a_wrong_answer_gets_its_own_hint_and_costs_no_other_points(tutorial, wrong):
    failed, _ = tutorial.run({wrong.cell: tutorial.source(wrong)})
    assert set(failed) == {wrong.checks}, "other tasks lost their points"
    assert isinstance(failed[wrong.checks], AssertionError)
    assert wrong.hint in str(failed[wrong.checks])


@pytest.mark.parametrize("task", [c.removesuffix("_checks") for c in tool.Tutorial().checks()])
def test_an_unanswered_task_fails_and_costs_no_other_points(tutorial, task):
    failed, _ = tutorial.run({task: grader_cells(RELEASE)[task].source})
    assert set(failed) <= {task, f"{task}_checks"} and f"{task}_checks" in failed


# --- Through nbgrader

def replaced(**cells):
    """The release, with the sources of some cells replaced; None deletes a cell."""
    notebook = nbformat.read(RELEASE, as_version=4)
    for cell in list(notebook.cells):
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        if name in cells and cells[name] is None:
            notebook.cells.remove(cell)
        elif name in cells:
            cell.source = cells[name]
    return notebook


RIGHT = {name: grader_cells(SOURCE)[name].source for name in ("sample", "kl", "likelihood")}
ENDLESS = "def gaussian_kl(mu, logvar):\n    while True:\n        pass"
DEAF = """
import time
def gaussian_kl(mu, logvar):
    while True:
        try:
            time.sleep(1)
        except BaseException:
            pass
"""
DEAD = "import os\ndef gaussian_kl(mu, logvar):\n    os._exit(1)"
FLOOD = RIGHT["kl"] + "\nfor _ in range(30_000):\n    print('nats ' * 200)"
LONG_LINE = RIGHT["likelihood"] + "\nprint('x' * 30_000_000)"
WARNS = RIGHT["sample"].replace("    ### BEGIN", "    import warnings\n    warnings.warn('careful')\n    ### BEGIN")
DELETED = dict.fromkeys(["setup", "kl", "kl_checks", "likelihood_checks", "grader_1", "claims"])
MUDDLED = DELETED | {"sample": WARNS, "likelihood": RIGHT["likelihood"], "elbo": "x = 1", "elbo_checks": "pass",
                     "model": "class VAE(nn.Module:\n    pass", "step": "import sys\nsys.exit()"}

# What each student of a class hands in, and the points it is worth; what is not named is worth 0.
CLASS = {
    "untouched": (replaced(), {}),
    "endless": (replaced(**RIGHT | {"kl": ENDLESS}), {"sample_checks": 8, "likelihood_checks": 8}),
    "deaf": (replaced(**RIGHT | {"kl": DEAF}), {"sample_checks": 8}),
    "dead": (replaced(**RIGHT | {"kl": DEAD}), {"sample_checks": 8}),
    "flood": (replaced(**RIGHT | {"kl": FLOOD, "likelihood": LONG_LINE}),
              {"sample_checks": 8, "kl_checks": 8, "likelihood_checks": 8}),
    # deleted cells, a changed check, a syntax error, an exit, a warning
    "muddled": (replaced(**MUDDLED), {"sample_checks": 8, "likelihood_checks": 8}),
    "zoe": (replaced(**RIGHT), {"sample_checks": 8, "kl_checks": 8, "likelihood_checks": 8}),  # sound, and graded last
}
CELL_LIMIT = 3  # seconds for the cell that hangs, in place of the 120 of the configuration; the others are given as long as they need
LIMIT = f'\nc.Execute.timeout_func = lambda cell: {CELL_LIMIT} if cell.get("id") == "kl_checks" else 120\n'


class Graded(NamedTuple):
    """Two course roots after grading: the lecturer's, with one solution, and the class of damaged submissions."""

    course: Path
    commands: list[str]
    class_course: Path
    class_log: str
    class_seconds: float


def grade(folder):
    """Follow the lecturers' page, every command as it is written there; meanwhile, one run of nbgrader grades the class."""
    course, class_course = course_copy(folder / "course"), course_copy(folder / "class")

    shell("nbgrader generate_assignment tutorial_7 --force", class_course)
    for student, (notebook, _) in CLASS.items():
        path = class_course / "submitted" / student / NAME
        path.parent.mkdir(parents=True)
        nbformat.write(notebook, path)
    garbled = class_course / "submitted" / "garbled" / NAME
    garbled.parent.mkdir(parents=True)
    garbled.write_text("<<<<<<< HEAD\n{")
    start = time.perf_counter()
    with open(class_course / "nbgrader_config.py", "a") as configuration:
        configuration.write(LIMIT)
    with open(folder / "log", "w") as log:
        grading = subprocess.Popen(["nbgrader", "autograde", "tutorial_7"], cwd=class_course, env=environment(), stdout=log, stderr=log)
    try:
        archive = course / "downloaded" / "tutorial_7" / "archive"
        archive.mkdir(parents=True)
        shutil.copy(SOURCE, archive / "alice_4711_file_tutorial_7.ipynb")
        blocks = re.findall(r"```sh\n(.*?)```", (COURSE / "README.md").read_text(), flags=re.S)
        commands = [line for block in blocks for line in block.strip().split("\n") if line.startswith("nbgrader")]
        for command in commands:
            if "validate" not in command:  # it runs the source once more; see test_validate_finds_a_failing_check
                shell(command, course)
        grading.wait(timeout=300)
    finally:
        grading.kill()
    return Graded(course, commands, class_course, (folder / "log").read_text(), time.perf_counter() - start)


def test_the_solution_earns_full_marks(graded):
    earned = scores(graded.course)["alice"]
    assert {n: p for n, p in earned.items() if n not in BY_HAND} == {n: p for n, p in POINTS.items() if n not in BY_HAND}
    assert all(earned[name] is None for name in BY_HAND), "written answers wait for a person"


def test_the_lecturers_commands_lead_to_grades_and_feedback(graded):
    steps = ["validate", "generate_assignment", "zip_collect", "autograde", "generate_feedback", "export"]
    assert [command.split()[1] for command in graded.commands] == steps
    (row,) = csv.DictReader((graded.course / "grades.csv").open())
    assert (row["student_id"], float(row["score"]), float(row["max_score"])) == ("alice", 90, 100)
    assert "the checks pass" in (graded.course / "feedback" / "alice" / "tutorial_7" / "tutorial_7.html").read_text()


def test_written_answers_complete_the_marks(graded):
    from nbgrader.api import Gradebook
    with Gradebook(f"sqlite:///{graded.course / 'gradebook.db'}") as gradebook:
        for name in BY_HAND:  # what the formgrader does when a lecturer enters 5 points
            grade = gradebook.find_grade(name, "tutorial_7", "tutorial_7", "alice")
            assert grade.needs_manual_grade
            grade.manual_score = 5
            gradebook.db.commit()
        assert gradebook.find_submission("tutorial_7", "alice").score == 100


@pytest.mark.parametrize("student", CLASS)
def test_a_damaged_submission_is_graded_and_spoils_no_other(graded, student):
    assert scores(graded.class_course)[student] == dict.fromkeys(POINTS, 0) | CLASS[student][1]


def test_what_cannot_be_read_is_named_at_the_end(graded):
    assert "There was an error processing assignment 'tutorial_7' for student 'garbled'" in graded.class_log
    assert graded.class_log.count("There was an error processing assignment 'tutorial_7' for student") == 1


def test_time_and_output_are_limited(graded):
    # Two cells run into the limit, and one is waited for once more. By the configuration's own limit of 120 seconds these
    # alone would take longer than the whole class may, other tests running beside it.
    assert graded.class_seconds < 3 * 120
    for student in CLASS:
        assert (graded.class_course / "autograded" / student / NAME).stat().st_size < 4e6


@pytest.mark.parametrize("student, words", [
    ("endless", "No reply from kernel before timeout"), ("deaf", "could not be interrupted in cell"), ("dead", "The kernel died in cell")])
def test_the_graded_notebook_says_what_stopped_it(graded, student, words):
    cell = grader_cells(graded.class_course / "autograded" / student / NAME)["kl_checks"]
    assert any(words in line for output in cell.outputs for line in output.traceback)


def test_a_whole_notebook_has_a_time_limit():
    config = PyFileConfigLoader("nbgrader_config.py", str(COURSE)).load_config()
    limited = config.Autograde.autograde_preprocessors[0](config=config, notebook_timeout=3)
    assert limited.timeout == 120, "the limit of a cell, as the lecturers' page states it"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("import time; time.sleep(60)"), nbformat.v4.new_code_cell("1")])
    start = time.perf_counter()
    limited.preprocess(notebook, {})
    assert time.perf_counter() - start < 50
    assert [cell.outputs[-1].ename for cell in notebook.cells] == ["CellTimeoutError", "NotRun"]


def test_validate_finds_a_failing_check(tmp_path):
    path = tmp_path / "notebook.ipynb"
    notebook = nbformat.read(RELEASE, as_version=4)
    notebook.cells = [c for c in notebook.cells if c.id in ("sample", "sample_checks")]
    nbformat.write(notebook, path)
    assert "NotImplementedError" in shell(f"nbgrader validate {path}", tmp_path, check=False).stdout
