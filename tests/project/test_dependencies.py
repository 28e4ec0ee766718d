"""The two dependency lists agree, importing is cheap, and the commands fail clearly."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import lowest_versions
import pytest
import yaml

from tests.helpers import ROOT, output_of

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
PIP_ONLY = {"sphinx-mathjax-offline>=0.0.2"}  # pip installs it in the conda environment too
CONDA_NAME = {"torch": "pytorch", "matplotlib": "matplotlib-base", "seaborn": "seaborn-base"}


def test_conda_environment_lists_the_same_dependencies_as_pyproject():
    extras = PYPROJECT["project"]["optional-dependencies"]
    wanted = (
        PYPROJECT["project"]["dependencies"] + extras["test"] + extras["tutorial"] + extras["book"]
    )
    names = [re.match(r"[A-Za-z0-9_-]+", requirement)[0] for requirement in wanted]
    renamed = {
        requirement.replace(name, CONDA_NAME.get(name, name), 1)
        for name, requirement in zip(names, wanted)
    }
    conda = {entry for entry in ENVIRONMENT["dependencies"] if isinstance(entry, str)}
    assert conda - {"pip"} == renamed - PIP_ONLY | {
        "python" + PYPROJECT["project"]["requires-python"] + ",<3.14"
    }


def test_binder_installs_what_the_package_needs():
    text = (ROOT / "binder" / "environment.yml").read_text(encoding="utf-8")
    wanted = {
        re.sub(r"^[A-Za-z0-9_-]+", lambda name: CONDA_NAME.get(name[0], name[0]), requirement)
        for requirement in PYPROJECT["project"]["dependencies"]
    }
    assert wanted <= set(yaml.safe_load(text)["dependencies"])


def test_conda_environment_installs_the_package_editable_and_what_conda_lacks_with_pip():
    assert {"pip": ["--editable .", *PIP_ONLY]} in ENVIRONMENT["dependencies"]


def test_dependencies_are_ranges_with_a_lower_bound():
    for requirement in PYPROJECT["project"]["dependencies"]:
        assert ">=" in requirement and "==" not in requirement, requirement


@pytest.fixture
def bare(tmp_path):
    """A checkout with nothing but the Makefile and pyproject.toml."""
    if shutil.which("make") is None:
        pytest.skip("there is no make on this system")
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def make(folder, *arguments):
    return subprocess.run(["make", *arguments], cwd=folder, capture_output=True, text=True)


def test_make_alone_lists_every_target(bare):
    phony = re.search(r"^\.PHONY: help (.*)$", (bare / "Makefile").read_text(), re.MULTILINE)[
        1
    ].split()
    listed = make(bare).stdout
    assert len(phony) >= 5 and all(f"make {target} " in listed for target in phony)


@pytest.mark.parametrize(
    "body, message",
    [
        (
            'if "sys.version_info" in sys.argv[-1]: sys.exit(1)\nprint("Python 3.10.4")',
            "Python 3.11, 3.12, 3.13 or 3.14 is needed",
        ),
        ('if "venv" in sys.argv[-1]: sys.exit(1)', "apt install python3-venv"),
    ],
    ids=["wrong version", "no venv module"],
)
def test_make_lab_says_what_python_lacks(bare, body, message):
    python = bare / "fake-python"
    python.write_text(f"#!{sys.executable}\nimport sys\n{body}\n")
    python.chmod(0o755)
    run = make(bare, "lab", f"PYTHON={python}")
    assert run.returncode != 0 and message in run.stdout and not (bare / ".venv").exists()


def test_no_text_of_the_project_names_a_registry_host():
    host = re.compile(r"(pypi|pythonhosted|npmjs|anaconda|download\.pytorch)\.(org|com)")
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True
    ).stdout.split("\n")
    texts = [
        ROOT / name
        for name in tracked
        if Path(name).suffix in {".md", ".py", ".toml", ".yml", ".ipynb"}
    ]
    assert [
        str(p.relative_to(ROOT))
        for p in texts
        if p.exists() and host.search(p.read_text(encoding="utf-8"))
    ] == []


def test_the_lowest_versions_are_all_lower_bounds_of_pyproject():
    project = PYPROJECT["project"]
    constraints = lowest_versions.lowest(project)
    bounds = project["dependencies"] + sum(project["optional-dependencies"].values(), [])
    assert len(constraints) == len(bounds) >= 15
    for constraint, bound in zip(constraints, bounds):
        lower = bound.split(",")[0]
        assert re.fullmatch(r"[\w-]+==[\d.]+", constraint)
        assert constraint.split("==") == lower.split(">=")


def test_reading_a_notebook_builds_no_parser():
    """It took two seconds in each kernel manager, command of nbgrader, and test worker."""
    assert output_of("import sys, nbformat; print('lark' in sys.modules)") == "False"
