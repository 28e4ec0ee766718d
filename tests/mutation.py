"""Tests, tested: a mistake that is put into a formula must make the test fail that looks for it."""

import functools
import inspect
import types


def mutated(module, function, right, wrong):
    """A copy of the module with `wrong` in place of `right` in the body of one function."""
    source = inspect.getsource(getattr(module, function))
    head, body = source.rsplit('"""\n', 1)  # the docstring stays as it is
    assert body.count(right) == 1, (
        f"{right!r} does not stand once in {function}: bring the list of mistakes up to date"
    )
    changed = head + '"""\n' + body.replace(right, wrong)
    copy = types.ModuleType(f"mutated_{module.__name__.split('.')[-1]}")
    text = inspect.getsource(module).replace(source, changed)
    exec(compile(text, copy.__name__, "exec"), copy.__dict__)
    return copy


def run(test):
    """Run a test function outside pytest, for all of its parameters."""
    marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
    assert len(marks) <= 1
    if not marks:
        return test()
    names, values = marks[0].args
    names = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    for value in values:
        test(**dict(zip(names, value if len(names) > 1 else [value], strict=True)))


@functools.cache
def holds(test):
    """Run a test as `run` does, once however many mistakes it shall find; True if it passes."""
    run(test)
    return True


def formulas(module):
    """The public functions that the module defines."""
    return {
        name
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and name[0] != "_"
    }
