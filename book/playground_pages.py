"""Sphinx extension: what moves in JupyterLab moves on the pages too, over http and from files.

A cell that shows the playground or an explorer gets a place for it, which a script fills. The
models are not the notebook's own, which the reader has not trained, but those in
lecture_utils/weights. Only the pages with such a place load the script, and it loads a model
(1.7 MB) when a reader comes near to the place. What computes in Python is a table of pictures:
most are made with the pages, that of beta, which takes seven trainings, lies in `pictures/`
(``benchmarks/playground.py`` makes it).
"""

import base64
import hashlib
import json
import re
import shutil
from pathlib import Path

from lecture_utils import data, playground
from lecture_utils.explorers import cloud, em, shell, theory
from lecture_utils.toy_data import planar_digits

from docutils import nodes

HOST = Path(__file__).with_name("playground_host.mjs")
PICTURES = Path(__file__).with_name("pictures")
SCRIPT = "playground.js"
CALL = re.compile(r"\bplayground\.(digits|reparameterization|kl)\(")
ARGUMENT = re.compile(r"\bplayground\.digits\(\s*(\w*)")
VIEW = re.compile(r"""\bview=["'](\w*)["']""")
EXPLORER = re.compile(r"\b(em|beta|cloud|bound|steps)_explorer\(")  # their tables have these names
PLACE = (
    '<div class="vae-playground" data-view="{}" data-models="{}">'
    "<noscript>The playground needs JavaScript.</noscript></div>"
)
PLANES = ["VAE, 2 dimensions", "AE, 2 dimensions", "DAE, 2 dimensions"]
FOR = {  # what the pages have for models that a cell does not name: by the argument of `digits`
    "three": list(playground.SHIPPED_OF_03),
    "planes": PLANES,
    "networks": PLANES,
    "own": ["VAE, 20 dimensions"],
}
MODELS = playground.SHIPPED | playground.SHIPPED_OF_03
TRAINED = (
    "On this page the models are trained already; in JupyterLab they are those of the notebook."
)
OTHERS = " The button below the first model loads the others, 3 MB."
SOME = "On this page some of the values are pictures; JupyterLab computes all of them."
STANDS_IN = {
    "em": SOME,
    "cloud": SOME,
    "bound": SOME,
    "steps": SOME,
    "beta": "On this page there is a picture for each beta, of a model trained once, in the "
    "notebook's way; beta = 0.1 and beta = 2 are added here.",
    "kl": "",
    "reparameterization": "",
    "three": "These three were trained beforehand, as the notebook trains them.",
    "planes": TRAINED + OTHERS,
    "networks": "On this page models with two dimensions stand in for those of the notebook."
    + OTHERS,
    "newborn": "Training needs JupyterLab: there this network is new, and its picture follows the "
    "training. On this page it is trained already.",
}


def shown(source: str) -> tuple[str, list[str], str] | None:
    """Return what a cell shows of the playground: view, models' names, and a sentence on them.

    None if it shows nothing of it. Raises KeyError for models that no page has.
    """
    if explorer := EXPLORER.search(source):
        return explorer[1], [], STANDS_IN[explorer[1]]
    if not (call := CALL.search(source)):
        return None
    if call[1] != "digits":
        return call[1], [], STANDS_IN[call[1]]
    view, argument = VIEW.search(source), ARGUMENT.search(source)[1]
    named = [name for name in playground.SHIPPED if f'"{name}"' in source]
    text = STANDS_IN["newborn"] if "newborn" in source else STANDS_IN.get(argument, TRAINED)
    return view[1] if view else "", named or FOR[argument], text


def leave_places(_app, doctree):
    """doctree-read: a place below each cell that shows the playground in JupyterLab."""
    cells = doctree.findall(
        lambda node: isinstance(node, nodes.container) and "cell" in node["classes"]
    )
    for cell in cells:
        if (found := shown(cell.astext())) is not None:
            view, names, text = found
            files = " ".join(MODELS[name][0] for name in names)
            cell += nodes.raw("", PLACE.format(view, files), format="html")
            if text:
                cell += nodes.container("", nodes.paragraph("", text), classes=["no-kernel"])


