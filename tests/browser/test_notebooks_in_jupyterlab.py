"""Every notebook as a reader meets it: opened in JupyterLab, run from the menu, explored by keyboard, stopped by the button."""

import threading
import urllib.error
import urllib.request
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path

import nbformat
import pytest

from . import lab
from .conftest import ROOT

SERIES = [path.name for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))]
TUTORIAL, RELEASE = (f"tutorial_7/{kind}/tutorial_7/tutorial_7.ipynb" for kind in ("source", "release"))
TRAINING, TRAINING_CELL = "06_training_on_mnist.ipynb", "training.fit(model, mnist.train_images"
FIRST = ("01", "10", "09", "tutorial_7/source", "06", "07", "08")  # the slow ones
EVERY = pytest.mark.parametrize("name", [*SERIES, TUTORIAL], ids=lambda name: Path(name).stem)


@pytest.fixture(scope="session")
def readings(request, browser_path, server):
    """A future reading (lab.Reading) of each notebook that a collected test asks for; two readers share the work.

    Where nbval runs the notebooks, too, each is read as soon as nbval is done with it, beside the next ones: one process
    alone does not keep two cores busy.
    """
    asked = {item.callspec.params["name"] for item in request.session.items if "reading" in getattr(item, "fixturenames", ())}
    has_run = {name: request.config.has_run.get(ROOT / "notebooks" / name) for name in asked}

    def turn(name):
        """First what need not wait for nbval, the slow ones before the others; then the rest in nbval's order."""
        place = next((place for place, start in enumerate(FIRST) if name.startswith(start)), len(FIRST))
        return (1, name) if has_run[name] else (0, place, name)

    readings, closing = {name: Future() for name in asked}, threading.Event()
    to_do = iter(sorted(asked, key=turn))  # shared: each name goes to one of the readers

    def read_all():
        """Read notebooks in one page until none is left to do; after a failure in a new page."""
        with ExitStack() as pages:
            page = None
            for name in to_do:
                if has_run[name]:
                    has_run[name].wait()
                if closing.is_set():
                    return
                try:
                    page = page or pages.enter_context(lab.jupyterlab_page(browser_path, server))
                    stop_at = TRAINING_CELL if name == TRAINING else None
                    readings[name].set_result(lab.read(page, name, run=name != RELEASE, stop_at=stop_at))
                except Exception as error:  # the tests of this notebook raise it
                    readings[name].set_exception(error)
                    pages.close()
                    page = None

    readers = [threading.Thread(target=read_all) for _ in range(lab.READERS)]
    for reader in readers:
        reader.start()
    yield readings
    closing.set()
    for event in filter(None, has_run.values()):
        event.set()
    for reader in readers:
        reader.join()


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


@pytest.mark.before_notebooks
def test_the_server_answers_nobody_without_the_token(readings, server):
    contents = f"{server.url}api/contents"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(contents)
    with urllib.request.urlopen(f"{contents}?token={server.token}") as answer:
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


@pytest.mark.parametrize("name", [RELEASE], ids=["release"])
def test_the_students_release_opens_without_outputs_and_without_a_fault(name, reading):
    assert reading.figures == [] and reading.images == 0 and reading.complaints == []
    assert reading.breakdowns == [] and reading.console == []
