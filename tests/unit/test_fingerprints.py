"""The fingerprint: what could change a result changes it, and nothing else does."""

import copy
import functools
import importlib
import json
import shutil
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

import lecture_utils
from lecture_utils import models, objectives, training
from lecture_utils.fingerprints import fingerprint

import numpy as np
import pytest
import torch

from tests.helpers import PACKAGE, SMALL, defined, notebook, output_of

# Two things that differ never look alike

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
    ([1j], [2j]),
    ([range(3)], [range(4)]),
    ([np.float64(1)], [1.0]),
    ([np.arange(3)], [np.arange(3.0)]),
    ([np.zeros((2, 3))], [np.zeros((3, 2))]),
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


@pytest.mark.parametrize(
    "part", [object(), np.vectorize(lambda x: x + 1), np.frompyfunc(abs, 1, 1), np.array([{}])]
)
def test_what_cannot_be_compared_is_refused(part):
    with pytest.raises(TypeError, match="cannot enter a cache's fingerprint"):
        fingerprint([part])


def test_the_refusal_names_the_variable():
    source = "class Loss:\n    draws = draws\n    def __call__(self, x): return x"
    loss = defined(source, notebook(draws=torch.Generator()), "Loss")()
    with pytest.raises(TypeError, match="A Generator cannot enter") as caught:
        fingerprint([lambda x: loss(x)])
    assert caught.value.__notes__[0] == "It is the attribute draws of Loss."
    assert caught.value.__notes__[1].startswith("It is loss in test_the_refusal")
    model = linear()
    model.prior = torch.distributions.Normal(0, 1)
    with pytest.raises(TypeError, match="A Normal cannot enter") as caught:
        fingerprint([model])
    assert caught.value.__notes__ == ["It is what stands under 'prior'."]


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
import json, sys
import torch
for folder in sys.stdin.read().split("\\n"):
    for name in [name for name in sys.modules if name.split(".")[0] == "lecture_utils"]:
        del sys.modules[name]
    sys.path.insert(0, folder)
    from lecture_utils import fingerprints, diffusion, gan, mixture, models, training
    both = gan.Gan(gan.GanGenerator(), gan.Discriminator())
    parts = [models.VAE(latent_dim=2), training.fit], [both, gan.fit_gan], [mixture.fit_mixture]
    mixed = [torch.arange(6.0).reshape(2, 3), {"b", "a"}, {"n": 1}, *parts[0]]
    assert fingerprints.__file__.startswith(folder)
    print(json.dumps([fingerprints.fingerprint(part) for part in (*parts, mixed)]))
"""


class Elsewhere(NamedTuple):
    """What the one other process of these tests found."""

    fingerprints: dict  # of VAE, GAN and mixture in a copy of the package after each change
    mixed: str  # the fingerprint of parts of many kinds, nothing changed


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """All that needs a process of its own: it imports copies of the package, not this one's."""
    folders = {}
    for case, (change, _) in ({"": (lambda folder: None, [])} | CHANGES).items():
        folders[case] = tmp_path_factory.mktemp("changed")
        package = folders[case] / "lecture_utils"
        shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__", "weights"))
        change(package)
    said = output_of(
        ELSEWHERE,
        folder=folders[""],
        stdin="\n".join(map(str, folders.values())),
        PYTHONHASHSEED="1",
    )
    found = dict(zip(folders, map(json.loads, said.split("\n")), strict=True))
    return Elsewhere({case: each[:3] for case, each in found.items()}, found[""][3])


@pytest.mark.parametrize("case", CHANGES)
def test_only_a_change_in_the_code_that_was_used_trains_anew(case, elsewhere):
    found = elsewhere.fingerprints
    changed = [a != b for a, b in zip(found[case], found[""], strict=True)]
    assert [number for number, other in enumerate(changed) if other] == CHANGES[case][1]


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


