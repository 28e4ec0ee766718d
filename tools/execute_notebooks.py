"""Execute notebooks in place and bring them into the form in which they are committed.

usage: python tools/execute_notebooks.py [--discard] [NOTEBOOK.ipynb ...]

Without names, all of notebooks/, two side by side, each on its share of the cores. With --discard
they run for what they leave in the cache (`make cache`), and nothing is saved.

Outputs are kept, widget views and widget state are not; the alt text of a figure is copied to its
cell's metadata for the web edition; outputs of cells tagged hide-output and sources of cells tagged
hide-input are saved collapsed; ids and metadata do not change from run to run.
"""

import argparse
import asyncio
import base64
import hashlib
import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

ROOT = Path(__file__).resolve().parents[1]
SIDE_BY_SIDE = 2  # a notebook that trains takes up to 1.2 GB
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {
        "name": "python",
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "pygments_lexer": "ipython3",
    },
}


class Stopped(Exception):
    """A notebook did not come to its end; the message says which."""


def all_notebooks():
    """The notebooks that are executed: the numbered ones and the tutorial's source."""
    return sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")) + sorted(
        (ROOT / "notebooks" / "tutorial_7" / "source").rglob("*.ipynb")
    )


async def execute(path, save=True):
    """Execute a notebook in its own folder, as JupyterLab does; write it back if `save`."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(Path(path).parent)}},
    )
    await client.async_execute()
    if save:
        normalise(notebook)
        scratch = path.with_suffix(".part")  # so that an interruption leaves no half of a notebook
        nbformat.write(notebook, scratch)
        os.replace(scratch, path)
        _export_readme_picture(notebook, path)


def _export_readme_picture(notebook, path):
    """Write the figure of the cell tagged readme-picture, if there is one, where README.md finds
    it."""
    for cell in notebook.cells:
        if "readme-picture" in cell.metadata.get("tags", []):
            picture = Path(path).parent / "figures" / f"{Path(path).stem}.png"
            picture.parent.mkdir(exist_ok=True)
            picture.write_bytes(base64.b64decode(cell.outputs[0].data["image/png"]))


def normalise(notebook):
    """Make what is saved independent of the machine and of the run, as far as a notebook's format
    goes."""
    notebook.metadata = nbformat.from_dict(
        METADATA | {k: v for k, v in notebook.metadata.items() if k == "celltoolbar"}
    )
    notebook.nbformat_minor = 5
    seen = {}
    for cell in notebook.cells:
        digest = hashlib.sha256(cell.source.encode()).hexdigest()[:8]
        seen[digest] = seen.get(digest, 0) + 1
        if "nbgrader" not in cell.metadata:  # nbgrader's cells are known by their own ids
            cell.id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
        for key in (
            "execution",
            "collapsed",
            "scrolled",
            "jupyter",
            "mystnb",
            "lines_to_next_cell",
        ):
            cell.metadata.pop(key, None)
        if cell.cell_type == "code":
            _normalise_outputs(cell)


def _normalise_outputs(cell):
    cell.outputs = _merge_streams([o for o in cell.outputs if WIDGET_VIEW not in o.get("data", {})])
    pictures = [
        o.metadata["image/png"] for o in cell.outputs if "image/png" in o.get("metadata", {})
    ]
    if pictures:
        image = {"alt": pictures[0]["alt"]}
        if "width" in pictures[0]:  # the web edition shows a figure at its page size, too
            image["width"] = f"{pictures[0]['width']}px"
        cell.metadata["mystnb"] = {"image": image}
    tags = cell.metadata.get("tags", [])
    hidden = {
        key: True
        for tag, key in (("hide-output", "outputs_hidden"), ("hide-input", "source_hidden"))
        if tag in tags
    }
    if hidden:
        cell.metadata["jupyter"] = hidden


def _merge_streams(outputs):
    """Join the pieces in which printed text arrives: how it is cut differs from run to run."""
    merged = []
    for output in outputs:
        if output.output_type == "stream" and merged and merged[-1].get("name") == output.name:
            merged[-1].text += output.text
        else:
            merged.append(output)
    return merged


async def execute_all(paths, save=True):
    """Execute notebooks side by side, each in a kernel of its own; the first error stops all."""
    side_by_side = min(SIDE_BY_SIDE, len(paths))
    share = max(1, (os.cpu_count() or 1) // side_by_side)
    os.environ.setdefault("OMP_NUM_THREADS", str(share))  # the kernels inherit it
    free = asyncio.Semaphore(side_by_side)

    async def execute_one(path):
        async with free:
            start = time.perf_counter()
            try:
                await execute(path, save)
            except (CellExecutionError, CellTimeoutError) as error:
                raise Stopped(f"{path} stopped at a cell.\n{error}") from error
            # On Ctrl-C nbclient ends a kernel, and then misses it.
            except (DeadKernelError, AssertionError) as error:
                said = f"{path}: its kernel has ended, interrupted or for want of memory."
                raise Stopped(said) from error
            seconds, megabytes = time.perf_counter() - start, path.stat().st_size / 1e6
            print(f"{path.name}: {seconds:.1f} s, {megabytes:.2f} MB", flush=True)

    tasks = [asyncio.create_task(execute_one(path)) for path in paths]
    try:
        await asyncio.gather(*tasks)
    finally:  # the first error ends the others; how they end is no news
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--discard", action="store_true", help="save nothing")
    parser.add_argument("notebooks", nargs="*", type=Path)
    arguments = parser.parse_args()
    try:
        asyncio.run(execute_all(arguments.notebooks or all_notebooks(), not arguments.discard))
    except (Stopped, KeyboardInterrupt) as stopped:
        sys.exit(f"{stopped}\nNotebooks whose names do not stand above are unchanged.")


if __name__ == "__main__":
    main()
