"""A wrong sign, a dropped 1/2 or another dropped factor in any formula of notebooks 04 and 05 makes
the notebook fail.

The formulas stand in cells tagged "formula". Here each of their signs is flipped and each of their
factors dropped, one at a time, and the notebook's own cells are run on from there: one of its
asserts has to stop it. The figures are skipped.
"""

import ast
import functools
import types
from pathlib import Path

import nbformat
import pytest
import torch

from tests.helpers import named

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
NAMES = ["04_reparameterization", "05_kl_term"]


@functools.cache
def cells(name):
    """The code cells without figures and explorers, as [(source, is a formula cell)]."""
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    return [
        (cell.source, "formula" in cell.metadata.get("tags", []))
        for cell in notebook.cells
        if cell.cell_type == "code"
        and "plotting.show(" not in cell.source
        and "_explorer()" not in cell.source
    ]


def is_half(node):
    return ast.unparse(node) in ("0.5", "sympy.Rational(1, 2)")


def is_number(node):
    return (
        isinstance(node, ast.Constant)
        and isinstance(node.value, (int, float))
        or ast.unparse(node).startswith("sympy.Rational(")
    )


def mutate(node):
    """Return [(description, replacement)] for one node of a formula."""
    found = []
    if isinstance(node, ast.BinOp):
        swap = {ast.Add: ast.Sub, ast.Sub: ast.Add}.get(type(node.op))
        if swap:
            found.append(("sign", ast.BinOp(node.left, swap(), node.right)))
        if isinstance(node.op, ast.Div) and is_number(node.right):
            found.append(("divisor dropped", node.left))
        if isinstance(node.op, ast.Mult) and is_number(node.left) and not is_half(node.left):
            found.append(("factor dropped", node.right))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        found.append(("minus dropped", node.operand))
    if is_half(node):
        found.append(("1/2 dropped", ast.Constant(1)))
    return found


def places(tree):
    """Every expression of a cell but keyword arguments: they name axes, not mathematics."""
    keywords = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword)
        for inner in ast.walk(node)
    }
    return [node for node in ast.walk(tree) if isinstance(node, ast.expr) and node not in keywords]


def mutants(name):
    """Yield (cell number, what was done, mutated source) for every place in every formula cell."""
    for number, (source, is_formula) in enumerate(cells(name)):
        if not is_formula:
            continue
        for place, node in enumerate(places(ast.parse(source))):
            for kind, _ in mutate(node):
                tree = ast.parse(source)
                target = places(tree)[place]
                replacement = dict(mutate(target))[kind]
                mutated = ast.unparse(_Replace(target, replacement).visit(tree))
                assert mutated != ast.unparse(ast.parse(source))
                yield number, f"line {node.lineno}, {kind}: {ast.unparse(node)}", mutated


class _Replace(ast.NodeTransformer):
    def __init__(self, target, replacement):
        self.target, self.replacement = target, replacement

    def visit(self, node):
        return self.replacement if node is self.target else super().generic_visit(node)


def fresh(namespace):
    """Copy a namespace, with its functions bound to the copy, so that they see its formulas and not
    the original's.
    """
    new = dict(namespace)
    for name, value in namespace.items():
        if isinstance(value, types.FunctionType) and value.__globals__ is namespace:
            new[name] = types.FunctionType(
                value.__code__, new, value.__name__, value.__defaults__, value.__closure__
            )
    if "generator" in new:  # a mutant draws the numbers that the notebook would have drawn
        new["generator"] = namespace["generator"].clone_state()
    return new


@functools.cache
def states(name):
    """Run the notebook as it is, with the machinery of the mutants; return the namespace and
    torch's dtype before each cell.

    Every formula cell is rewritten by the parser, but not changed; every cell runs in a copy of the
    namespace before it.
    """
    namespace, before = {"__name__": "notebook"}, []
    torch.set_default_dtype(torch.float32)
    for source, is_formula in cells(name):
        before.append((namespace, torch.get_default_dtype()))
        namespace = fresh(namespace)
        exec(
            compile(
                ast.unparse(ast.parse(source)) if is_formula else source, f"{name}.ipynb", "exec"
            ),
            namespace,
        )
    return before


def run_on(name, number, source):
    """Run `source` in place of cell `number`, then all later cells."""
    state, dtype = states(name)[number]
    namespace = fresh(state)
    torch.set_default_dtype(
        dtype
    )  # the notebook sets it; a mutant must fail for its formula, not for its precision
    for text in [source] + [later for later, _ in cells(name)[number + 1 :]]:
        exec(compile(text, f"{name}.ipynb", "exec"), namespace)


@pytest.fixture(autouse=True)
def other_tests_keep_their_dtype():
    before = torch.get_default_dtype()
    yield
    torch.set_default_dtype(before)


def parameters():
    """Every mutant; all but the first of its kind in 05 for `make test-mutants` alone."""
    known = set()
    for name in NAMES:
        for number, what, source in mutants(name):
            kind = what.split(":")[0].split(", ")[1]
            is_first = name == NAMES[-1] and kind not in known
            known |= {kind} if is_first else set()
            marks = [] if is_first else [pytest.mark.matrix]
            yield pytest.param(name, number, source, marks=marks, id=f"{name[:2]}, {what}")


def test_there_is_much_to_mutate():
    for name in NAMES:
        assert sum(is_formula for _, is_formula in cells(name)) >= 7
        assert len(list(mutants(name))) >= 40


@pytest.mark.parametrize("name", named(NAMES, NAMES[-1:]))
def test_unchanged_formulas_pass(name, capsys):
    """The control: without a change, no assert stops the notebook."""
    assert len(states(name)) == len(cells(name))


@pytest.mark.parametrize(("name", "number", "source"), list(parameters()))
def test_a_changed_formula_stops_the_notebook(name, number, source, capsys):
    with pytest.raises(AssertionError):
        run_on(name, number, source)
