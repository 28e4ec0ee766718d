"""Every notebook as a reader meets it: opened in JupyterLab, run from the menu, explored by keyboard, stopped by the button."""

import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest

from . import lab
from .conftest import ROOT

SERIES = [path.name for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))]
TUTORIAL, RELEASE = (f"tutorial_7/{kind}/tutorial_7/tutorial_7.ipynb" for kind in ("source", "release"))
TRAINING, TRAINING_CELL = "06_training_on_mnist.ipynb", "training.fit(model, mnist.train_images"
FIRST = ("tutorial_7/release", "01", "10", "09", "tutorial_7/source", "06", "07", "08")  # what the first test asks for, then the slow ones
EVERY = pytest.mark.parametrize("name", [*SERIES, TUTORIAL], ids=lambda name: Path(name).stem)


@pytest.fixture(scope="session")
def readings(request, browser_path, server):
    """A future reading (lab.Reading) of each notebook that a collected test asks for; two are read at a time.

    Where nbval runs the notebooks, too, each is read as soon as nbval is done with it, beside the next ones: one process
    alone does not keep two cores busy.
    """
    asked = {item.callspec.params["name"] for item in request.session.items if "readings" in getattr(item, "fixturenames", ())}
    has_run = {name: request.config.has_run.get(ROOT / "notebooks" / name) for name in asked} | {RELEASE: None}
    closing = threading.Event()

    def read(name):
        if has_run[name] is not None:
            has_run[name].wait()
        if closing.is_set():
            raise CancelledError
        return lab.read(browser_path, server, name, run=name != RELEASE, stop_at=TRAINING_CELL if name == TRAINING else None)

    def turn(name):
        """First what need not wait for nbval, the slow ones before the others; then the rest in nbval's order."""
        place = next((place for place, start in enumerate(FIRST) if name.startswith(start)), len(FIRST))
        return (1, name) if has_run[name] else (0, place, name)

    pool = ThreadPoolExecutor(lab.READERS)
    yield {name: pool.submit(read, name) for name in sorted(asked, key=turn)}
    closing.set()
    for event in filter(None, has_run.values()):
        event.set()
    pool.shutdown(cancel_futures=True)


@pytest.fixture
def reading(readings, name):
    return readings[name].result()


def cells(name):
    return [cell for cell in nbformat.read(ROOT / "notebooks" / name, as_version=4).cells if cell.cell_type == "code"]


def figures(name, with_folded=True):
    """The number of the cell, from 1, of each figure that the committed notebook holds."""
    return [number for number, cell in enumerate(cells(name), start=1) for output in cell.outputs
            if "image/png" in output.get("data", {}) and (with_folded or not cell.metadata.get("jupyter", {}).get("outputs_hidden"))]


def n_explorers(name):
    """The number of explorers that the code of the notebook asks for."""
    return sum(cell.source.count("_explorer(") for cell in cells(name))


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
def test_answers_are_folded_until_their_cell_is_run_and_all_other_figures_are_there_without_a_run(name, reading):
    assert reading.answers_open == 0
    assert reading.images_at_first == len(figures(name, with_folded=False))


@EVERY
def test_nothing_on_the_page_looks_like_a_breakdown(name, reading):
    assert reading.breakdowns == []


@EVERY
def test_the_browser_console_shows_no_error(name, reading):
    assert reading.console == []


@pytest.mark.parametrize("name", [name for name in SERIES if n_explorers(name)], ids=lambda name: Path(name).stem)
def test_every_slider_and_menu_is_reached_by_tab_and_an_arrow_key_changes_the_picture_within_half_a_second(name, reading):
    assert len(reading.explorers) == n_explorers(name)
    for moves in reading.explorers:
        assert moves, "an explorer without a control"
        assert [move for move in moves if move != move._replace(reached=True, picture_changed=True, focus_kept=True, pictures=1)] == []
        assert [move for move in moves if move.milliseconds > 500] == []
    assert reading.outputs_added_by_explorers == 0


@pytest.mark.parametrize("name", [TRAINING], ids=lambda name: Path(name).stem)
def test_a_progress_bar_with_the_loss_in_nats_is_shown_while_training(name, reading):
    assert len(reading.bars) >= 2 and "nats" in reading.bars[-1]
    assert reading.bars[-1].startswith("100%")  # the last thing it said, before it went away


@pytest.mark.parametrize("name", [TRAINING], ids=lambda name: Path(name).stem)
def test_the_stop_button_ends_training_with_a_message_and_a_usable_model(name, reading):
    stop = reading.stop
    assert "nats" in stop.bar and not stop.bar.startswith("100%")
    assert "Interrupted after 0 of 5 epochs. The model is usable as it is" in stop.message
    assert stop.bars_running == 0
    assert stop.complaints == []  # neither from the stopped cell nor from the four below, which use the model


@pytest.mark.before_notebooks
@pytest.mark.parametrize("name", [RELEASE], ids=["release"])
def test_the_students_release_opens_without_outputs_and_without_a_fault(name, reading):
    assert reading.figures == [] and reading.images == 0 and reading.complaints == []
    assert reading.breakdowns == [] and reading.console == []
