"""Sphinx extension: what a notebook needs to be read as a page without a kernel, and a docstring as part of a page."""

import pkgutil
import re
from pathlib import Path

from docutils import nodes

EXPLORER = re.compile(r"\b\w+\.\w+_explorer\(")
INSTEAD_OF_SLIDERS = ("In JupyterLab, sliders and a moving picture stand here. They need a running kernel, which this page does not have. "
                      "The figures above make the same point.")
PACKAGE = Path(__file__).resolve().parents[1] / "lecture_utils"
SECTION = "\n## `{0}`\n\n```{{eval-rst}}\n.. automodule:: lecture_utils.{0}\n```\n"


def add_a_section_for_each_module(_app, docname, source):
    """Append the modules of the package to the page that explains it."""
    if docname == "book/api":
        source[0] += "".join(SECTION.format(module.name) for module in pkgutil.iter_modules([str(PACKAGE)]))


def say_where_explorers_are_missing(_app, doctree):
    """Add a sentence to each cell that shows an explorer in JupyterLab: its output is not saved with the notebook."""
    for cell in doctree.findall(lambda node: isinstance(node, nodes.container) and "cell" in node["classes"]):
        if EXPLORER.search(cell.astext()):
            cell += nodes.container("", nodes.paragraph("", INSTEAD_OF_SLIDERS), classes=["no-kernel"])


def tidy_signature(_app, _what, _name, _object, _options, signature, returns):
    """Write ``...`` for the default of a dataclass field that is made anew each time; Sphinx cannot parse ``<factory>``."""
    return signature and signature.replace("<factory>", "..."), returns


def skip_fields_without_text(_app, _what, _name, member, skip, _options):
    """Leave out the fields of a NamedTuple, which Python itself describes as "Alias for field number 0"."""
    return True if (getattr(member, "__doc__", None) or "").startswith("Alias for field number") else skip


def setup(app):
    """Called by Sphinx."""
    app.connect("source-read", add_a_section_for_each_module)
    app.connect("doctree-read", say_where_explorers_are_missing)
    app.connect("autodoc-process-signature", tidy_signature)
    app.connect("autodoc-skip-member", skip_fields_without_text)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
