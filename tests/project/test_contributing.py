"""What CONTRIBUTING.md says of the code is so: its map of the package, and its worked example."""

import ast
import re

import pytest

from tests.helpers import PACKAGE, ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
HEAVY = ("torchvision", "seaborn", "pandas", "sympy")  # for one function each, seconds to import


def modules_in_reading_order():
    """The names in the first column of the map, row by row."""
    head = "| module | what it holds | notebooks |\n| --- | --- | --- |\n"
    rows = TEXT.split(head)[1].split("\n\n")[0].split("\n")
    return [name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])]


def module_of(path):
    """`training` for training.py, `explorers` for a file in the folder of that name."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(source, everywhere=True):
    """The modules that Python code imports, as dotted names; at its top alone, or everywhere."""
    tree = ast.parse(source)
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def used(source):
    """The modules of the package that Python code imports."""
    parts = [name.split(".") for name in imports(source)]
    return {part[1] for part in parts if part[0] == "lecture_utils" and len(part) > 1}


SOURCES = {
    path: path.read_text(encoding="utf-8")
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.name != "__init__.py" or path.parent != PACKAGE
}


def test_the_map_holds_every_module_once():
    assert sorted(modules_in_reading_order()) == sorted({module_of(path) for path in SOURCES})


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_imports_one_below_it_in_the_map(path):
    order = modules_in_reading_order()
    here = order.index(module_of(path))
    assert [name for name in used(SOURCES[path]) if order.index(name) > here] == []


def test_the_scan_for_imports_sees_every_way_to_write_one():
    source = "import lecture_utils.a\nfrom lecture_utils import b\n"
    assert used(source + "def f():\n  from lecture_utils.c import d") == {"a", "b", "c"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_one_function_needs_is_not_imported_by_all(path):
    """Every kernel would wait for it, and hold it in memory."""
    top = {name.split(".")[0] for name in imports(SOURCES[path], everywhere=False)}
    assert not top & set(HEAVY)


def test_the_example_of_a_model_runs():
    (example,) = (code for code in EXAMPLES if "class GaussianVAE" in code)
    exec(compile(example, "CONTRIBUTING.md", "exec"), {"__name__": "example"})
