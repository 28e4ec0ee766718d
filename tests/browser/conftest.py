"""A browser, and a JupyterLab server that serves a copy of the notebooks: both shared by all
browser tests.
"""

import functools
import http.server
import os
import shutil
import threading
from pathlib import Path

import pytest

from . import lab

ROOT = Path(__file__).resolve().parents[2]
REQUIRED = bool(os.environ.get("LECTURE_REQUIRE_BROWSER"))
HOW_TO_INSTALL = (
    "The browser tests need Chromium or Chrome, and the package playwright. On Debian and Ubuntu: "
    "sudo apt install chromium. Elsewhere: .venv/bin/playwright install chromium."
)
SETTINGS = {
    "@jupyterlab/notebook-extension:tracker": {
        "windowingMode": "none"
    },  # all cells are in the page, not only those in view
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
}


def chromium():
    """Return the path of an installed Chromium or Chrome, Playwright's own included; None if there
    is none.
    """
    for name in ("chromium", "chromium-browser", "google-chrome", "chrome"):
        if path := shutil.which(name):
            return path
    with lab.sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        return own if Path(own).exists() else None


@pytest.fixture(scope="session")
def browser_path():
    """The browser's program. Without one the test is skipped; if LECTURE_REQUIRE_BROWSER is set, it
    fails.
    """
    path = chromium() if lab.sync_playwright else None
    if path is None:
        (pytest.fail if REQUIRED else pytest.skip)(HOW_TO_INSTALL)
    return path


@pytest.fixture(scope="session")
def browser(browser_path):
    """A headless browser (playwright.sync_api.Browser) that reaches the loopback address only."""
    with lab.headless(browser_path) as browser:
        yield browser


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_arguments):
        pass


@pytest.fixture(scope="session")
def address(site):
    """The address of a local server of the web edition."""
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=site)
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="session")
def server(tmp_path_factory, browser_path):
    """JupyterLab on a copy of the notebooks: running them must not change the committed ones."""
    folder = tmp_path_factory.mktemp("served") / "notebooks"
    shutil.copytree(ROOT / "notebooks", folder, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    with lab.jupyterlab(folder, tmp_path_factory.mktemp("account"), SETTINGS) as server:
        yield server
