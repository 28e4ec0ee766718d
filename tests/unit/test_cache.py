"""The cache: what is found again, what is not, what may be shared, and what a broken one costs."""

import copy
import functools
import json
import multiprocessing
import os
import random
import re
import shutil
import stat
import warnings
from dataclasses import dataclass
from typing import NamedTuple

from lecture_utils import cache as caching
from lecture_utils import models, training
from lecture_utils.cache import cached, fingerprint, remembered

import numpy as np
import pytest
import torch

from tests.faults import unreadable, unwritable
from tests.helpers import EVERY_KIND, PACKAGE, SMALL, output_of, random_images

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


# The fingerprint: two things that differ never look alike

ALIKE = [  # pairs whose bytes, or whose text, are the same one after the other
    (["2", "11"], ["21", "1"]),
    ([2, 11, 0], [21, 1, 0]),
    ([["a"], "b"], [["a", "b"]]),
    ([["a", "b"]], ["a", "b"]),
    ([1], [True]),
    ([1], [1.0]),
    ([1], ["1"]),
    ([None], ["None"]),
    ([(1,)], [[1]]),
    ([b"1"], ["1"]),
    ([{"a": 1, "b": 2}], [{"a": 2, "b": 1}]),
    ([[]], [[], []]),
    ([torch.zeros(4)], [torch.zeros(2, 2)]),
    ([torch.zeros(4)], [torch.zeros(16, dtype=torch.uint8)]),
    ([torch.zeros(4)], [torch.zeros(4, dtype=torch.int32)]),
    ([torch.zeros(1), torch.zeros(3)], [torch.zeros(3), torch.zeros(1)]),
    ([torch.tensor([0.0])], [torch.tensor([-0.0])]),
    ([models.VAE(**SMALL)], [models.Autoencoder(**SMALL)]),
    ([models.VAE(**SMALL)], [models.VAE(**SMALL, seed=1)]),
    ([models.VAE(**SMALL)], [models.VAE(**SMALL, activation=torch.nn.Tanh)]),
    ([models.DenoisingAutoencoder(**SMALL)], [models.DenoisingAutoencoder(**SMALL, noise=0.1)]),
    ([models.VAE(**SMALL).train()], [models.VAE(**SMALL).eval()]),
    ([models.VAE(**SMALL)], [models.VAE(**SMALL).requires_grad_(False)]),
    (
        [(one := models.VAE(**SMALL)), (other := models.VAE(**SMALL, seed=1)), one],
        [one, other, other],
    ),
    ([torch.optim.Adam], [torch.optim.SGD]),
    ([np.exp], [np.expm1]),
    (["a".join], ["b".join]),
    ([functools.cache(lambda x: x + 1)], [functools.cache(lambda x: x + 2)]),
]


@pytest.mark.parametrize(("a", "b"), ALIKE, ids=[str(number) for number in range(len(ALIKE))])
def test_what_differs_has_another_fingerprint(a, b):
    assert fingerprint(a) != fingerprint(b)
    assert fingerprint(a) == fingerprint(copy.deepcopy(a))  # and what is equal has the same one


def test_the_fingerprint_does_not_depend_on_the_process(elsewhere):
    """Nor on the folder of the package, nor on the order of a set."""
    x = torch.arange(6.0).reshape(2, 3)
    here = fingerprint([x, {"b", "a"}, {"n": 1}, models.VAE(latent_dim=2), training.fit])
    assert elsewhere.mixed == here


def test_the_fingerprint_does_not_depend_on_strides(images):
    assert fingerprint([images.T]) == fingerprint([images.T.contiguous()])


def test_torchs_version_counts(monkeypatch):
    before = fingerprint([1])
    monkeypatch.setattr(torch, "__version__", "99.0")
    assert fingerprint([1]) != before


def test_the_default_dtype_counts():
    before = fingerprint([1])
    torch.set_default_dtype(torch.float64)
    try:
        assert fingerprint([1]) != before
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    ("of_library", "version"), [(np.linalg.norm, 1), (np.ndarray, 1), (np, 1), (json.dumps, 0)]
)
def test_a_librarys_version_counts_where_it_is_used(of_library, version, monkeypatch):
    before = fingerprint([of_library])
    monkeypatch.setattr(np, "__version__", "99.0")
    assert (fingerprint([of_library]) != before) == version


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(TypeError, match="cannot enter a cache's fingerprint"):
        fingerprint([object()])


# The code that a result depends on


def replace(file, *pairs):
    def change(folder):
        text = (folder / file).read_text(encoding="utf-8")
        for right, wrong in pairs:
            assert right in text, f"{right!r} no longer stands in {file}"
            text = text.replace(right, wrong)
        (folder / file).write_text(text, encoding="utf-8")

    return change