OF_CODE = {  # two functions that differ in a name, a constant, an order
    "a function of torch": ("lambda x: torch.exp(x)", "lambda x: torch.log(x)"),
    "a method": ("lambda x: x.sum(1)", "lambda x: x.prod(1)"),
    "a method, deep inside": ("lambda x: [i.sum() for i in x]", "lambda x: [i.prod() for i in x]"),
    "a built-in function": ("lambda x: abs(x)", "lambda x: len(x)"),
    "a constant": ("lambda x: x + 1", "lambda x: x + 2"),
    "the names of its arguments": ("lambda *, a, b: a - b", "lambda *, b, a: b - a"),
    "how it takes them": ("lambda *x: x", "lambda **x: x"),
    "a default": ("lambda x=1: x", "lambda x=2: x"),
    "what a decorator adds": ("scaled(1)(lambda x: x)", "scaled(2)(lambda x: x)"),
    "what a decorator of torch decorates": (
        "torch.no_grad()(lambda x: x + 1)",
        "torch.no_grad()(lambda x: x + 2)",
    ),
    "a decorator of torch": ("lambda x: x", "torch.no_grad()(lambda x: x)"),
    "which decorator of torch": (
        "torch.no_grad()(lambda x: x)",
        "torch.inference_mode()(lambda x: x)",
    ),
    "what a decorator of torch is given": (
        "torch.autocast('cpu', torch.bfloat16)(lambda x: x)",
        "torch.autocast('cpu', torch.float16)(lambda x: x)",
    ),
    "how torch maps it": ("torch.vmap(lambda x: x)", "torch.vmap(lambda x: x, in_dims=1)"),
    "where a constant stands": ("lambda x: x(..., 1)", "lambda x: x(1, ...)"),
    "an index with an ellipsis": ("lambda x: x[..., 0]", "lambda x: x[..., 1]"),
    "a collection that makes defaults": (
        "lambda x, d=defaultdict(lambda: 1): d[x]",
        "lambda x, d=defaultdict(lambda: 2): d[x]",
    ),
}
SCALED = """
def scaled(factor):
    def decorator(function):
        @functools.wraps(function)
        def wrapper(*args):
            return factor * function(*args)
        return wrapper
    return decorator
"""


@pytest.mark.parametrize("what", OF_CODE)
def test_a_function_counts_with_all_that_it_does(what):
    def made(source):
        return defined(
            f"{SCALED}\nloss = {source}", notebook(functools=functools, defaultdict=defaultdict)
        )

    first, again, other = (fingerprint([made(OF_CODE[what][number])]) for number in (0, 0, 1))
    assert first == again != other


OF_CLASSES = {  # what may stand in a class, with a number in it
    "a method": "class Loss:\n    def value(self): return {}",
    "__init__": "class Loss:\n    def __init__(self): self.make = lambda: {}",
    "__call__": "class Loss:\n    def __call__(self, x): return {}",
    "__getitem__": "class Loss:\n    def __getitem__(self, i): return {}",
    "an attribute": "class Loss:\n    beta = {}",
    "a private attribute": "class Loss:\n    _beta = {}",
    "an attribute of a base class": "class Base:\n    beta = {}\nclass Loss(Base): pass",
    "an attribute of a network": "class Loss(torch.nn.Module):\n    beta = {}",
    "a method of a network": "class Loss(torch.nn.Module):\n    def forward(self, x): return {}",
    "a static method": "class Loss:\n    value = staticmethod(lambda: {})",
    "a class method": "class Loss:\n    value = classmethod(lambda cls: {})",
    "a property": "class Loss:\n    value = property(lambda self: {})",
    "how a property is set": (
        "class Loss:\n    def set(self, x): self.a = x + {}\n    value = property(fset=set)"
    ),
    "a descriptor": (
        "class Own:\n    def __get__(self, *_): return {}\n    def __set__(self, *_): pass\n"
        "class Loss:\n    value = Own()"
    ),
    "a property that is kept": "class Loss:\n    v = functools.cached_property(lambda self: {})",
    "a method that keeps": "class Loss:\n    value = functools.cache(lambda self: {})",
    "a function of the module": "def one(): return {}\nclass Loss:\n    value = one",
    "a default": "@dataclass\nclass Loss:\n    beta: float = {}",
    "what makes a default": (
        "@dataclass\nclass Loss:\n    beta: list = field(default_factory=lambda: [{}])"
    ),
    "__post_init__": "@dataclass\nclass Loss:\n    def __post_init__(self): self.f = lambda: {}",
    "a slot": "class Loss:\n    __slots__ = ['a']\n    def __init__(self): self.a = {}",
    "a method of a tuple": "class Loss(NamedTuple):\n    a: int = 1\n    def f(self): return {}",
    "a method of a dict": "class Loss(dict):\n    def f(self): return {}",
    "an item of a dict": "class Loss(dict):\n    def __init__(self): super().__init__(a={})",
}


@pytest.mark.parametrize("what", OF_CLASSES)
def test_an_object_counts_with_all_that_its_class_has(what):
    def made(number):
        source = OF_CLASSES[what].format(number)
        variables = {"functools": functools, "dataclass": dataclass, "field": field}
        return defined(source, notebook(NamedTuple=NamedTuple, **variables), "Loss")()

    assert fingerprint([made(1)]) == fingerprint([made(1)]) != fingerprint([made(2)])


