"""A JupyterLab of our own, and what a reader does in it: open a notebook, run all cells, look, move
sliders, press stop.
"""

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import nbformat

try:
    from playwright.sync_api import sync_playwright
except ImportError:  # then the browser tests are skipped
    sync_playwright = None

# no page may need the network
LOOPBACK_ONLY = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"
RUN = 600  # seconds for all cells; the longest, 09, computes for 200 of them on one quiet core
SLOW = 500  # milliseconds for the next picture of an explorer
READY = 60  # seconds for the server, and for a page with its kernel, to come up on a busy machine


def leaves_the_machine(url: str) -> bool:
    """Whether a request goes further than this machine, which nothing on a page may."""
    return not re.match(r"((http|ws)://(127\.0\.0\.1|localhost)[:/]|file:|data:|blob:|about:)", url)


class Server(NamedTuple):
    url: str
    token: str
    folder: Path


@contextmanager
def headless(path: str):
    """Start the browser program at `path`, and close it in the end."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[LOOPBACK_ONLY])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def jupyterlab(folder: Path, scratch: Path, settings: dict):
    """Serve `folder` on a free port of the loopback address; stop the server and its kernels
    whatever happens.

    Everything that JupyterLab reads and writes about its user lies in `scratch`, so that a test
    sees a fresh account. `settings` maps plugin names to the settings that differ from the
    defaults.
    """
    for plugin, values in settings.items():
        file = scratch / "settings" / (plugin.replace(":", "/") + ".jupyterlab-settings")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values), encoding="utf-8")
    places = {
        f"JUPYTER_{place}_DIR": str(scratch / place.lower())
        for place in ("CONFIG", "DATA", "RUNTIME")
    }
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        "--port=0",
        f"--ServerApp.root_dir={folder}",
        f"--LabApp.user_settings_dir={scratch / 'settings'}",
        f"--LabApp.workspaces_dir={scratch / 'workspaces'}",
        "--LabApp.expose_app_in_browser=True",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
    ]  # the last three: nothing asks the network for anything
    log = scratch / "jupyterlab.log"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            cwd=scratch,
            env=os.environ | places | {"IPYTHONDIR": str(scratch / "ipython")},
        )
    try:
        yield Server(*_address(process, scratch / "runtime", log), folder)
    finally:
        process.terminate()  # JupyterLab then ends its kernels
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _address(process, runtime, log):
    """Return URL and token from the server's file, once it answers: the file comes first."""
    deadline = time.monotonic() + READY
    while time.monotonic() < deadline and process.poll() is None:
        for file in runtime.glob("jpserver-*.json"):
            try:
                info = json.loads(file.read_text(encoding="utf-8"))
                urllib.request.urlopen(f"{info['url']}api", timeout=READY).close()
            except (json.JSONDecodeError, urllib.error.URLError):
                continue  # half written, or not yet listening
            return info["url"], info["token"]
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text(encoding='utf-8')}")


# --- A page of JupyterLab, and a notebook opened in it ---

IN_FRONT = ".jp-NotebookPanel:not(.lm-mod-hidden)"  # of the open notebooks, the one that is seen
JAVASCRIPT = Path(__file__).with_name("lab.js").read_text(encoding="utf-8")


class Move(NamedTuple):
    """One press of an arrow key on a slider or a menu, and what came of it."""

    control: str
    reached: bool  # by the Tab key
    milliseconds: float  # until the next picture was there
    picture_changed: bool
    focus_kept: bool
    pictures: int  # in the explorer, afterwards


