"""Sphinx extension: the playground on the pages of the web edition, over http and from files alike.

A cell that shows the playground in JupyterLab gets a place for it here, which a script fills. The
models are not the notebook's own, which the reader has not trained, but those in
lecture_utils/weights. Only the pages with such a place load the script, and it loads a model
(1.7 MB) when the model is looked at.
"""

import base64
import html
import json
import re
from pathlib import Path

from lecture_utils import data, playground

from docutils import nodes

HOST = Path(__file__).with_name("playground_host.mjs")
SCRIPT = "playground.js"
CALL = re.compile(r"\bplayground\.(digits|reparameterization|kl)\(")
VIEW = re.compile(r"""\bview=["'](\w*)["']""")
# Explorers that need a kernel in JupyterLab: the view that shows the same, and with which model.
EXPLORERS = {
    "reparameterization_explorer": ("reparameterization", ""),
    "kl_explorer": ("kl", ""),
    "latent_plane_explorer": ("", "VAE, 2 dimensions"),
    "traversal_explorer": ("", "VAE, 20 dimensions"),
    "interpolation_explorer": ("path", "VAE, 20 dimensions"),
    "noise_explorer": ("compare", "DAE, 2 dimensions"),
    "decoders_explorer": ("compare", "AE, 2 dimensions"),
}
EXPLORER = re.compile(rf"\b({'|'.join(EXPLORERS)})\(")
PLACE = (
    '<div class="vae-playground" data-view="{}" data-model="{}">'
    "<noscript>The playground needs JavaScript.</noscript></div>"
)
STANDS_IN = (
    "On this page the models are trained already; in JupyterLab they are those of the notebook."
)


def shown(source: str) -> tuple[str, str] | None:
    """Return view and model of what a cell shows, None if it shows nothing of the playground."""
    if explorer := EXPLORER.search(source):
        return EXPLORERS[explorer[1]]
    if not (call := CALL.search(source)):
        return None
    if call[1] != "digits":
        return call[1], ""
    view = VIEW.search(source)
    named = [name for name in playground.SHIPPED if f'"{name}"' in source]
    return view[1] if view else "", named[0] if named else ""


def leave_places(_app, doctree):
    """doctree-read: a place below each cell that shows the playground in JupyterLab."""
    cells = doctree.findall(
        lambda node: isinstance(node, nodes.container) and "cell" in node["classes"]
    )
    for cell in cells:
        if (found := shown(cell.astext())) is not None:
            cell += nodes.raw("", PLACE.format(*map(html.escape, found)), format="html")
            if found[0] not in ("reparameterization", "kl"):
                cell += nodes.container("", nodes.paragraph("", STANDS_IN), classes=["no-kernel"])


def write_scripts(app):
    """builder-inited: the program, and one script for each model, as static files."""
    folder = Path(app.doctreedir).parent / "playground"
    folder.mkdir(parents=True, exist_ok=True)
    mnist = data.load_mnist()
    images, labels = data.binary_test_set(mnist), mnist.test_labels
    models = [{"name": name, "file": file} for name, (file, *_) in playground.SHIPPED.items()]
    content = {"models": models, "images": playground.take_from(images, labels)}
    program = (
        f"(() => {{\n{playground.script()}\nconst CONTENT = {json.dumps(content)};\n"
        f"{HOST.read_text(encoding='utf-8')}}})();\n"
    )
    (folder / SCRIPT).write_text(program, encoding="utf-8")
    for model in models:
        packed = playground.shipped_and_packed(model["name"], images, labels)
        arguments = json.dumps(
            [model["file"], packed["about"], base64.b64encode(packed["weights"]).decode()]
        )
        script = f"vaePlaygroundArrived(...{arguments});\n"
        (folder / f"playground_{model['file']}.js").write_text(script, encoding="utf-8")
    app.config.html_static_path.append(str(folder))


def load_where_it_stands(app, _page, _template, context, _doctree):
    """html-page-context: only pages with a place load the program."""
    if 'class="vae-playground"' in context.get("body", ""):
        app.add_js_file(SCRIPT, loading_method="defer")


def setup(app):
    """Called by Sphinx."""
    app.connect("builder-inited", write_scripts)
    app.connect("doctree-read", leave_places)
    app.connect("html-page-context", load_where_it_stands)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