def linear():
    torch.manual_seed(0)
    return torch.nn.Linear(3, 3)


def with_hook(change):
    network = linear()
    network.register_forward_hook(lambda module, x, y: change * y)
    return network


class Scaled(torch.nn.Module):
    def __init__(self, scale):
        super().__init__()
        self._scale = scale


def tied():
    one = linear()
    return [one, one]


def bound_together(number):
    """Three equal layers; the last has the weight of one of the others."""
    layers = [linear(), linear(), linear()]
    layers[2].weight = layers[number].weight
    return torch.nn.Sequential(*layers)


relu = torch.nn.ReLU()
NETWORKS = {  # two networks with the same weights
    "a hook": (lambda: with_hook(1), lambda: with_hook(2)),
    "no hook": (lambda: with_hook(1), linear),
    "a private attribute": (lambda: Scaled(1), lambda: Scaled(2)),
    "tied weights": (
        lambda: torch.nn.Sequential(*tied()),
        lambda: torch.nn.Sequential(linear(), linear()),
    ),
    "another layer's tied weight": (lambda: bound_together(0), lambda: bound_together(1)),
    "where one activation stands": (
        lambda: torch.nn.Sequential(relu, linear(), relu, linear()),
        lambda: torch.nn.Sequential(relu, linear(), linear(), relu),
    ),
}


@pytest.mark.parametrize("what", NETWORKS)
def test_a_network_counts_with_all_that_it_computes(what):
    one, other = NETWORKS[what]
    assert fingerprint([one()]) == fingerprint([one()]) != fingerprint([other()])


def kl_by_the_package(mu, logvar):
    return lecture_utils.objectives.gaussian_kl(mu, logvar)


def kl_by_an_import(mu, logvar):
    from lecture_utils.objectives import gaussian_kl

    return gaussian_kl(mu, logvar)


@pytest.mark.parametrize("function", [kl_by_the_package, kl_by_an_import])
def test_a_function_of_this_package_counts_however_it_is_named(function, monkeypatch):
    before = fingerprint([function])
    monkeypatch.setattr(objectives, "gaussian_kl", lambda mu, logvar: mu + logvar)
    assert fingerprint([function]) != before


def test_a_module_beside_the_notebook_counts_where_it_is_imported(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    source = "def loss(x):\n    import helper_of_a_student as own\n    return own.scale(x)"
    found = []
    for factor in (1, 2):
        (tmp_path / "helper_of_a_student.py").write_text(f"def scale(x): return {factor} * x + 0")
        monkeypatch.delitem(sys.modules, "helper_of_a_student", raising=False)
        importlib.invalidate_caches()
        shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
        found.append(fingerprint([defined(source, notebook())]))
    monkeypatch.delitem(sys.modules, "helper_of_a_student")
    assert found[0] != found[1]


def test_an_import_of_a_library_inside_a_function_imports_nothing():
    def loss(x):
        import this

        return this.s

    fingerprint([loss])
    assert "this" not in sys.modules


def test_a_tensor_that_shares_a_models_memory_is_told_from_a_copy():
    """A penalty on the way from the first weights is always 0 if the weights were not copied."""
    model = linear()
    start = model.weight.detach()
    closures = [lambda x, start=each: x - start for each in (start, start.clone(), start.clone())]
    shared, copied, again = (fingerprint([model, each]) for each in closures)
    assert shared != copied == again


def test_attributes_of_a_function_count():
    def loss(x):
        return loss.beta * x

    loss.beta = 1.0
    before = fingerprint([loss])
    loss.beta = 4.0
    assert fingerprint([loss]) != before


def test_a_function_may_name_what_is_not_set_yet():
    def loss(x):
        return helper(x)

    before = fingerprint([loss])
    helper = abs
    assert fingerprint([loss]) != before


def test_a_docstring_counts_only_where_it_is_used():
    source = 'def loss(x):\n    """{}"""\n    return getattr(x, "{}")()'
    versions = [("A", "sum"), ("B", "sum"), ("A", "prod"), ("sum", "sum"), ("prod", "prod")]
    first, described, *others = (
        fingerprint([defined(source.format(*words), notebook())]) for words in versions
    )
    assert first == described and len({first, *others}) == 4


def test_an_optimiser_that_was_built_changes_nothing():
    """torch then wraps the `step` of its class."""
    before = fingerprint([training.fit])
    training.adam_by_layer(linear(), 1e-3)
    assert fingerprint([training.fit]) == before


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