@contextmanager
def jupyterlab_page(browser, server: Server):
    """A page of JupyterLab, in which a notebook can be opened."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    try:
        page.add_init_script(JAVASCRIPT)
        # In a workspace of its own: from a shared one a page can restore another's notebook.
        page.goto(f"{server.url}lab/workspaces/{uuid.uuid4()}?token={server.token}")
        page.wait_for_function("() => lecture.app()?.started", timeout=1000 * READY)
        page.evaluate("lecture.app().restored.then(() => null)")
        yield page
    finally:
        page.close()


def notebook_of(sources: list[str]):
    """A notebook of these code cells, with a kernel: else JupyterLab asks for one."""
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


class Notebook:
    """A notebook opened in a page of JupyterLab."""

    def __init__(self, page, name: str):
        self.page, self.name, self.console = page, name, []
        self.listeners = {
            "pageerror": lambda error: self.console.append(f"uncaught: {error}"),
            "console": lambda message: (
                message.type == "error" and self.console.append(message.text)
            ),
        }
        for event, listener in self.listeners.items():
            page.on(event, listener)
        page.evaluate("lecture.bars = []")
        self.show()

    def show(self):
        """Open the notebook, or bring it to the front; wait until its kernel is idle."""
        self.page.evaluate("name => { lecture.open(name); }", self.name)
        self.wait(f"lecture.ready({self.name!r})", READY)

    def wait(self, expression: str, seconds: float):
        """Wait until the expression is true in the page; playwright's TimeoutError says which one
        never was.
        """
        self.page.wait_for_function(f"() => {expression}", timeout=1000 * seconds, polling=100)

    def choose(self, menu: str, entry: str):
        """Choose an entry of JupyterLab's menu bar with the mouse."""
        self.page.locator(".lm-MenuBar-itemLabel", has_text=re.compile(f"^{menu}$")).click()
        self.page.locator(".lm-Menu-itemLabel", has_text=re.compile(f"^{entry}$")).click()

    def run_all(self, seconds: float):
        """Clear the saved outputs and run all cells, from the menus. Returns when the kernel is
        idle after the last cell.
        """
        self.choose("Edit", "Clear Outputs of All Cells")
        self.choose("Run", "Run All Cells")
        self.wait("lecture.ended()", seconds)

    def move_controls(self) -> list[list[Move]]:
        """Reach every slider and menu of every explorer with the Tab key, and press an arrow key on
        it.
        """
        explorers = self.page.locator(f"{IN_FRONT} .jp-OutputArea-output:has(img.widget-image)")
        return [
            self._move_controls_of(explorers.nth(number)) for number in range(explorers.count())
        ]

    def _move_controls_of(self, explorer):
        explorer.locator("xpath=ancestor::*[contains(@class, 'jp-CodeCell')]").locator(
            ".jp-InputPrompt"
        ).first.click()
        return [
            self._move(control, explorer)
            for control in explorer.locator("[role=slider], select").all()
        ]

    def _move(self, control, explorer):
        name = control.evaluate(
            "control => control.closest('.jupyter-widgets')"
            ".querySelector('.widget-label').innerText"
        )
        reached = self._tab_to(control)
        control.focus()
        picture = explorer.locator("img.widget-image").first
        before = picture.evaluate("image => lecture.bytes(image)")
        milliseconds = self._press(control, picture)
        changed = before != picture.evaluate("image => lecture.bytes(image)")
        if milliseconds > SLOW:  # once more, since another process may have held the processor
            milliseconds = min(milliseconds, self._press(control, picture))
        return Move(
            name,
            reached,
            milliseconds,
            changed,
            control.evaluate("control => control === document.activeElement"),
            explorer.locator("img").count(),
        )

    def _press(self, control, picture) -> float:
        """Press an arrow key; return the milliseconds until the next picture is there."""
        picture.evaluate("image => lecture.startWatch(image)")
        self.page.keyboard.press(control.evaluate("control => lecture.arrow(control)"))
        return self.page.evaluate("lecture.milliseconds")

    def _tab_to(self, control, presses=10):
        for _ in range(presses):
            self.page.keyboard.press("Tab")
            if control.evaluate("control => control === document.activeElement"):
                return True
        return False

    def run_cell(self, number: int) -> int:
        """Run a code cell (the first is 0) with the toolbar's button; return the execution count it
        had before.
        """
        before = self.page.evaluate(f"lecture.cells()[{number}].executionCount")
        cell = self.page.locator(f"{IN_FRONT} .jp-CodeCell").nth(number)
        cell.locator(".jp-InputPrompt").first.click()
        self.press("run")
        return before

    def wait_for_cell(self, number: int, before: int):
        """Wait until the code cell has been run again; it had the execution count `before`."""
        self.wait(
            f"lecture.status() === 'idle' && "
            f"![null, {before}].includes(lecture.cells()[{number}].executionCount)",
            READY,
        )

    def press(self, button: str):
        """Press a button of the notebook's toolbar: "run", "interrupt"."""
        self.page.locator(
            f"{IN_FRONT} .jp-NotebookPanel-toolbar [data-jp-item-name={button}] "
            ".jp-ToolbarButtonComponent"
        ).click()

    def close(self):
        """Shut the kernel down and close the notebook; the page stays."""
        for (
            event,
            listener,
        ) in self.listeners.items():  # what comes from now on is no reader's concern
            self.page.remove_listener(event, listener)
        self.page.evaluate("lecture.close()")


