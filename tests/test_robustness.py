"""What goes wrong on students' machines: notebooks run twice, out of order, elsewhere, at once; caches that are old or broken.

Missing, damaged and unwritable data has its tests in test_data.py, the cache's single faults in test_conventions.py.
"""

import ast
import builtins
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import nbformat
import pytest
import torch
from faults import small_files_only, unwritable
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient

from lecture_utils import name_error_hint, models, training

ROOT = Path(__file__).resolve().parents[1]
NUMBERED = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
SMALL = {"hidden": (400,), "latent_dim": 3, "epochs": 1}  # 2.5 MB of weights


def random_images():
    return torch.randint(0, 256, (300, 784), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.fixture
def images():
    return random_images()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LECTURE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def fits(monkeypatch):
    """Count the trainings behind `trained`."""
    runs, fit = [], training.fit
    monkeypatch.setattr(training, "fit", lambda *arguments, **options: runs.append(options) or fit(*arguments, **options, progress=False))
    return runs


# --- A notebook in its kernel


def printed(cell):
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def test_run_all_twice_in_one_kernel_from_another_directory_prints_the_same_twice(tmp_path):
    notebook = nbformat.read(ROOT / "notebooks" / "05_kl_term.ipynb", as_version=4)
    cells = [(index, cell) for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    client = NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}})
    with client.setup_kernel():
        passes = [[printed(client.execute_cell(cell, index)) for index, cell in cells] for _ in range(2)]
    assert passes[0] == passes[1] and any(passes[0])
    assert list(tmp_path.iterdir()) == [], "a notebook leaves nothing where it was started"


@pytest.mark.parametrize("path", NUMBERED, ids=lambda path: path.stem)
def test_no_cell_takes_a_builtin_name_from_the_cells_above_it_when_all_is_run_again(path):
    """A second pass assigns every name anew, in order; only what the first pass found in Python itself could be lost."""
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            assert not name_error_hint.made_by(cell.source) & set(dir(builtins))


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    """A kernel of a notebook that was opened in JupyterLab, after its first cell; send it code, get {stream: text}."""
    path = tmp_path_factory.mktemp("opened") / "notebook.ipynb"
    cell = nbformat.v4.new_code_cell
    nbformat.write(nbformat.v4.new_notebook(cells=[
        cell("import lecture_utils"), nbformat.v4.new_markdown_cell("# 01 · A notebook\n\n## Train"),
        cell("\nvae, history = 'model', []"), nbformat.v4.new_markdown_cell("## Look"), cell("print(vae)"), cell("print(vea)")]), path)
    manager, client = start_new_kernel(env=os.environ | {"JPY_SESSION_NAME": str(path)})

    def run(code):
        texts = {"stdout": "", "stderr": "", "error": ""}

        def collect(message):
            if message["msg_type"] == "stream":
                texts[message["content"]["name"]] += message["content"]["text"]
            elif message["msg_type"] == "error":
                texts["error"] += f'{message["content"]["ename"]}: {message["content"]["evalue"]}'

        client.execute_interactive(code, timeout=60, output_hook=collect)
        return texts

    run("import lecture_utils")
    yield run
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def test_a_cell_run_too_early_names_the_cell_to_run_first(kernel):
    early = kernel("print(vae)")
    assert early["error"] == "NameError: name 'vae' is not defined"
    assert early["stderr"] == ("\n'vae' is made under the heading \"Train\", in the cell that begins with\n    vae, history = 'model', []\n"
                               "Run that cell first, or choose Run > Run All Above Selected Cell in the menu.\n")
    assert kernel("\nvae, history = 'model', []") == {"stdout": "", "stderr": "", "error": ""}
    assert kernel("print(vae)") == {"stdout": "model\n", "stderr": "", "error": ""}


def test_a_name_that_no_cell_makes_gets_pythons_message_alone(kernel):
    assert kernel("print(vea)") == {"stdout": "", "stderr": "", "error": "NameError: name 'vea' is not defined"}
    assert kernel("1 / 0") == {"stdout": "", "stderr": "", "error": "ZeroDivisionError: division by zero"}


def test_outside_a_notebook_nothing_is_registered_and_ipython_is_not_imported():
    code = "import sys, lecture_utils; print('IPython' in sys.modules)"
    environment = os.environ | {"JPY_SESSION_NAME": "notebook.ipynb"}
    assert subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout == "False\n"


def statements(source):
    return ast.parse(re.sub(r"^[%!].*", "", source, flags=re.MULTILINE)).body


def names(nodes, context):
    return {node.id for part in nodes for node in ast.walk(part) if isinstance(node, ast.Name) and isinstance(node.ctx, context)}


