"""The playground in Firefox, on both hosts: `make test-browser` only, as it needs Node and npm."""

import json
import os
import re
import shutil
import subprocess

import pytest

from . import lab
from .conftest import REQUIRED, ROOT

pytestmark = pytest.mark.matrix

PUPPETEER = ROOT / "build" / "node" / "node_modules" / "puppeteer-core"
HOW_TO_INSTALL = (
    "The tests in Firefox need it, and puppeteer-core. On Debian and Ubuntu: "
    "sudo apt install firefox-esr npm. Then make test-browser, which asks npm for the rest."
)
FIRST = "book/index.html"


def entry_of(package):
    """The file that ``import "puppeteer-core"`` would load."""
    manifest = json.loads((package / "package.json").read_text(encoding="utf-8"))
    entry = manifest["exports"]["."]
    while not isinstance(entry, str):
        entry = entry.get("import") or entry["default"]
    return package / entry


@pytest.fixture(scope="module")
def found(address, site, server):
    """What a reader saw with Firefox: over http, from files, on the first page of JupyterLab."""
    firefox = shutil.which("firefox-esr") or shutil.which("firefox")
    node = shutil.which("node")
    if not (firefox and node and PUPPETEER.is_dir()):
        (pytest.fail if REQUIRED else pytest.skip)(HOW_TO_INSTALL)
    pages = {"http": address + FIRST, "file": f"{site.as_uri()}/{FIRST}"}
    jupyterlab = f"{server.url}lab/tree/start.ipynb?token={server.token}"
    process = subprocess.run(
        [
            node,
            ROOT / "tests" / "browser" / "firefox.mjs",
            entry_of(PUPPETEER),
            firefox,
            json.dumps({"pages": list(pages.values()), "lab": jupyterlab}),
        ],
        capture_output=True,
        text=True,
        timeout=600,
        env=os.environ | {"MOZ_HEADLESS": "1"},
    )
    assert process.returncode == 0, process.stderr
    seen = json.loads(process.stdout.splitlines()[-1])
    places = pages | {"jupyterlab": jupyterlab}
    return {place: seen[url] for place, url in places.items()}


@pytest.mark.parametrize("place", ["http", "file", "jupyterlab"])
def test_firefox_draws_by_mouse_and_keys_and_counts_nats(found, place):
    seen = found[place]
    assert "error" not in seen, seen["error"]
    assert 40 < seen["byMouse"] < 250
    assert seen["words"].startswith("Your drawing with")
    error, kl, loss = seen["nats"]
    assert error > 10 and kl > 0 and loss == pytest.approx(error + kl, abs=0.11)
    assert seen["byKeys"] != seen["byMouse"] and "pen up" in seen["pen"]
    assert "chosen by hand" in seen["chosen"]
    assert re.search("log p\\(x\\) is about \u2212\\d+", seen["surprise"])


@pytest.mark.parametrize("place", ["http", "file"])
def test_in_firefox_nothing_fails_and_no_request_leaves_the_machine(found, place):
    assert found[place]["failures"] == []
    away = [url for url in found[place]["asked"] if lab.leaves_the_machine(url)]
    assert found[place]["asked"] and away == []


def test_in_firefox_no_key_of_a_drawing_is_a_shortcut_of_jupyterlab(found):
    cells = json.loads((ROOT / "notebooks" / "start.ipynb").read_text(encoding="utf-8"))["cells"]
    assert found["jupyterlab"]["cells"] == len(cells)
