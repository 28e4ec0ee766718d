"""A browser, and a JupyterLab server that serves a copy of the notebooks, both shared by all browser tests."""

import os
import shutil
from pathlib import Path

import pytest

REQUIRED = bool(os.environ.get("LECTURE_REQUIRE_BROWSER"))
HOW_TO_INSTALL = ("The browser tests need Chromium or Chrome, and Playwright. Debian and Ubuntu: sudo apt install chromium. "
                  "Elsewhere: .venv/bin/playwright install chromium.")

LOOPBACK_ONLY = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"  # a page must not need the network


def chromium(playwright):
    """Return the path of an installed Chromium or Chrome, Playwright's own included; None if there is none."""
    for name in ("chromium", "chromium-browser", "google-chrome", "chrome"):
        if path := shutil.which(name):
            return path
    own = Path(playwright.chromium.executable_path)
    return str(own) if own.exists() else None


def no_browser(reason):
    """Skip, and fail where LECTURE_REQUIRE_BROWSER says that there must be a browser."""
    (pytest.fail if REQUIRED else pytest.skip)(f"{reason} {HOW_TO_INSTALL}")


@pytest.fixture(scope="session")
def browser():
    """A headless browser (playwright.sync_api.Browser) that reaches the loopback address only."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        no_browser("The package playwright is not installed.")
    with sync_playwright() as playwright:
        path = chromium(playwright)
        if path is None:
            no_browser("There is no browser.")
        browser = playwright.chromium.launch(executable_path=path, args=[LOOPBACK_ONLY])
        yield browser
        browser.close()
