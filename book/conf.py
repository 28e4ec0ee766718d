"""Sphinx configuration of the web edition, which `make book` builds into build/book.

The notebooks are shown with their committed outputs; nothing is executed, and nothing needs a
network, neither while the site is built nor while it is read.
"""

import importlib.util
import sys
from pathlib import Path

BOOK = Path(__file__).resolve().parent
sys.path[:0] = [
    str(BOOK),
    str(BOOK.parent),
]  # this folder's extension, and lecture_utils if it is not installed

project = "Variational autoencoders, from the lecture to the last nat"
author = "Lecture 11"
release = "1.0.0"
language = "en"
smartquotes = False  # docstrings write Z' for a second Z

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "static_pages",
    "playground_pages",
]
root_doc = "book/index"
# The source folder is the repository's root: links between its files are links between pages.
exclude_patterns = [".*", "build"]  # what is installed is not searched for pages
include_patterns = [
    "book/*.md",
    "CONTRIBUTING.md",
    "data/README.md",
    "benchmarks/README.md",
    "deploy/README.md",
    "notebooks/README.md",
    "notebooks/[0-9]*.ipynb",
    "notebooks/tutorial_7/README.md",
    "notebooks/tutorial_7/release/tutorial_7/tutorial_7.ipynb",
]

# --- Notebooks ---
nb_execution_mode = "off"
nb_merge_streams = True
nb_code_prompt_show = "Show the {type}"
nb_code_prompt_hide = "Hide the {type}"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
myst_links_external_new_tab = False

# --- Maths ---
# One file of MathJax, copied from an installed package. SVG needs no fonts, and works from files.
MATHJAX = (
    Path(importlib.util.find_spec("sphinx-mathjax-offline").origin).parent
    / "static"
    / "mathjax"
    / "tex-svg-full.js"
)
mathjax_path = MATHJAX.name
# Without MathJax's menu a formula is no stop of the Tab key. Screen readers read the hidden MathML,
# which stays.
mathjax3_config = {"options": {"enableMenu": False}}

# --- API reference ---
autodoc_default_options = {"members": True, "member-order": "bysource", "undoc-members": False}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
add_module_names = False
default_role = "literal"  # docstrings write `name`, as Markdown does
nitpicky = True
# Types of other libraries are named without a link: finding their pages would need the network.
nitpick_ignore_regex = [
    ("py:class", r"(torch|numpy|sklearn|matplotlib|ipywidgets|pathlib|collections)\..*"),
    ("py:class", r"t\.Any"),  # of traitlets, in the signature of every widget
]

# --- Look ---
html_theme = "sphinx_book_theme"
html_title = "VAE: from the lecture to the last nat"
html_static_path = ["static", str(MATHJAX)]
html_css_files = ["book.css"]
html_favicon = "static/favicon.svg"
html_context = {
    "default_mode": "auto"
}  # light or dark as the reader's system is set, until the reader chooses
html_additional_pages = {"index": "start.html"}
templates_path = ["templates"]
html_sourcelink_suffix = (
    ""  # a page's download is called 05_kl_term.ipynb, not 05_kl_term.ipynb.txt
)
highlight_language = "none"  # blocks that name no language: commands, formulas in docstrings
html_use_index = False
html_domain_indices = False  # the page of the package lists the same names, explained
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {
    "show_navbar_depth": 1,
    "use_fullscreen_button": False,
    "navbar_start": [],
    "navbar_center": [],
    "navbar_end": [],
    "navbar_persistent": [],  # the bar above would only repeat the search
    "footer_content_items": [],
}