# --- Reading: what one visit to a notebook found ---


class Stop(NamedTuple):
    """What a reader saw who pressed the stop button while a cell trained, and then ran the cells
    below.
    """

    bar: str  # the text of the progress bar before
    message: str  # what the cell printed
    bars_running: (
        int  # bars still on the page, other than the red one that tqdm leaves where it was stopped
    )
    complaints: list[str]


@dataclass
class Reading:
    """What was found when a notebook was opened and, if it was, run from top to bottom."""

    answers_open: int = 0  # answers that could be read before their cell was run
    images_at_first: int = 0  # pictures on the page then
    not_run: list[int] = field(default_factory=list)  # numbers of the code cells, from 1
    complaints: list[str] = field(default_factory=list)  # tracebacks and warnings
    figures: list[int] = field(
        default_factory=list
    )  # the cell of each figure that the notebook holds
    images: int = 0  # pictures on the page
    faults: list[str] = field(default_factory=list)  # of pictures
    breakdowns: list[str] = field(default_factory=list)
    bars: list[str] = field(
        default_factory=list
    )  # the last text of each progress bar that was shown
    explorers: list[list[Move]] = field(default_factory=list)
    outputs_added_by_explorers: int = 0
    stop: Stop | None = None
    console: list[str] = field(default_factory=list)


def read(page, name: str, run: bool = True, stop_at: str | None = None) -> Reading:
    """Open a notebook in a page of JupyterLab, run it if `run`, move every slider, say what was
    found, and close it.

    In the end the cell that contains `stop_at` is run again and stopped.
    """
    notebook = Notebook(page, name)
    try:
        found = look(notebook, run)
        if stop_at is not None:
            found.stop = stop_training(notebook, stop_at)
        found.console = notebook.console
        return found
    finally:
        notebook.close()


def look(notebook: Notebook, run: bool) -> Reading:
    """Do and record what `read` promises on an open notebook."""
    ask = notebook.page.evaluate
    found = Reading(
        answers_open=ask("lecture.answers().filter(cell => !cell.outputHidden).length"),
        images_at_first=ask("lecture.images().length"),
    )
    if run:
        notebook.run_all(RUN)
        found.not_run = ask(
            "lecture.cells().flatMap((cell, i) => cell.executionCount === null ? [i + 1] : [])"
        )
    notebook.wait("lecture.images().every(image => image.complete)", READY)
    contents = ask("lecture.contents()")
    found.complaints = complaints(contents)
    found.figures = [output["cell"] for output in contents if "image/png" in output["formats"]]
    found.images = ask("lecture.images().length")
    found.explorers = notebook.move_controls()
    found.outputs_added_by_explorers = len(ask("lecture.contents()")) - len(contents)
    found.faults, found.breakdowns, found.bars = (
        ask("lecture.faults()"),
        ask("lecture.breakdowns()"),
        ask("lecture.bars"),
    )
    return found


def complaints(contents: list[dict]) -> list[str]:
    """Return the tracebacks and warnings among the outputs of a notebook."""
    return [
        f"cell {output['cell']}: {output['complaint']}"
        for output in contents
        if output["complaint"]
    ]


def stop_training(notebook: Notebook, source: str, cells_below: int = 4) -> Stop:
    """Run the cell that contains `source`, press the stop button in its first epoch, and run the
    cells below.
    """
    ask = notebook.page.evaluate
    number = ask(
        "source => lecture.cells().findIndex(cell => cell.sharedModel.source.includes(source))",
        source,
    )
    bar = ask("lecture.bars.length")
    count = notebook.run_cell(number)
    notebook.wait(f"/loss/.test(lecture.bars[{bar}])", READY)
    notebook.press("interrupt")
    notebook.wait_for_cell(number, count)
    message = ask(
        f"lecture.panel().content.node.querySelectorAll('.jp-CodeCell')[{number}].querySelector('.jp-Cell-outputArea').innerText"
    )
    bars_running = ask(
        "document.querySelectorAll('.widget-hprogress:not(:has(.progress-bar-danger))').length"
    )
    for below in range(number + 1, number + 1 + cells_below):
        notebook.wait_for_cell(below, notebook.run_cell(below))
    return Stop(
        ask(f"lecture.bars[{bar}]"), message, bars_running, complaints(ask("lecture.contents()"))
    )
