"""What every test run needs: a model cache of its own, an order, the exercises' solutions.

Under pytest-xdist (`-n 2 --dist loadscope`) a file's tests stay together on one worker, as the
cells of a notebook must. No test waits for a test of another worker.
"""

import collections
import os
import re
import shutil
import tempfile
from pathlib import Path

import nbformat
import pytest
from nbval.plugin import IPyNbCell

TESTS = Path(__file__).parent / "tests"
# By their time in `make test`, solutions included, so that none is left over at the end; 09 trains
# a model that 08 then finds in the cache.
LONGEST_FIRST = ("06", "09", "07", "03", "01", "08", "10", "02")
# A solution that trains one more model: `make test-solutions` runs it, `make test` the others.
TRAINS = re.compile(r"\b(train|trained|training\.fit|fit_classifier|fit_gan|\w+_loop)\(")
MARKERS = (
    "slow: a unit test that `make check` leaves out and `make test` runs",
    "matrix: a case of a long matrix, run by a make target of its own",
    "quick: a unit test that is neither (set by conftest.py)",
)


def pytest_configure(config):
    """Start with an empty cache, so that a run proves what a fresh clone does.

    The notebooks' kernels and the workers of pytest-xdist inherit it. Notebooks run side by side,
    one on each worker: each gets its share of the cores.
    """
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    if hasattr(config, "workerinput"):
        return
    config.cache_of_this_run = tempfile.mkdtemp(prefix="lecture-tests-")
    os.environ["LECTURE_CACHE"] = config.cache_of_this_run
    os.environ.pop("LECTURE_SHARED_CACHE", None)
    share = (os.cpu_count() or 1) // max(1, len(config.getoption("tx", None) or []))
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, share)))  # before torch is imported


def pytest_unconfigure(config):
    """Delete this run's cache."""
    if hasattr(config, "cache_of_this_run"):
        shutil.rmtree(config.cache_of_this_run, ignore_errors=True)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark and order the tests, and put each folded solution behind its notebook."""
    for item in items:
        long = item.get_closest_marker("slow") or item.get_closest_marker("matrix")
        if TESTS / "unit" in item.path.parents and not long:
            item.add_marker("quick")
    items.sort(key=turn)  # a stable sort: all else stays in order
    add_solutions(items)
    result = yield  # here others deselect, shuffle, or put what failed last first
    keep_cells_in_order(items)
    return result


@pytest.hookimpl(optionalhook=True)  # the tests run without xdist, too
def pytest_xdist_make_scheduler(config, log):
    """Hand the tests out by `share_of_a_worker`, where `--dist loadscope` asks for shares."""
    if config.getoption("dist") != "loadscope":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ByShare(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return share_of_a_worker(nodeid)

    return ByShare(config, log)


def share_of_a_worker(nodeid):
    """What must run on one worker: a notebook, a file, a visit, all that needs the built pages."""
    file, _, test = nodeid.partition("::")
    if file.endswith(("test_book.py", "browser/test_playground.py", "browser/test_firefox.py")):
        return "the web edition, which is built once"
    if file.endswith("test_notebooks_in_jupyterlab.py") and "[" in test:
        return "a visit to " + test.split("[")[1].split("]")[0].split("-")[0]
    return file


def turn(item):
    """First the notebooks, the longest before the others; then the grading of a class, the longest
    file, so that it is not left over at the end; then browsers; then all else.

    A browser test that reads a notebook finds the models that it trained in the cache.
    """
    if isinstance(item, IPyNbCell):
        places = [
            place for place, start in enumerate(LONGEST_FIRST) if item.path.name.startswith(start)
        ]
        return 0, *(places or [len(LONGEST_FIRST)])
    if item.path.name == "test_grading.py":
        return 1, 0
    return (2, 0) if TESTS / "browser" in item.path.parents else (3, 0)


def keep_cells_in_order(items):
    """Let the cells of a notebook follow each other as they stand in it, whatever shuffled them."""
    cells = collections.defaultdict(list)
    for item in items:
        if isinstance(item, IPyNbCell):
            cells[item.path].append(item)
    ordered = []
    for item in items:
        if not isinstance(item, IPyNbCell):
            ordered.append(item)
        elif item.path in cells:  # the first of its notebook
            ordered += sorted(cells.pop(item.path), key=lambda cell: cell.cell_num)
    items[:] = ordered


def add_solutions(items):
    """Run each folded solution in its notebook's kernel, as one more cell behind the last."""
    from tests.notebooks.reading import solutions

    for position in reversed(range(len(items))):
        item = items[position]
        is_last = position + 1 == len(items) or items[position + 1].parent is not item.parent
        if isinstance(item, IPyNbCell) and is_last:
            for number, source in reversed(list(enumerate(solutions(item.parent.nb), start=1))):
                solution = IPyNbCell.from_parent(
                    item.parent,
                    name=f"Solution {number}",
                    cell_num=1000 + number,
                    cell=nbformat.v4.new_code_cell(source),
                    options=collections.defaultdict(bool),
                )
                if TRAINS.search(source):
                    solution.add_marker("matrix")
                items.insert(position + 1, solution)


# ------------------------------------------------------------------------------------ fixtures


@pytest.fixture(scope="session")
def mnist():
    """MNIST (lecture_utils.data.MNIST)."""
    from lecture_utils import data

    return data.load_mnist()


@pytest.fixture
def images():
    """Made-up images, uint8 [300, 20]."""
    from tests.helpers import random_images

    return random_images()


@pytest.fixture
def one_thread():
    """Sums over several threads may be added in another order; with one, runs are equal."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder of this test's own; the user's cache lies beside it."""
    monkeypatch.setenv("LECTURE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    return tmp_path / "cache"


@pytest.fixture
def fits(monkeypatch):
    """A list that grows by one with every training that `training.trained` had to do."""
    from lecture_utils import training

    runs, look_up = [], training.cached

    def cached(name, depends_on, compute, *keep):
        return look_up(name, depends_on, lambda: runs.append(name) or compute(), *keep)

    monkeypatch.setattr(training, "cached", cached)
    return runs


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The folder that the web edition was built in, and the finished process that built it."""
    from tests.project import site

    return site.build(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="session")
def site(built):
    """The folder with the pages of the web edition."""
    folder, process = built
    assert process.returncode == 0, process.stderr
    return folder / "html"