def comments_everywhere(folder):
    """Another first line in every file, another docstring of the module, another one of `fit`."""
    for file in folder.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        text = text.replace('"""', '"""Changed. ', 1)
        file.write_text("# A comment.\n\n" + text, encoding="utf-8")
    replace("training.py", ('"""Train `model` on', '"""TRAIN `model` on'))(folder)
    replace("models.py", ("# u < noise decides", "# U < NOISE decides"))(folder)


CHANGES = {  # what is changed, and which of VAE, GAN and mixture have another fingerprint
    "comments and docstrings": (comments_everywhere, []),
    "a file that is not used": (
        replace("plotting.py", ("def digit_rows(", "def digit_rows_of_another_name(")),
        [],
    ),
    "the GAN's loss": (
        replace("gan.py", ("F.softplus(-fake_logits)", "2 * F.softplus(-fake_logits)")),
        [1],
    ),
    "the KL": (
        replace("objectives.py", ("return -0.5 * (1 + logvar", "return -0.6 * (1 + logvar")),
        [0],
    ),
    "the KL's twin in the same file": (
        replace("objectives.py", ("return -0.5 * (z.square()", "return -0.6 * (z.square()")),
        [],
    ),
    "the VAE's encoder": (
        replace(
            "models.py", ("return self.encoder(x - self.mean_image)", "return self.encoder(x)")
        ),
        [0],
    ),
    "the number of steps between looks": (
        replace("training.py", ("LOOK_EVERY = 50", "LOOK_EVERY = 51")),
        [0, 1],
    ),
    "a default": (
        replace("training.py", ("learning_rate: float = 1.2e-2", "learning_rate: float = 1.3e-2")),
        [0],
    ),
    "the grey values": (replace("data.py", ("images / 255 if", "images / 256 if")), [0, 1, 2]),
    "the mixture's chunk": (replace("mixture.py", ("CHUNK = 1000", "CHUNK = 900")), [2]),
}


ELSEWHERE = """
import json, os, sys
import torch
for folder in sys.stdin.read().split("\\n"):
    for name in [name for name in sys.modules if name.split(".")[0] == "lecture_utils"]:
        del sys.modules[name]
    sys.path.insert(0, folder)
    from lecture_utils import cache, diffusion, gan, mixture, models, training
    both = gan.Gan(gan.GanGenerator(), gan.Discriminator())
    parts = [models.VAE(latent_dim=2), training.fit], [both, gan.fit_gan], [mixture.fit_mixture]
    mixed = [torch.arange(6.0).reshape(2, 3), {"b", "a"}, {"n": 1}, *parts[0]]
    assert cache.__file__.startswith(folder)
    print(json.dumps([cache.fingerprint(part) for part in (*parts, mixed)]))
for umask in (0o022, 0o027, 0o077):
    os.umask(umask)  # one for all threads of a process
    cache.cached(f"{umask:o}", [], dict)
"""


class Elsewhere(NamedTuple):
    """What the one other process of these tests found and did."""

    fingerprints: dict  # of VAE, GAN and mixture in a copy of the package after each change
    mixed: str  # the fingerprint of parts of many kinds, nothing changed
    entries: list  # of a cache, written under three umasks


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """All that needs a process of its own: it imports copies of the package, not this one's."""
    folders = {}
    for case, (change, _) in ({"": (lambda folder: None, [])} | CHANGES).items():
        folders[case] = tmp_path_factory.mktemp("changed")
        package = folders[case] / "lecture_utils"
        shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__", "weights"))
        change(package)
    written = tmp_path_factory.mktemp("written")
    said = output_of(
        ELSEWHERE,
        folder=folders[""],
        stdin="\n".join(map(str, folders.values())),
        PYTHONHASHSEED="1",
        LECTURE_CACHE=str(written),
    )
    found = dict(zip(folders, map(json.loads, said.split("\n")), strict=True))
    return Elsewhere(
        {case: each[:3] for case, each in found.items()}, found[""][3], [*written.iterdir()]
    )


@pytest.mark.parametrize("case", CHANGES)
def test_only_a_change_in_the_code_that_was_used_trains_anew(case, elsewhere):
    found = elsewhere.fingerprints
    changed = [a != b for a, b in zip(found[case], found[""], strict=True)]
    assert [number for number, other in enumerate(changed) if other] == CHANGES[case][1]


def notebook(**variables):
    """A namespace like a notebook's: its functions are those of `__main__`."""
    return {"__name__": "__main__", "torch": torch} | variables


def defined(source, namespace, name="loss"):
    exec(source, namespace)
    return namespace[name]


GLOBAL = "def loss(model, x, generator):\n    return beta * x.sum(1)\n"
CLOSED_OVER = """
def make(beta):
    def loss(model, x, generator):
        return beta * x.sum(1)
    return loss
"""


