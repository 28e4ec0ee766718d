"""In JupyterLab, a NameError says which cell to run first. Registered by the package's import; idle
everywhere else.

A cell that is run before the notebook's first one, which imports the package, gets Python's own
message alone.
"""

import functools
import json
import os
import re
import symtable
import sys
from pathlib import Path


def register() -> None:
    """Ask IPython, if this is one of its kernels, to call `explain` after every cell."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if (
        shell is not None and "JPY_SESSION_NAME" in os.environ
    ):  # JupyterLab's name for the notebook file
        shell.events.register("post_run_cell", explain)


def explain(result) -> None:
    """Print the advice under the NameError of a cell that was run too early; `result` is IPython's
    ExecutionResult."""
    error = result.error_in_exec
    if type(error) is NameError and os.path.exists(os.environ["JPY_SESSION_NAME"]):
        cells = json.loads(Path(os.environ["JPY_SESSION_NAME"]).read_text(encoding="utf-8"))[
            "cells"
        ]
        print(advice(error.name, result.info.raw_cell, cells) or "", end="", file=sys.stderr)


def advice(name: str, source: str, cells: list[dict]) -> str | None:
    """Return what to run before the cell with this source, or None if no cell of the notebook above
    it makes `name`."""
    heading, found = "", None
    for cell in cells:
        text = "".join(cell["source"])
        if text == source:
            break
        if cell["cell_type"] == "markdown":
            heading = (re.findall(r"^#+ (.*)", text, re.MULTILINE) or [heading])[-1]
        elif cell["cell_type"] == "code" and name in made_by(text):
            first = next(line for line in text.split("\n") if line.strip())
            found = (
                f"'{name}' is made under the heading \"{heading}\", in the cell that begins with\n"
                f"    {first}\n"
            )
    advice = "Run that cell first, or choose Run > Run All Above Selected Cell in the menu."
    return found and f"\n{found}{advice}\n"


@functools.cache
def made_by(source: str) -> set[str]:
    """Return the names that a cell with this source assigns, imports or defines, outside its
    functions."""
    try:
        table = symtable.symtable(
            re.sub(r"^[%!].*", "", source, flags=re.MULTILINE), "cell", "exec"
        )
    except SyntaxError:  # a cell the reader is still writing
        return set()
    return {
        symbol.get_name()
        for symbol in table.get_symbols()
        if symbol.is_assigned() or symbol.is_imported()
    }
