"""The cache: what is found again, what is not, what may be shared, and what a broken one costs."""

import copy
import functools
import json
import multiprocessing
import os
import random
import re
import stat
import warnings

from lecture_utils import cache as caching
from lecture_utils import models, training
from lecture_utils.cache import cached, remembered

import numpy as np
import pytest
import torch

from tests.faults import unreadable, unwritable
from tests.helpers import EVERY_KIND, SMALL, defined, output_of, random_images

ONE_EPOCH = {"epochs": 1, "batch_size": 64, "device": "cpu", "progress": False}


def trained(images, model=None, **options):
    return training.trained(model or models.VAE(**SMALL), images, **ONE_EPOCH | options)


def same(model, other):
    pairs = zip(model.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def files(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def keep(value, depends_on=(), name="entry"):
    """Cache a value; return what comes back, and whether it was computed."""
    computed = []
    entry = cached(name, list(depends_on), lambda: computed.append(1) or {"value": value})
    return entry["value"], bool(computed)


# Computed once


DRAWN = """
def drawn(x, power=1):
    return {"draw": torch.rand(()), "all": [shift * x**power, 0.5, 2, True, "text", None]}
"""


def a_remembered(source=DRAWN, shift=1.0):
    """A function that draws anew whenever it is computed."""
    return remembered(defined(source, {"torch": torch, "shift": shift}, "drawn"))


def test_a_remembered_function_is_computed_once_for_the_same_call(cache):
    x = torch.arange(3.0)
    first = a_remembered()(x)
    assert a_remembered()(x)["draw"] == first["draw"]
    kept, *rest = a_remembered()(x)["all"]
    assert torch.equal(kept, x) and rest == [0.5, 2, True, "text", None]
    assert len(files(cache)) == 1 and files(cache)[0].startswith("drawn-")


@pytest.mark.parametrize(
    "call",
    [
        lambda x: a_remembered()(x + 1),
        lambda x: a_remembered()(x, 2),
        lambda x: a_remembered()(x, power=2),
        lambda x: a_remembered(shift=2.0)(x),
        lambda x: a_remembered(DRAWN.replace("0.5", "0.6"))(x),
    ],
)
def test_a_remembered_function_is_computed_anew_for_another_call_or_other_code(call, cache):
    x = torch.arange(3.0)
    assert a_remembered()(x)["draw"] != call(x)["draw"]


@pytest.mark.parametrize(
    "result",
    [
        *["(1, 2)", "numpy.zeros(2)", "torch.zeros(2).sum().numpy()[()]", "{'a': [{2}]}"],
        *["torch.nn.Linear(1, 1)", "torch.zeros(2, requires_grad=True)"],
        "torch.zeros(2, device='meta')",
    ],
)
def test_what_would_not_come_back_as_it_was_is_not_kept(result, cache):
    source = f"def drawn():\n    import numpy, torch\n    return {result}\n"
    with pytest.raises(TypeError, match="cannot be kept in the cache"):
        a_remembered(source)()
    assert files(cache) == []


def test_one_call_has_one_entry_however_its_arguments_are_given(cache):
    drawn, x = a_remembered(), torch.arange(3.0)
    first = drawn(x)["draw"]
    for again in (drawn(x, 1), drawn(x, power=1), drawn(x=x), drawn(power=1, x=x)):
        assert again["draw"] == first
    assert len(files(cache)) == 1


def test_a_wrong_call_is_refused_as_without_the_cache(cache):
    with pytest.raises(TypeError, match="missing a required argument: 'x'"):
        a_remembered()()


def test_what_has_no_name_can_be_remembered(cache):
    of_partial = remembered(
        functools.partial(defined(DRAWN, {"torch": torch, "shift": 1}, "drawn"))
    )
    of_lambda = remembered(lambda x: float(torch.rand(())))
    assert of_partial(2)["draw"] == of_partial(2)["draw"] and of_lambda(2) == of_lambda(2)
    assert [name.split("-")[0] for name in files(cache)] == ["lambda", "result"]


def test_a_part_of_a_tensor_is_kept_without_the_rest(cache):
    part = remembered(lambda: torch.zeros(1000, 1000)[:, 0])
    assert torch.equal(part(), part()) and part().is_contiguous()
    (entry,) = cache.iterdir()
    assert entry.stat().st_size < 20_000


def test_one_remembered_function_may_call_another(cache):
    inner = remembered(torch.no_grad()(lambda x: x + 1))
    inner.__name__ = inner.__wrapped__.__name__ = "inner"
    source = "def drawn(x):\n    return inner(x) * 2\n"
    outer = remembered(defined(source, {"inner": inner}, "drawn"))
    assert torch.equal(outer(torch.ones(2)), torch.full([2], 4.0))


def test_a_remembered_function_may_not_draw_from_a_generator_of_others(cache):
    with pytest.raises(TypeError, match="A Generator cannot enter"):
        a_remembered()(torch.Generator())


# Trained once


@EVERY_KIND
def test_the_second_call_comes_from_the_cache_and_is_the_same(kind, images, cache, fits):
    model, history = trained(images, kind(**SMALL))
    again, history_again = trained(images, kind(**SMALL))
    assert len(fits) == 1 and len(files(cache)) == 1
    assert files(cache)[0].startswith(kind.__name__.lower())
    assert same(model, again) and history == history_again and not again.training


def test_anything_that_changes_the_result_is_trained_anew(images, cache, fits):
    one_pixel = images.clone()
    one_pixel[17, 3] ^= 1
    other = [
        {"seed": 1},
        {"epochs": 2},
        {"batch_size": 32},
        {"learning_rate": 1e-3},
        {"pixels": "grey"},
    ]
    other += [{"images": one_pixel}, {"images": images[:299]}]
    other += [
        {"model": models.VAE(**SMALL | change)}
        for change in ({"latent_dim": 4}, {"hidden": (8,)}, {"seed": 9})
    ]
    other += [{"model": models.DenoisingAutoencoder(**SMALL, noise=noise)} for noise in (0.3, 0.1)]
    for number, variant in enumerate([{}, *other], start=1):
        for _ in range(2):
            arguments = copy.deepcopy({"images": images} | variant)
            trained(**arguments)
        assert len(fits) == number, variant
    assert len(files(cache)) == len(fits)


def test_what_changes_nothing_is_not_trained_anew(images, cache, fits):
    trained(images)
    trained(images, progress=False)
    assert len(fits) == 1


def test_the_precision_counts(images, cache, fits, monkeypatch):
    monkeypatch.delenv("LECTURE_PRECISION", raising=False)
    for fast in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda fast=fast: fast)
        trained(images)
    assert len(fits) == 2


def test_the_precision_counts_where_the_best_device_is_another(images, monkeypatch):
    """A `fit` may train on the CPU whatever the best device is."""
    found = []

    def look(name, depends_on, *_):
        found.append(caching.fingerprint(depends_on))
        raise StopIteration

    monkeypatch.setattr(training, "best_device", lambda: torch.device("cuda"))
    monkeypatch.setattr(training, "cached", look)
    for precision in ("float32", "bfloat16"):
        monkeypatch.setenv("LECTURE_PRECISION", precision)
        with pytest.raises(StopIteration):
            training.trained(models.VAE(**SMALL), images)
    assert found[0] != found[1]


def test_a_training_whose_record_would_not_come_back_is_said_to_be_not_kept(images, cache):
    with pytest.warns(UserWarning, match="was not cached.*holds more than tensors") as caught:
        _, history = trained(images, on_epoch=lambda model: np.float64(1.0))
    assert len(caught) == 1 and files(cache) == [] and len(history.loss) == 1


def test_an_interrupted_run_is_not_kept(images, cache, fits, monkeypatch):
    count, original = [], models.VAE.loss_terms

    def loss_terms(self, x, generator=None):
        count.append(1)
        if len(count) == 3:
            raise KeyboardInterrupt
        return original(self, x, generator)

    with monkeypatch.context() as patch:
        patch.setattr(models.VAE, "loss_terms", loss_terms)
        patch.setattr(
            caching, "fingerprint", lambda depends_on: "fixed"
        )  # the patch is no code to compare
        model, history = trained(images)
    assert history.interrupted and files(cache) == []
    assert torch.isfinite(model.sample(3)).all()
    _, history = trained(images)
    assert not history.interrupted and len(fits) == 2 and len(files(cache)) == 1


# Layers: shared and read only, writable, the user's own


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """A folder that a lecturer filled for the class."""
    folder = tmp_path / "shared"
    folder.mkdir()
    monkeypatch.setenv("LECTURE_SHARED_CACHE", str(folder))
    return folder


def test_a_shared_cache_is_read_first_and_never_written(cache, shared):
    keep("made by the lecturer")
    (entry,) = cache.iterdir()
    entry.rename(shared / entry.name)
    with unwritable(shared):
        assert keep("made again") == ("made by the lecturer", False)
        assert keep("another", [1]) == ("another", True)
    assert len(files(shared)) == 1 and len(files(cache)) == 1


def test_a_shared_cache_that_is_not_there_is_no_fault(cache, monkeypatch, tmp_path):
    monkeypatch.setenv("LECTURE_SHARED_CACHE", str(tmp_path / "nowhere"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert keep("made", [1]) == ("made", True) and keep("again", [1]) == ("made", False)
    assert not (tmp_path / "nowhere").exists()


def test_where_the_cache_may_not_be_written_the_users_own_is(cache, tmp_path):
    cache.mkdir()
    with unwritable(cache), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert keep("made", [1]) == ("made", True) and keep("again", [1]) == ("made", False)
    assert files(cache) == [] and len(files(tmp_path / "user" / "lecture_utils" / "models")) == 1


def test_an_entry_that_may_not_be_read_is_not_called_damaged(cache):
    keep("theirs")
    (entry,) = cache.iterdir()
    with (
        unreadable(entry),
        pytest.warns(UserWarning, match=r"may not be read.*chmod a\+r") as caught,
    ):
        assert keep("mine") == ("mine", True)
    assert len(caught) == 1 and "damaged" not in str(caught[0].message)


# Faults


DAMAGE = {
    "truncated": lambda whole: whole[: len(whole) // 2],
    "random bytes": lambda whole: random.Random(0).randbytes(5000),
    "empty": lambda whole: b"",
    "another file's content": lambda whole: json.dumps({"weights": 1}).encode(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_entry_costs_only_the_time_to_train_again(
    damage, images, cache, fits, one_thread
):
    model, _ = trained(images)
    (entry,) = cache.iterdir()
    entry.write_bytes(DAMAGE[damage](entry.read_bytes()))
    with pytest.warns(UserWarning, match="damaged") as caught:
        again, _ = trained(images)
    assert len(caught) == 1 and len(fits) == 2 and same(model, again)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained(images)
    assert len(fits) == 2 and len(files(cache)) == 1


FOREIGN = {"other keys": {"other": 1}, "a list": [1, 2], "a pickled model": models.VAE(**SMALL)}


@pytest.mark.parametrize("foreign", FOREIGN)
def test_an_entry_that_holds_something_else_is_made_again(foreign, images, cache, fits):
    trained(images)
    (entry,) = cache.iterdir()
    torch.save(FOREIGN[foreign], entry)
    with pytest.warns(UserWarning, match=re.escape(f"{entry} is damaged and is made again")):
        model, _ = trained(images)
    assert torch.isfinite(model.sample(3)).all() and len(fits) == 2
    trained(images)
    assert len(fits) == 2 and list(cache.iterdir()) == [entry]


FAILURES = [
    OSError(28, "No space left on device"),
    RuntimeError("PytorchStreamWriter failed writing file"),
]


@pytest.mark.parametrize("error", FAILURES, ids=["OSError", "RuntimeError"])
def test_a_disk_that_fills_while_saving_costs_a_warning_and_leaves_nothing(
    error, images, cache, monkeypatch
):
    def save(entry, file):
        file.write(b"half")
        raise error

    monkeypatch.setattr(torch, "save", save)
    with pytest.warns(UserWarning, match="not cached in .*Free some disk space") as caught:
        model, history = trained(images)
    assert len(caught) == 1 and files(cache) == []
    assert len(history.loss) == 1 and torch.isfinite(model.sample(3)).all()


OF_ONE_PROCESS = """
import os, resource, torch
from lecture_utils.cache import cached
for umask in (0o022, 0o027, 0o077):
    os.umask(umask)
    cached(f"{umask:o}", [], dict)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
print(len(cached("large", [], lambda: {"weights": torch.zeros(100_000)})["weights"]))
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there are no such modes and limits on Windows")
def test_the_umask_decides_who_reads_an_entry_and_a_full_disk_leaves_none(cache):
    """In a process of its own: these settings are one for all threads."""
    assert output_of(OF_ONE_PROCESS, PYTHONWARNINGS="ignore") == "100000"
    modes = {
        entry.name.split("-")[0]: stat.S_IMODE(entry.stat().st_mode) for entry in cache.iterdir()
    }
    assert modes == {"22": 0o644, "27": 0o640, "77": 0o600}


def test_a_run_that_is_stopped_while_saving_leaves_nothing_behind(images, cache, monkeypatch):
    def save(entry, file):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(KeyboardInterrupt):
        trained(images)
    assert files(cache) == []


def test_where_nothing_can_be_written_a_warning_names_the_variable(tmp_path, monkeypatch, images):
    (tmp_path / "file").write_text("not a folder")
    for variable in ("LECTURE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "file" / "folder"))
    with pytest.warns(
        UserWarning, match="not cached in .*set LECTURE_CACHE to a writable folder"
    ) as caught:
        model, history = trained(images)
    assert len(caught) == 1 and len(history.loss) == 1 and torch.isfinite(model.sample(3)).all()


def test_writing_an_entry_is_one_step(cache, monkeypatch):
    """Another process never sees half an entry: until it is complete, no file has its name."""
    original, during = torch.save, []

    def save(entry, file):
        original(entry, file)
        during.extend(files(cache))

    monkeypatch.setattr(torch, "save", save)
    keep("value")
    assert len(during) == 1 and during[0].endswith(".part")
    assert len(files(cache)) == 1 and files(cache)[0].endswith(".pt")


def train(folder, barrier, results):
    """What one of two notebooks does: train the model that the other one trains too."""
    os.environ["LECTURE_CACHE"] = str(folder)
    torch.set_num_threads(1)
    barrier.wait(120)
    model, history = trained(random_images())
    results.put((len(history.loss), bool(torch.isfinite(model.sample(3)).all())))


@pytest.mark.slow
def test_two_notebooks_that_train_the_same_model_at_once_leave_one_whole_entry(cache, images, fits):
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(2), context.Queue()
    arguments = (cache, barrier, results)
    processes = [context.Process(target=train, args=arguments, daemon=True) for _ in range(2)]
    for process in processes:
        process.start()
    assert [results.get(timeout=120) for _ in processes] == [(1, True)] * 2
    for process in processes:
        process.join(timeout=60)
    assert len(files(cache)) == 1 and files(cache)[0].endswith(".pt")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained(images)
    assert fits == []  # this process finds what they left
