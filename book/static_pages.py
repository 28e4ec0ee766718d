"""Sphinx extension: what a docstring needs to be read as part of a page."""

import pkgutil
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "lecture_utils"
SECTION = "\n## `{0}`\n\n```{{eval-rst}}\n.. automodule:: lecture_utils.{0}\n```\n"


def add_a_section_for_each_module(_app, docname, source):
    """Append the modules of the package to the page that explains it."""
    if docname == "book/api":
        source[0] += "".join(
            SECTION.format(module.name) for module in pkgutil.iter_modules([str(PACKAGE)])
        )


def tidy_signature(_app, _what, _name, _object, _options, signature, returns):
    """Write ``...`` for the default of a dataclass field that is made anew each time; Sphinx cannot
    parse ``<factory>``.
    """
    return signature and signature.replace("<factory>", "..."), returns


def skip_fields_without_text(_app, _what, _name, member, skip, _options):
    """Leave out the fields of a NamedTuple, which Python itself describes as "Alias for field
    number 0".
    """
    return (
        True
        if (getattr(member, "__doc__", None) or "").startswith("Alias for field number")
        else skip
    )


def setup(app):
    """Called by Sphinx."""
    app.connect("source-read", add_a_section_for_each_module)
    app.connect("autodoc-process-signature", tidy_signature)
    app.connect("autodoc-skip-member", skip_fields_without_text)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
