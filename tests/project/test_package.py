"""Rules that the package's source keeps: safe logs, docstrings with shapes and units."""

import ast
import inspect
import re

from lecture_utils import bounds, evaluation, models, objectives, training

import pytest

from tests.helpers import PACKAGE


def calls(tree, names):
    """Calls in a syntax tree of a function or method with one of these names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = (
                node.func.attr
                if isinstance(node.func, ast.Attribute)
                else getattr(node.func, "id", "")
            )
            if name in names:
                yield node


def unsafe(source):
    """What a log should not be fed with, as text: clamps, an epsilon, or BCE on probabilities."""
    tree = ast.parse(source)
    found = [ast.unparse(call) for call in calls(tree, {"binary_cross_entropy", "BCELoss"})]
    for log in calls(tree, {"log", "log2", "log10", "logit"}):
        clamps = list(
            calls(log, {"clamp", "clip", "clamp_", "clip_", "clamp_min", "maximum", "nan_to_num"})
        )
        epsilon = [
            node
            for node in ast.walk(log)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, float)
            and 0 < abs(node.value) < 1e-3
        ]
        if clamps or epsilon:
            found.append(ast.unparse(log))
        found += [ast.unparse(log)] * any(word.arg == "eps" for word in log.keywords)
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.name)
def test_no_clamp_and_no_epsilon_inside_a_log(path):
    # One patient of the clinic has this very fault: case 8.
    ill_on_purpose = 1 if path.name == "clinic.py" else 0
    assert len(unsafe(path.read_text(encoding="utf-8"))) == ill_on_purpose


@pytest.mark.parametrize(
    "bad",
    [
        "torch.log(p + 1e-8)",
        "p.clamp(min=1e-7).log()",
        "F.binary_cross_entropy(p, x)",
        "nn.BCELoss()",
        "torch.log(torch.clamp(p, 0, 1))",
        "torch.logit(p, eps=1e-6)",
    ],
)
def test_the_scan_for_unsafe_logs_finds_them(bad):
    assert unsafe(bad) and not unsafe(
        "torch.log(p) + 1e-8; p.clip(0); torch.logit((p * n + 1) / (n + 2))"
    )


def public_functions():
    """Every public function, class and method of the modules that compute, as (name, object)."""
    for module in (models, objectives, bounds, training, evaluation):
        for name, thing in vars(module).items():
            if name.startswith("_") or getattr(thing, "__module__", None) != module.__name__:
                continue
            yield f"{module.__name__}.{name}", thing
            if inspect.isclass(thing):
                for method, function in vars(thing).items():
                    if inspect.isfunction(function) and not method.startswith("_"):
                        yield f"{module.__name__}.{name}.{method}", function


PUBLIC = dict(public_functions())


@pytest.mark.parametrize("name", PUBLIC)
def test_public_docstrings_say_what_and_which_shape(name):
    thing = PUBLIC[name]
    assert thing.__doc__ and len(thing.__doc__.split()) >= 5, "no docstring"
    source = "" if inspect.isclass(thing) else str(inspect.signature(thing))
    source = re.sub(r"Callable\[\[.*?\].*?\]", "", source)  # what a function that is returned takes
    if "Tensor" in source:
        assert re.search(r"\[[^\]]+\]|same shape", thing.__doc__), f"no shape in {thing.__doc__!r}"


@pytest.mark.parametrize(
    "name",
    [
        "gaussian_kl",
        "bernoulli_log_likelihood",
        "standard_normal_log_density",
        "gaussian_log_density",
        "negative_elbo",
        "elbo",
        "log_importance_weights",
        "importance_weighted_bound",
    ],
)
def test_docstrings_of_losses_give_the_unit(name):
    assert "nats" in (getattr(objectives, name, None) or getattr(bounds, name)).__doc__