def test_a_notebooks_loss_counts_with_the_globals_that_it_names():
    first, other = (defined(GLOBAL, notebook(beta=beta)) for beta in (1.0, 4.0))
    again = defined(GLOBAL, notebook(beta=1.0, something_else=3))
    assert fingerprint([first]) == fingerprint([again]) != fingerprint([other])


def test_a_global_with_the_name_of_an_attribute_does_not_count():
    source = "def loss(model, x, generator):\n    return x.mean(1)\n"
    plain, *others = (
        defined(source, {"mean": mean}) for mean in (1.0, 2.0, torch.distributions.Normal(0, 1))
    )
    assert all(fingerprint([plain]) == fingerprint([other]) for other in others)


def test_a_notebooks_loss_counts_with_what_it_closes_over():
    make = defined(CLOSED_OVER, notebook(), "make")
    assert fingerprint([make(1.0)]) == fingerprint([make(1.0)]) != fingerprint([make(4.0)])


def test_a_notebooks_loss_counts_with_the_functions_that_it_calls():
    half = "def half(x):\n    return x / {}\n"
    source = half + "def loss(model, x, generator):\n    return half(x).sum(1)\n"
    first, other = (defined(source.format(n), notebook()) for n in (2, 3))
    assert fingerprint([first]) != fingerprint([other])


def test_a_notebooks_loss_counts_with_its_code_and_defaults_but_not_with_its_comments():
    source = (
        'def loss(model, x, generator, beta={}):\n    """{}"""\n    return beta * x.sum({})  # {}\n'
    )
    versions = [
        source.format(*words)
        for words in ((1, "A", 1, "a"), (1, "B", 1, "b"), (2, "A", 1, "a"), (1, "A", 0, "a"))
    ]
    first, commented, default, code = (fingerprint([defined(v, notebook())]) for v in versions)
    assert first == commented and len({first, default, code}) == 3


def test_a_lambda_counts_with_its_code():
    assert fingerprint([lambda x: x + 1]) != fingerprint([lambda x: x + 2])


def test_a_recursive_function_has_a_fingerprint():
    def loss(n):
        return loss(n - 1) if n else 0

    assert fingerprint([loss]) == fingerprint([loss])


def test_functions_of_one_name_and_other_code_differ_wherever_they_stand():
    """Two functions with the same code but other globals: neither is skipped."""
    a, b = (defined(GLOBAL, notebook(beta=beta)) for beta in (1.0, 4.0))
    assert fingerprint([a, a]) != fingerprint([a, b])


@pytest.mark.parametrize("module", [{}, {"__name__": "nowhere"}])
def test_code_that_exec_made_counts_as_a_notebooks_does(module):
    first, other = (defined(GLOBAL, module | {"beta": beta}) for beta in (1.0, 4.0))
    assert fingerprint([first]) != fingerprint([other])


def test_an_objects_attributes_count():
    @dataclass
    class Cycle:
        epochs: int

    assert fingerprint([Cycle(1)]) != fingerprint([Cycle(2)])


class Squares:
    def __init__(self, n):
        self.n = n

    @functools.cached_property
    def values(self):
        return [i**2 for i in range(self.n)]


def test_what_an_object_has_computed_for_itself_does_not_count(monkeypatch):
    """It follows from the rest, and the rest is there before it."""
    fresh, used = Squares(3), Squares(3)
    assert used.values == [0, 1, 4]
    assert fingerprint([fresh]) == fingerprint([used]) != fingerprint([Squares(4)])
    before = fingerprint([fresh])
    other = functools.cached_property(lambda self: [i**3 for i in range(self.n)])
    other.__set_name__(Squares, "values")
    monkeypatch.setattr(Squares, "values", other)
    assert fingerprint([Squares(3)]) != before  # but how it computes does


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


@pytest.mark.skipif(os.name == "nt", reason="modes bind on POSIX")
def test_an_entry_may_be_read_by_whom_the_umask_allows(elsewhere):
    modes = {
        entry.name.split("-")[0]: stat.S_IMODE(entry.stat().st_mode) for entry in elsewhere.entries
    }
    assert modes == {"22": 0o644, "27": 0o640, "77": 0o600}


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


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there are no such limits on Windows")
def test_a_full_disk_costs_a_warning_and_leaves_nothing(cache):
    """In a process of its own: the limit on the size of files is one for all threads."""
    code = """if True:
        import resource, torch
        from lecture_utils.cache import cached
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        print(len(cached("entry", [], lambda: {"weights": torch.zeros(100_000)})["weights"]))"""
    assert output_of(code, PYTHONWARNINGS="ignore") == "100000"
    assert files(cache) == []


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
