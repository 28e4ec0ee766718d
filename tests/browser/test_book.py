"""The web edition as a reader sees it, on a phone and on a laptop, from a server and from files."""

import re

import pytest
from playwright.sync_api import expect

from tests.helpers import ROOT, named

PHONE, LAPTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
CHAPTER = "notebooks/05_kl_term.html"
# what Chromium says of a request that was under way when the reader went on to the next page
LEFT = "net::ERR_ABORTED"
WRITTEN = [
    "book/index",
    "book/run",
    "book/api",
    "search",
    "notebooks/README",
    "notebooks/tutorial_7/README",
    "notebooks/tutorial_7/release/tutorial_7/tutorial_7",
]
CHAPTERS = sorted(f"notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
# A part of the page that sticks out on the right, and that no box of its own scrolls.
STICKS_OUT = """() => [...document.querySelectorAll('body *')].filter(element => {
  const box = element.getBoundingClientRect();
  if (box.width === 0 || box.right <= innerWidth + 1) return false;
  if (getComputedStyle(element).position === 'fixed') return false;
  for (let outer = element.parentElement; outer !== document.body; outer = outer.parentElement) {
    const style = getComputedStyle(outer);
    if (style.overflowX !== 'visible' || style.position === 'fixed') return false;
  }
  return true;
}).slice(0, 3).map(element => element.outerHTML.slice(0, 150))"""


@pytest.fixture(scope="module")
def readers(browser):
    """One reader on a phone and one on a laptop, each with a cache: MathJax is loaded and compiled
    once.
    """
    readers = {
        "phone": browser.new_context(viewport=PHONE, has_touch=True),
        "laptop": browser.new_context(viewport=LAPTOP),
    }
    yield readers
    for reader in readers.values():
        reader.close()


@pytest.fixture
def open_page(browser, readers):
    """A function that opens an address; at the end of the test nothing may have failed on any page
    it opened.
    """
    pages, failures = [], []

    def open_page(url, device="laptop", scheme=None):
        own = scheme and browser.new_context(viewport=LAPTOP, color_scheme=scheme)
        page = (own or readers[device]).new_page()
        pages.append(own or page)
        page.on(
            "console",
            lambda message: (
                failures.append(message.text) if message.type in ("error", "warning") else None
            ),
        )
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.on(
            "requestfailed",
            lambda request: (
                failures.append(f"failed: {request.url}") if request.failure != LEFT else None
            ),
        )
        page.goto(url)
        wait_for_formulas(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert not failures


def wait_for_formulas(page):
    page.evaluate(
        "async () => { if (document.querySelector('.math')) await MathJax.startup.promise }"
    )


def formulas(page):
    """How many formulas the page has, how many were typeset, and how many show an error."""
    return page.evaluate("""() => [document.querySelectorAll('.math').length,
        document.querySelectorAll('.math > mjx-container').length,
                                   document.querySelectorAll('[data-mml-node=merror]').length]""")


ON_LAPTOPS = [
    "book/index",
    "book/api",
    "notebooks/README",
    "notebooks/04_reparameterization",
    "notebooks/10_clinic",
]
PAGES = [(name, "phone") for name in WRITTEN + CHAPTERS] + [(name, "laptop") for name in ON_LAPTOPS]
FIRST = [
    ("book/index", "phone"),
    ("notebooks/README", "phone"),
    ("notebooks/03_vae_objective", "phone"),
    ("book/api", "laptop"),
    ("notebooks/04_reparameterization", "laptop"),
]


@pytest.mark.parametrize("name, device", named(PAGES, FIRST))
def test_a_page_fits_the_screen_with_all_formulas_typeset(address, open_page, name, device):
    page = open_page(f"{address}{name}.html", device)
    written, typeset, wrong = formulas(page)
    assert written == typeset and wrong == 0 and (written > 20 or name not in CHAPTERS)
    assert page.evaluate(STICKS_OUT) == []
    assert page.evaluate("document.documentElement.scrollWidth") == page.viewport_size["width"]


def test_works_from_files_without_a_server(open_page, site):
    page = open_page((site / "book/run.html").as_uri())
    page.goto((site / "index.html").as_uri())
    page.wait_for_url("**/book/index.html")
    page.get_by_role("link", name="The KL term").first.click()
    page.wait_for_url(f"**/{CHAPTER}")
    wait_for_formulas(page)
    written, typeset, wrong = formulas(page)
    assert written == typeset > 50 and wrong == 0
    assert page.evaluate(
        "[...document.images].every(image => image.complete && image.naturalWidth > 0)"
    )


PHONE_FIRST = pytest.mark.parametrize("device", named(["phone", "laptop"], ["phone"]))


@PHONE_FIRST
def test_search_finds_the_chapter_of_a_word(address, open_page, device):
    page = open_page(f"{address}book/index.html", device)
    page.locator("button.search-button:visible, button.search-button-field:visible").first.click()
    page.locator("dialog input[type=search]").fill("reparameterization")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=reparameterization*")
    result = page.locator("#search-results a", has_text="04 · The reparameterization trick").first
    expect(result).to_be_visible(timeout=10_000)
    page.wait_for_load_state(
        "networkidle"
    )  # the page fetches the surroundings of each word that it found
    result.click()
    page.wait_for_url("**/notebooks/04_reparameterization.html*")


def luminance(color):
    return sum(int(part) for part in re.findall(r"\d+", color)[:3]) / (3 * 255)


def test_dark_mode_is_switched_on_kept_and_leaves_figures_readable(address, open_page):
    page = open_page(address + CHAPTER, scheme="light")
    styles = """() => { const style = query => getComputedStyle(document.querySelector(query));
        return [style('body').backgroundColor, style('article p').color,
                style('article p .math svg').color,
                style('.cell_output img').backgroundColor, style('.cell_output img').filter]}"""
    background, text, formula, _, _ = page.evaluate(styles)
    assert luminance(background) > 0.9 and luminance(text) < 0.3 and luminance(formula) < 0.3
    page.get_by_role("button", name="Color mode").first.click()
    page.locator(".theme-change-button[data-mode=dark]:visible").click()
    page.reload()
    wait_for_formulas(page)
    background, text, formula, behind_figure, effect = page.evaluate(styles)
    assert luminance(background) < 0.15 and luminance(text) > 0.7 and luminance(formula) > 0.7
    assert luminance(behind_figure) == 1 and effect == "none"


def test_follows_the_dark_mode_of_the_system(address, open_page):
    page = open_page(f"{address}book/index.html", scheme="dark")
    assert luminance(page.evaluate("getComputedStyle(document.body).backgroundColor")) < 0.15


@PHONE_FIRST
def test_folded_outputs_and_solutions_open(address, open_page, device):
    page = open_page(address + CHAPTER, device)
    for name in ("Show the output", "Solution"):
        summary = page.locator("summary", has_text=name).first
        content = summary.locator("xpath=..").locator("pre").first
        expect(content).to_be_hidden()
        summary.click()
        expect(content).to_be_visible()


def test_navigation_opens_on_a_phone(address, open_page):
    page = open_page(f"{address}book/index.html", "phone")
    link = page.locator("nav a", has_text="05 · The KL term").first
    expect(link).to_be_hidden()
    page.locator("button.primary-toggle:visible").click()
    link = page.locator("dialog[open] nav a", has_text="05 · The KL term")
    expect(link).to_be_visible()
    link.click()
    page.wait_for_url(f"**/{CHAPTER}")
    page.locator("button.secondary-toggle:visible").click()
    expect(page.locator("dialog[open] a", has_text="Summary")).to_be_visible()


def test_the_first_tab_leads_past_the_navigation(address, open_page):
    page = open_page(address + CHAPTER)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#main-content"


def test_no_formula_is_a_stop_of_the_tab_key_and_each_can_be_read_aloud(address, open_page):
    page = open_page(address + CHAPTER)
    assert page.locator("mjx-container[tabindex]").count() == 0
    assert page.locator("mjx-container mjx-assistive-mml math").count() == formulas(page)[0]


def test_the_notebook_can_be_downloaded(address, open_page):
    page = open_page(address + CHAPTER)
    page.get_by_role("button", name="Download this page").click()
    with page.context.expect_page() as opened, page.expect_download() as download:
        page.locator("a.btn-download-source-button").click()
    assert opened and download.value.suggested_filename == "05_kl_term.ipynb"