def write_scripts(app):
    """builder-inited: the program, and one script for each model, as static files."""
    folder = Path(app.doctreedir).parent / "playground"
    folder.mkdir(parents=True, exist_ok=True)
    mnist = data.load_mnist()
    images, labels = data.binary_test_set(mnist), mnist.test_labels
    content = {
        "models": {file: name for name, (file, *_) in MODELS.items()},
        "first": [file for file, *_ in playground.SHIPPED.values()],
        "together": [file for file, *_ in playground.SHIPPED_OF_03.values()],
        "images": playground.take_from(images, labels),
        "tables": {
            **{name: write_table(folder, name, *table) for name, table in tables(mnist).items()},
            "beta": copy_beta(folder),
        },
    }
    program = (
        f"(() => {{\n{playground.script()}\nconst CONTENT = {json.dumps(content)};\n"
        f"{HOST.read_text(encoding='utf-8')}}})();\n"
    )
    (folder / SCRIPT).write_text(program, encoding="utf-8")
    for file, name in content["models"].items():
        packed = playground.shipped_and_packed(name, images, labels)
        weights = base64.b64encode(packed["weights"]).decode()
        script = f"vaePlaygroundArrived(...{json.dumps([file, packed['about'], weights])});\n"
        (folder / f"playground_{file}.js").write_text(script, encoding="utf-8")
    app.config.html_static_path.append(str(folder))


def tables(mnist):
    """The explorers whose pictures are made with the pages, each within 200 pictures and 1 MB.

    For each its `draw`, the values of its parameters, and the labels and first values of controls.
    """
    plane = planar_digits(mnist, digits=(0, 1, 2))
    steps = [*range(11), 12, 15, 20, 25, 30, 40, 50, 60, 80, 100]
    return {
        "em": (
            em.em_drawing(plane.train_points.double(), plane.train_labels),
            {"start": list(em.STARTS), "step": steps},
            [{"label": "start", "isList": True}, {"label": "EM step"}],
        ),
        "bound": (
            theory.draw_bound,
            {"mean": [0.0, 0.5, 1.0], "sd": [0.3, 0.5, 0.6, 0.8, 1.2], "k": [1, 5, 50, 1000]},
            [
                {"label": "mean of q", "first": 0.5},
                {"label": "sd of q", "first": 0.6},
                {"label": "samples k"},
            ],
        ),
        "steps": (
            theory.draw_steps,
            {"s": [0.01, 0.05, 0.1, 0.2, 0.5, 1.0, 1.5], "n_steps": list(theory.STEPS)},
            [{"label": "sd of the data s", "first": 0.5}, {"label": "steps T", "first": 1000}],
        ),
        "cloud": (
            cloud.draw_cloud,
            {"t": [*range(16), *range(16, 40, 2), *range(40, 101, 5)]},
            [{"label": "time t", "first": 30}],
        ),
    }


def write_table(folder, name, draw, options, controls):
    """Write the pictures of an explorer, and return its table without them."""
    controls = [each | {"options": values} for each, values in zip(controls, options.values())]
    return shell.write_table(folder, name, shell.tabulated(draw, options), controls)


def copy_beta(folder):
    """Copy the pictures of notebook 03's explorer, and return the table without them."""
    for picture in PICTURES.glob("beta_*.webp"):
        shutil.copy(picture, folder)
    return json.loads((PICTURES / "beta.json").read_text(encoding="utf-8"))


def load_where_it_stands(app, page, _template, context, _doctree):
    """html-page-context: only pages with a place load the program, behind the last place.

    So it need not wait for the scripts in the head, MathJax among them, which run after the text.
    On the first page the model is asked for at once; elsewhere when a reader comes near a place.
    """
    if 'class="vae-playground"' not in context.get("body", ""):
        return
    program = (Path(app.doctreedir).parent / "playground" / SCRIPT).read_bytes()
    version = hashlib.sha256(program).hexdigest()[:8]
    url = context["pathto"](f"_static/{SCRIPT}", 1)
    context["body"] += f'<script src="{url}?v={version}"></script>\n'
    if page == app.config.root_doc:
        file = f"playground_{next(iter(playground.SHIPPED.values()))[0]}.js"
        url = context["pathto"](f"_static/{file}", 1)
        context["metatags"] += f'<link rel="preload" as="script" href="{url}">\n'


def setup(app):
    """Called by Sphinx."""
    app.connect("builder-inited", write_scripts)
    app.connect("doctree-read", leave_places)
    app.connect("html-page-context", load_where_it_stands)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