@pytest.mark.parametrize("path", NUMBERED, ids=lambda path: path.stem)
def test_every_cell_of_the_series_that_needs_an_earlier_one_can_name_it(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    above, assigned, asked = [], set(), 0
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            for name in names(statements(source), ast.Load) & assigned:
                line = re.search(r"begins with\n    (.*)", name_error_hint.advice(name, source, cells))[1]
                assert any(re.search(rf"\b{name}\b", other) and other.strip().startswith(line.strip()) for other in above), name
                asked += 1
            assigned |= names([target for s in statements(source) if isinstance(s, ast.Assign) for target in s.targets], ast.Store)
            above.append(source)
    assert asked > 10


# --- The cache of trained models


def train(folder, barrier, results):
    """What one of two notebooks does: train the model that the other one trains too."""
    os.environ["LECTURE_CACHE"] = str(folder)
    torch.set_num_threads(1)
    barrier.wait(120)
    trainings, fit = [], training.fit
    training.fit = lambda *arguments, **options: trainings.append(1) or fit(*arguments, **options, progress=False)
    model, history = training.trained("vae", random_images(), **SMALL)
    results.put((len(trainings), len(history.loss), bool(torch.isfinite(model.sample(3)).all())))


def test_two_notebooks_that_train_the_same_model_at_once_both_end_well_and_leave_one_whole_entry(cache):
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(2), context.Queue()
    processes = [context.Process(target=train, args=(cache, barrier, results), daemon=True) for _ in range(2)]
    for process in processes:
        process.start()
    assert [results.get(timeout=120) for _ in processes] == [(1, 1, True)] * 2
    for process in processes:
        process.join()
    entry, = cache.iterdir()
    assert entry.suffix == ".pt"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert set(torch.load(entry, weights_only=True)) == {"weights", "record"}


@pytest.mark.parametrize("changed, trained_anew", [("models.py", True), ("objectives.py", True), ("plotting.py", False), ("widgets.py", False)])
def test_an_entry_that_other_code_made_is_not_used(changed, trained_anew, images, cache, fits, tmp_path, monkeypatch):
    package = tmp_path / "lecture_utils"
    shutil.copytree(ROOT / "lecture_utils", package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(training, "__file__", str(package / "training.py"))
    training.trained("vae", images, **SMALL)
    with open(package / changed, "a") as file:
        file.write("# another version\n")
    training.trained("vae", images, **SMALL)
    assert len(fits) == 1 + trained_anew


def test_an_entry_that_another_torch_made_is_not_used(images, cache, fits, monkeypatch):
    training.trained("vae", images, **SMALL)
    monkeypatch.setattr(torch, "__version__", "99.0")
    training.trained("vae", images, **SMALL)
    assert len(fits) == 2


@pytest.mark.parametrize("foreign", [{"other": 1}, [1, 2], models.VAE(hidden=(4,), latent_dim=2)], ids=["other keys", "a list", "a pickled model"])
def test_an_entry_that_holds_something_else_costs_a_warning_and_the_time_to_train_again(foreign, images, cache, fits):
    training.trained("vae", images, **SMALL)
    entry, = cache.iterdir()
    torch.save(foreign, entry)
    with pytest.warns(UserWarning, match=re.escape(f"{entry} is damaged and is made again")):
        model, _ = training.trained("vae", images, **SMALL)
    assert torch.isfinite(model.sample(3)).all() and len(fits) == 2
    training.trained("vae", images, **SMALL)
    assert len(fits) == 2 and list(cache.iterdir()) == [entry]


def test_a_disk_that_fills_while_caching_costs_a_warning_and_leaves_no_file(images, cache, fits):
    with small_files_only(), pytest.warns(UserWarning, match="not cached.*Free some disk space") as caught:
        model, history = training.trained("vae", images, **SMALL)
    assert len(caught) == 1 and list(cache.iterdir()) == []
    assert len(history.loss) == 1 and torch.isfinite(model.sample(3)).all()


@pytest.mark.parametrize("fault", ["read-only folder", "a file"])
def test_a_cache_that_cannot_be_written_costs_a_warning_that_names_the_variable(fault, images, cache, fits):
    cache.mkdir() if fault == "read-only folder" else cache.write_text("not a folder")
    with unwritable(cache), pytest.warns(UserWarning, match="not cached in .*set LECTURE_CACHE to a writable folder") as caught:
        model, history = training.trained("vae", images, **SMALL)
    assert len(caught) == 1 and len(history.loss) == 1 and torch.isfinite(model.sample(3)).all()


def test_entries_of_a_cache_that_became_read_only_are_still_used(images, cache, fits):
    training.trained("vae", images, **SMALL)
    with unwritable(cache):
        training.trained("vae", images, **SMALL)
    assert len(fits) == 1


# --- Versions


def test_the_lowest_versions_are_all_lower_bounds_of_pyproject():
    sys.path.insert(0, str(ROOT / "tools"))
    import lowest
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    constraints = lowest.lowest(project)
    bounds = project["dependencies"] + sum(project["optional-dependencies"].values(), [])
    assert len(constraints) == len(bounds) >= 15
    for constraint, bound in zip(constraints, bounds):
        assert re.fullmatch(r"[\w-]+==[\d.]+", constraint) and constraint.split("==") == bound.split(">=")
