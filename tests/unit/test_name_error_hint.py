"""The advice under a NameError: which cell to run first."""

import ast
import json
import os
import re

from lecture_utils import name_error_hint

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel

from tests.helpers import output_of
from tests.notebooks.reading import EVERY_NUMBERED


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    """A kernel of a notebook that was opened in JupyterLab, after its first cell; send it code, get
    {stream: text}.
    """
    path = tmp_path_factory.mktemp("opened") / "notebook.ipynb"
    cell = nbformat.v4.new_code_cell
    nbformat.write(
        nbformat.v4.new_notebook(
            cells=[
                cell("import lecture_utils"),
                nbformat.v4.new_markdown_cell("# 01 · A notebook\n\n## Train"),
                cell("\nvae, history = 'model', []"),
                nbformat.v4.new_markdown_cell("## Look"),
                cell("print(vae)"),
                cell("print(vea)"),
            ]
        ),
        path,
    )
    manager, client = start_new_kernel(env=os.environ | {"JPY_SESSION_NAME": str(path)})

    def run(code):
        texts = {"stdout": "", "stderr": "", "error": ""}

        def collect(message):
            if message["msg_type"] == "stream":
                texts[message["content"]["name"]] += message["content"]["text"]
            elif message["msg_type"] == "error":
                texts["error"] += f"{message['content']['ename']}: {message['content']['evalue']}"

        client.execute_interactive(code, timeout=60, output_hook=collect)
        return texts

    run("import lecture_utils")
    yield run
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def test_a_cell_run_too_early_names_the_cell_to_run_first(kernel):
    early = kernel("print(vae)")
    assert early["error"] == "NameError: name 'vae' is not defined"
    assert early["stderr"] == (
        "\n'vae' is made under the heading \"Train\", in the cell that begins with\n"
        "    vae, history = 'model', []\n"
        "Run that cell first, or choose Run > Run All Above Selected Cell in the menu.\n"
    )
    assert kernel("\nvae, history = 'model', []") == {"stdout": "", "stderr": "", "error": ""}
    assert kernel("print(vae)") == {"stdout": "model\n", "stderr": "", "error": ""}


def test_a_name_that_no_cell_makes_gets_pythons_message_alone(kernel):
    assert kernel("print(vea)") == {
        "stdout": "",
        "stderr": "",
        "error": "NameError: name 'vea' is not defined",
    }
    assert kernel("1 / 0") == {
        "stdout": "",
        "stderr": "",
        "error": "ZeroDivisionError: division by zero",
    }


def test_outside_a_notebook_nothing_is_registered_and_ipython_is_not_imported():
    code = "import sys, lecture_utils; print('IPython' in sys.modules)"
    assert output_of(code, JPY_SESSION_NAME="notebook.ipynb") == "False"


def statements(source):
    return ast.parse(re.sub(r"^[%!].*", "", source, flags=re.MULTILINE)).body


def names(nodes, context):
    return {
        node.id
        for part in nodes
        for node in ast.walk(part)
        if isinstance(node, ast.Name) and isinstance(node.ctx, context)
    }


@EVERY_NUMBERED
def test_every_cell_of_the_series_that_needs_an_earlier_one_can_name_it(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    above, assigned, asked = [], set(), 0
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            for name in names(statements(source), ast.Load) & assigned:
                line = re.search(
                    r"begins with\n    (.*)", name_error_hint.advice(name, source, cells)
                )[1]
                assert any(
                    re.search(rf"\b{name}\b", other) and other.strip().startswith(line.strip())
                    for other in above
                ), name
                asked += 1
            assigned |= names(
                [
                    target
                    for s in statements(source)
                    if isinstance(s, ast.Assign)
                    for target in s.targets
                ],
                ast.Store,
            )
            above.append(source)
    assert asked > 10
