"""The web edition: what stands in its pages, without a browser. (tests/browser/test_book.py looks
at them in one.)
"""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import lecture_utils

import nbformat
import pytest
from bs4 import BeautifulSoup

from tests.helpers import ROOT

RELEASE = ROOT / "notebooks/tutorial_7/release/tutorial_7/tutorial_7.ipynb"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")) + [RELEASE]
EVERY_NOTEBOOK = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture(scope="session")
def pages(site):
    """Every page of the site, parsed: {path in the site: document}."""
    return {
        path.relative_to(site).as_posix(): BeautifulSoup(
            path.read_text(encoding="utf-8"), "html.parser"
        )
        for path in sorted(site.rglob("*.html"))
        if "_static" not in path.parts
    }


@pytest.fixture(scope="session")
def articles(pages):
    """The pages that have been written, without navigation: all but the start and the search."""
    return {
        name: page.article
        for name, page in pages.items()
        if name not in ("index.html", "search.html")
    }


@pytest.fixture
def page(path, pages):
    return pages[path.relative_to(ROOT).with_suffix(".html").as_posix()]


MOVES = r"_explorer\(|\bplayground\.(digits|reparameterization|kl)\("


def cells(path, kind, tag=None):
    notebook = nbformat.read(path, as_version=4)
    return [
        cell
        for cell in notebook.cells
        if cell.cell_type == kind and (tag is None or tag in cell.metadata.get("tags", []))
    ]


def words(text):
    return " ".join(text.split())


def test_builds_without_a_warning_and_without_a_network(built):
    _, process = built
    assert process.returncode == 0 and process.stderr == "", process.stderr


def test_has_a_page_for_each_notebook_and_each_text(pages):
    texts = [
        path
        for folder in ("benchmarks", "data", "deploy", "notebooks")
        for path in (ROOT / folder).rglob("README.md")
    ]
    written = [path.relative_to(ROOT).with_suffix(".html").as_posix() for path in NOTEBOOKS + texts]
    assert set(pages) == {
        *written,
        "index.html",
        "search.html",
        "CONTRIBUTING.html",
        *(f"book/{name}.html" for name in ("index", "run", "api")),
    }


def test_navigation_leads_from_the_first_page_to_every_other(pages, articles):
    links = pages["book/index.html"].select(".bd-sidebar-primary nav a[href]")
    linked = {(Path("book") / link["href"]).as_posix() for link in links}
    resolved = {str(Path(*_without_dots(name))) for name in linked}
    assert resolved >= set(articles) - {"book/index.html"}


def _without_dots(name):
    parts = []
    for part in Path(name).parts:
        parts = parts[:-1] if part == ".." else [*parts, part]
    return parts


def references(page):
    """All URLs of a page: (tag, URL)."""
    for attribute in ("href", "src", "srcset", "poster", "data"):
        for tag in page.find_all(attrs={attribute: True}):
            yield tag, tag[attribute]


def test_every_link_and_every_anchor_leads_somewhere(pages, site):
    broken, seen = [], 0
    anchors = {name: {tag["id"] for tag in page.find_all(id=True)} for name, page in pages.items()}
    for name, page in pages.items():
        for tag, url in references(page):
            parts = urlsplit(url)
            if parts.scheme in ("http", "https", "data") or url == "#":
                continue
            seen += 1
            target = (site / name).parent / unquote(parts.path) if parts.path else site / name
            inside = target.resolve().relative_to(site.resolve()).as_posix()
            if not target.is_file() or (
                parts.fragment and unquote(parts.fragment) not in anchors.get(inside, ())
            ):
                broken.append((name, str(tag)[:120]))
    assert not broken and seen > 1000


def test_nothing_is_loaded_from_another_host(pages, site):
    for name, page in pages.items():
        loaded = [url for tag, url in references(page) if tag.name != "a"]
        assert (loaded or name == "index.html") and not [
            url for url in loaded if re.match(r"(https?:)?//", url)
        ], name
    sheets = list(site.rglob("*.css"))
    assert sheets
    for sheet in sheets:
        text = sheet.read_text(encoding="utf-8")
        assert not re.search(
            r"url\(\s*['\"]?(https?:)?//|@import\s+(url\()?\s*['\"]?(https?:)?//", text
        ), sheet.name


