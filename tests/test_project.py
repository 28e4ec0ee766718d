"""The two dependency lists agree, importing is cheap, and the commands fail clearly."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
PIP_ONLY = {"sphinx-mathjax-offline>=0.0.2"}  # pip installs it in the conda environment too
CONDA_NAME = {"torch": "pytorch", "matplotlib": "matplotlib-base", "seaborn": "seaborn-base"}


def test_conda_environment_lists_the_same_dependencies_as_pyproject():
    extras = PYPROJECT["project"]["optional-dependencies"]
    wanted = PYPROJECT["project"]["dependencies"] + extras["test"] + extras["tutorial"] + extras["book"]
    names = [re.match(r"[A-Za-z0-9_-]+", requirement)[0] for requirement in wanted]
    renamed = {requirement.replace(name, CONDA_NAME.get(name, name), 1) for name, requirement in zip(names, wanted)}
    conda = {entry for entry in ENVIRONMENT["dependencies"] if isinstance(entry, str)}
    assert conda - {"pip"} == renamed - PIP_ONLY | {"python" + PYPROJECT["project"]["requires-python"] + ",<3.14"}


def test_conda_environment_installs_the_package_editable_and_what_conda_lacks_with_pip():
    assert {"pip": ["--editable .", *PIP_ONLY]} in ENVIRONMENT["dependencies"]


def test_dependencies_are_ranges_with_a_lower_bound():
    for requirement in PYPROJECT["project"]["dependencies"]:
        assert ">=" in requirement and "==" not in requirement, requirement


def output_of(code, **variables):
    """What Python code prints in a process of its own, with environment variables set, or unset (None)."""
    environment = {name: value for name, value in (os.environ | variables).items() if value is not None}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout.strip()


def test_importing_the_package_loads_no_heavy_library():
    code = "import lecture_utils, sys; print([m for m in ('torch', 'matplotlib', 'sklearn', 'sympy') if m in sys.modules])"
    assert output_of(code) == "[]"


def test_importing_package_and_torch_costs_at_most_1_2_times_torch_alone():
    code = """if True:
        from time import process_time as now  # CPU seconds: another process on the machine must not fail this test
        start = now()
        import lecture_utils
        before_torch = now()
        import torch
        print((now() - start) / (now() - before_torch))"""
    assert min(float(output_of(code)) for _ in range(3)) <= 1.2


def test_waiting_threads_sleep_unless_the_user_says_otherwise():
    code = "import lecture_utils, os; print(os.environ['OMP_WAIT_POLICY'])"
    assert output_of(code, OMP_WAIT_POLICY=None) == "PASSIVE"
    assert output_of(code, OMP_WAIT_POLICY="ACTIVE") == "ACTIVE"


def test_the_linear_algebra_of_numpy_and_scipy_runs_in_one_thread_unless_the_user_says_otherwise():
    code = """if True:
        import lecture_utils
        import numpy, scipy.linalg
        from threadpoolctl import threadpool_info
        print({pool["num_threads"] for pool in threadpool_info() if pool["internal_api"] == "openblas"})"""
    one, two = output_of(code, OPENBLAS_NUM_THREADS=None), output_of(code, OPENBLAS_NUM_THREADS="2")
    if "set()" in one:
        pytest.skip("this numpy was built with another library")
    assert one == "{1}"
    assert two == "{2}" or os.cpu_count() == 1


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
    phony = re.search(r"^\.PHONY: help (.*)$", (bare / "Makefile").read_text(), re.MULTILINE)[1].split()
    listed = make(bare).stdout
    assert len(phony) >= 5 and all(f"make {target} " in listed for target in phony)


@pytest.mark.parametrize("body, message", [
    ('if "sys.version_info" in sys.argv[-1]: sys.exit(1)\nprint("Python 3.10.4")', "Python 3.11, 3.12 or 3.13 is needed"),
    ('if "venv" in sys.argv[-1]: sys.exit(1)', "apt install python3-venv"),
], ids=["wrong version", "no venv module"])
def test_make_lab_says_what_python_lacks(bare, body, message):
    python = bare / "fake-python"
    python.write_text(f"#!{sys.executable}\nimport sys\n{body}\n")
    python.chmod(0o755)
    run = make(bare, "lab", f"PYTHON={python}")
    assert run.returncode != 0 and message in run.stdout and not (bare / ".venv").exists()


def test_no_text_of_the_project_names_a_registry_host():
    host = re.compile(r"(pypi|pythonhosted|npmjs|anaconda|download\.pytorch)\.(org|com)")
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split("\n")
    texts = [ROOT / name for name in tracked if Path(name).suffix in {".md", ".py", ".toml", ".yml", ".ipynb"}]
    assert [str(p.relative_to(ROOT)) for p in texts if p.exists() and host.search(p.read_text(encoding="utf-8"))] == []
