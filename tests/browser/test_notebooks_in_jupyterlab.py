"""Every notebook as a reader meets it: opened in JupyterLab, run from the menu, explored by
keyboard, stopped by the button.
"""

import re
import urllib.error
import urllib.request

import nbformat
import pytest

from . import lab
from .conftest import ROOT

SERIES = [path.name for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))]
TUTORIAL, RELEASE = (
    f"tutorial_7/{kind}/tutorial_7/tutorial_7.ipynb" for kind in ("source", "release")
)
# Notebook 06, and a small notebook that holds every feature, of cells that take no time.
TRAINING, SMALL = "06_training_on_mnist.ipynb", "small_test.ipynb"
PROSE = "04_reparameterization.ipynb"  # the formulas of SMALL, and a figure
TRAINING_CELL = "training.fit(model, mnist.train_images"
SMALL_CELLS = [
    """from lecture_utils import data, models, plotting, training
from lecture_utils.explorers.plane import beta_explorer
from matplotlib import pyplot as plt
mnist = data.load_mnist()
images = data.binary_test_set(mnist)
model = models.VAE()""",
    f"history = {TRAINING_CELL}, epochs=2)",
    "history.loss",
    "model.training",
    "model.encode(images[:1])[0].shape",
    "1",
    """figure, axis = plt.subplots()
axis.plot(history.loss)
plotting.show(figure, alt="The loss after each epoch.")""",
    """nine = model.reconstruct(images[:9])
plotting.show(plotting.digit_grid(nine, columns=3), alt="Nine digits.")""",
    """untrained = {"0": models.VAE(latent_dim=2), "1": models.VAE(latent_dim=2, seed=1)}
beta_explorer(untrained, images, mnist.test_labels)""",
]
FIGURE, ANSWER = 6, 7  # in SMALL_CELLS: shown at once, and folded until its cell is run
# The notebooks of which `make test` visits each; `make test-browser` visits all. Together they have
# every feature: training with a progress bar and a stop button, explorer, answer, formulas. The
# playground's own tests run it in JupyterLab.
REPRESENTATIVE = (SMALL, RELEASE)


def small_notebook():
    """SMALL, as it would be committed: with its two figures, the answer folded."""
    prose = nbformat.read(ROOT / "notebooks" / PROSE, as_version=4).cells
    outputs = [output for cell in prose for output in cell.get("outputs", [])]
    picture = next(output for output in outputs if "image/png" in output.get("data", {}))
    book = lab.notebook_of(SMALL_CELLS)
    for number in (FIGURE, ANSWER):
        book.cells[number].outputs = [picture]
    book.cells[ANSWER].metadata = {"tags": ["hide-output"], "jupyter": {"outputs_hidden": True}}
    book.cells += [cell for cell in prose if cell.cell_type == "markdown"]
    return book


def visits(names):
    """Run a test on each notebook, all tests of one notebook on one worker of pytest-xdist."""
    parameters = []
    for name in names:
        marks = [] if name in REPRESENTATIVE else [pytest.mark.matrix]
        parameters.append(pytest.param(name, marks=marks, id=name.removesuffix(".ipynb")))
    return pytest.mark.parametrize("name", parameters)


EVERY = visits([*SERIES, TUTORIAL, SMALL])


@pytest.fixture(scope="session")
def readings():
    """What was found in each notebook (lab.Reading), or the error of the visit; filled by
    `reading`.
    """
    return {}


@pytest.fixture
def reading(readings, browser, server, name):
    """What a reader found who visited the notebook; one visit serves all of its tests."""
    if name not in readings:
        stop_at = TRAINING_CELL if name in (TRAINING, SMALL) else None
        if name == SMALL:
            nbformat.write(small_notebook(), server.folder / name)
        try:
            with lab.jupyterlab_page(browser, server) as page:
                readings[name] = lab.read(page, name, run=name != RELEASE, stop_at=stop_at)
        except Exception as error:  # every test of this notebook raises it
            readings[name] = error
    if isinstance(readings[name], Exception):
        raise readings[name]
    return readings[name]


def cells(name):
    committed = ROOT / "notebooks" / name
    book = small_notebook() if name == SMALL else nbformat.read(committed, as_version=4)
    return [cell for cell in book.cells if cell.cell_type == "code"]


def figures(name, with_folded=True):
    """The number of the cell, from 1, of each figure that the committed notebook holds."""
    return [
        number
        for number, cell in enumerate(cells(name), start=1)
        for output in cell.outputs
        if "image/png" in output.get("data", {})
        and (with_folded or not cell.metadata.get("jupyter", {}).get("outputs_hidden"))
    ]


def n_explorers(name):
    """The number of explorers that the code of the notebook asks for."""
    return sum(cell.source.count("_explorer(") for cell in cells(name))


def test_the_server_answers_nobody_without_the_token(server):
    contents = f"{server.url}api/contents"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(contents, timeout=lab.READY)
    with urllib.request.urlopen(f"{contents}?token={server.token}", timeout=lab.READY) as answer:
        assert answer.status == 200


@EVERY
def test_run_all_reaches_the_last_cell_without_an_error_or_a_warning(name, reading):
    assert reading.complaints == [] and reading.not_run == []


@EVERY
def test_every_committed_figure_is_made_again_and_shown(name, reading):
    assert reading.figures == figures(name)
    assert reading.images == len(figures(name)) + n_explorers(name)


@EVERY
def test_no_picture_is_broken_or_enlarged_or_see_through(name, reading):
    assert reading.faults == []


@EVERY
def test_answers_are_folded_until_their_cell_is_run_and_all_other_figures_are_there_without_a_run(
    name, reading
):
    assert reading.answers_open == 0
    assert reading.images_at_first == len(figures(name, with_folded=False))


@EVERY
def test_nothing_on_the_page_looks_like_a_breakdown(name, reading):
    assert reading.breakdowns == []


@EVERY
def test_the_browser_console_shows_no_error(name, reading):
    assert reading.console == []


@visits([name for name in (*SERIES, SMALL) if n_explorers(name)])
def test_every_slider_is_reached_by_tab_and_an_arrow_key_changes_the_picture(name, reading):
    assert len(reading.explorers) == n_explorers(name)
    for moves in reading.explorers:
        assert moves, "an explorer without a control"
        assert [
            move
            for move in moves
            if move
            != move._replace(reached=True, picture_changed=True, focus_kept=True, pictures=1)
        ] == []
        assert [move for move in moves if move.milliseconds > lab.SLOW] == []
    assert reading.outputs_added_by_explorers == 0


@visits([SMALL, TRAINING])
def test_a_progress_bar_with_the_loss_is_shown_while_training(name, reading):
    assert reading.bars and "loss" in reading.bars[-1]
    assert reading.bars[-1].startswith("100%")  # the last thing it said, before it went away


@visits([SMALL, TRAINING])
def test_the_stop_button_ends_training_with_a_message_and_a_usable_model(name, reading):
    stop = reading.stop
    assert "loss" in stop.bar and not stop.bar.startswith("100%")
    assert re.search(
        r"Interrupted after \d+ of \d+ steps. The model is usable as it is", stop.message
    )
    assert stop.bars_running == 0
    assert (
        stop.complaints == []
    )  # neither from the stopped cell nor from the four below, which use the model


@visits([RELEASE])
def test_the_students_release_opens_without_outputs_and_without_a_fault(name, reading):
    assert reading.figures == [] and reading.images == 0 and reading.complaints == []
    assert reading.breakdowns == [] and reading.console == []