@EVERY_NOTEBOOK
def test_the_figures_of_a_notebook_have_their_alt_text(path, page):
    expected = [
        output.metadata["image/png"]["alt"]
        for cell in cells(path, "code")
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    assert [image["alt"] for image in page.select("article .cell_output img")] == expected
    assert path == RELEASE or len(expected) >= 3


def test_every_image_has_alt_text(articles):
    images = [image for article in articles.values() for image in article.find_all("img")]
    assert len(images) > 50 and not [
        image for image in images if len(image.get("alt", "").split()) < 5
    ]


@EVERY_NOTEBOOK
def test_a_notebooks_page_links_to_the_notebook(path, page, site):
    links = page.select("a.btn-download-source-button")
    assert len(links) == 1 and links[0]["href"].endswith(path.name)
    folder = (site / path.relative_to(ROOT)).parent
    assert (folder / links[0]["href"]).read_bytes() == path.read_bytes()


def test_links_between_chapters_are_links_between_pages(articles):
    between = [
        link["href"]
        for article in articles.values()
        for link in article.select("a[href]")
        if re.search(r"\d\d_\w+\.(html|ipynb)", link["href"])
    ]
    assert len(between) > 60 and not [href for href in between if ".ipynb" in href]


def test_no_formula_is_left_as_raw_tex(articles):
    def is_verbatim(tag):
        return tag.name in ("script", "style", "pre", "code") or "math" in tag.get("class", [])

    for name, article in articles.items():
        for text in article.find_all(string=re.compile(r"\$|\\[a-zA-Z(\[]")):
            assert any(is_verbatim(tag) for tag in text.parents), (name, text)


@EVERY_NOTEBOOK
def test_pages_with_formulas_load_the_copied_mathjax(path, page):
    assert len(page.select("article .math")) >= 10
    scripts = [script["src"] for script in page.select("script[src]") if "tex-svg" in script["src"]]
    assert len(scripts) == 1


@EVERY_NOTEBOOK
def test_solutions_are_folded_with_highlighted_code_and_formulas(path, page):
    text = "\n".join(cell.source for cell in cells(path, "markdown"))
    written = re.findall(r"<details>\s*<summary>(.*?)</summary>(.*?)</details>", text, re.DOTALL)
    folded = [
        tag for tag in page.select("article details") if "admonition" not in tag.get("class", [])
    ]
    assert [words(tag.summary.get_text()) for tag in folded] == [
        words(summary) for summary, _ in written
    ]
    for tag, (_, body) in zip(folded, written):
        assert not tag.has_attr("open")
        blocks = body.count("```python")  # a solution on paper has none
        assert not blocks or len(tag.select(".highlight span[class]")) > 5 * blocks
        assert bool(tag.select(".math")) == (
            "$" in re.sub(r"```.*?```|`[^`]*`", "", body, flags=re.DOTALL)
        )


@EVERY_NOTEBOOK
def test_tagged_cells_are_folded(path, page):
    def folded(tag, part):
        return [
            cell
            for cell in page.select(f"article .cell.tag_{tag}")
            if cell.select(f"details:not([open]) .{part}")
        ]

    assert len(folded("hide-output", "cell_output")) == len(
        [c for c in cells(path, "code", "hide-output") if c.outputs]
    )
    assert len(folded("hide-input", "cell_input")) == len(cells(path, "code", "hide-input"))


@EVERY_NOTEBOOK
def test_what_moves_in_jupyterlab_moves_here_too_behind_a_figure(path, page):
    moving = [cell for cell in cells(path, "code") if re.search(MOVES, cell.source)]
    places = page.select("article .cell .vae-playground")
    assert len(places) == len(moving)
    assert all(place.find_previous("img") for place in places)
    assert not re.search(
        r"VBox\(|HBox\(|Output\(\)|interactive\(|FloatProgress|it/s\]", page.article.get_text()
    )


def test_a_place_has_the_models_that_its_page_speaks_of(pages):
    shown = {
        name: [place["data-models"].split() for place in page.select(".vae-playground")]
        for name, page in pages.items()
    }
    three, planes = ["both_terms", "reconstruction_only", "kl_only"], ["vae_2", "ae_2", "dae_2"]
    assert shown["notebooks/03_vae_objective.html"] == [three, []]  # then a table of pictures
    assert shown["notebooks/06_training_on_mnist.html"] == [
        ["vae_2"],
        ["vae_2"],
        ["vae_20"],
        ["vae_20"],
    ]
    assert shown["notebooks/07_ae_dae_vae.html"] == [planes, planes]
    assert shown["notebooks/08_theory.html"] == [[], ["vae_20"], []]
    assert shown["book/index.html"] == [[]]  # all that readers meet first


def public_names():
    """Each public function, class and method of the package: (its anchor on the page, its
    docstring).
    """
    for _, name, _ in pkgutil.iter_modules(lecture_utils.__path__):
        module = importlib.import_module(f"lecture_utils.{name}")
        for attribute, value in vars(module).items():
            if (
                attribute.startswith("_")
                or getattr(value, "__module__", None) != module.__name__
                or not callable(value)
            ):
                continue
            yield f"{module.__name__}.{attribute}", inspect.getdoc(value)
            for method, function in vars(value).items() if inspect.isclass(value) else ():
                if not method.startswith("_") and inspect.isfunction(function) and function.__doc__:
                    yield f"{module.__name__}.{attribute}.{method}", inspect.getdoc(function)


def test_the_reference_explains_every_public_name(pages):
    names = dict(public_names())
    assert len(names) > 60
    entries = {entry["id"]: entry for entry in pages["book/api.html"].find_all("dt", id=True)}
    for anchor, docstring in names.items():
        assert docstring, f"{anchor} has no docstring"
        paragraph = docstring.split("\n\n")[0].replace("`", "").removesuffix("::")
        assert words(paragraph)[:200] in words(
            entries[anchor].find_next_sibling("dd").get_text()
        ), anchor


def test_headings_are_in_order(articles):
    for name, article in articles.items():
        levels = [int(tag.name[1]) for tag in article.find_all(re.compile(r"^h[1-6]$"))]
        assert levels[0] == 1 and levels.count(1) == 1, name
        assert all(below <= above + 1 for above, below in zip(levels, levels[1:])), (name, levels)


def test_tables_have_a_header_row(articles):
    tables = [table for article in articles.values() for table in article.find_all("table")]
    assert len(tables) >= 10
    for table in tables:
        assert table.thead.find_all("th") and not table.thead.find_all("td"), str(table)[:200]


def test_pages_have_a_language_a_title_of_their_own_and_a_skip_link(pages, articles):
    titles = [words(pages[name].title.get_text()) for name in articles]
    assert len(set(titles)) == len(titles) and all(titles)
    assert len(pages) > len(articles)
    for name, page in pages.items():
        assert page.html["lang"] == "en" and page.find("meta", attrs={"name": "viewport"}), name
        if name in articles:
            assert page.select_one("#pst-skip-link a")["href"] == "#main-content" and page.find(
                id="main-content"
            )
