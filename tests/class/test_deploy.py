"""The files of deploy/: they load, they say what they are, a term's versions fit the project."""

import contextlib
import importlib
import json
import re
import subprocess
import tomllib
from types import SimpleNamespace

import freeze
import pytest
import yaml
from jupyter_server.serverapp import ServerApp
from jupyter_server.services.kernels.kernelmanager import MappingKernelManager
from packaging.requirements import Requirement
from traitlets.config.loader import PyFileConfigLoader

from tests.helpers import ROOT

DEPLOY = ROOT / "deploy"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONFIGURATIONS = ["jupyterhub_config.py", "nbgrader_config.py"]
CONFIGURATIONS += ["larger/systemd.py", "larger/docker.py"]
README = (DEPLOY / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", README, flags=re.S)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_configuration_loads(name):
    path = DEPLOY / name
    config = PyFileConfigLoader(path.name, str(path.parent)).load_config()
    if name != "nbgrader_config.py":
        assert config.PAMAuthenticator.open_sessions is False
        assert config.Spawner.environment["LECTURE_SHARED_CACHE"].endswith("models")


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_option_of_it_is_one_that_the_program_knows(name):
    known = {}
    modules = ["jupyterhub.app", "jupyterhub.auth", "jupyterhub.spawner", "jupyterhub.proxy"]
    modules += ["nbgrader.coursedir", "nbgrader.exchange.default.exchange"]
    modules += ["dockerspawner", "systemdspawner"]
    for module in modules:
        try:
            loaded = importlib.import_module(module)
        except ImportError:
            continue
        known |= {n: v for n, v in vars(loaded).items() if hasattr(v, "class_traits")}
    path = DEPLOY / name
    config = PyFileConfigLoader(path.name, str(path.parent)).load_config()
    checked = 0
    for owner, options in config.items():
        if owner in known:
            names = set(known[owner].class_trait_names(config=True))
            unknown = set(options) - names
            assert not unknown, f"{owner} has no {unknown}"
            checked += 1
    if not checked:
        pytest.skip("None of the programs is installed here.")


def test_what_ends_an_idle_server_is_told_to_the_server():
    """It does not read the hub's file: an option of it that stood there alone would do nothing."""
    config = PyFileConfigLoader("jupyterhub_config.py", str(DEPLOY)).load_config()
    assert not {"ServerApp", "MappingKernelManager"} & set(config)
    given = dict(word.removeprefix("--").split("=") for word in config.Spawner.args)
    for owner, option in ((ServerApp, "shutdown_no_activity_timeout"),
                          (MappingKernelManager, "cull_idle_timeout")):  # fmt: skip
        assert option in owner.class_trait_names(config=True)  # the server knows it by this name
        assert given[f"{owner.__name__}.{option}"] == "3600"


def test_what_was_not_run_says_so():
    for path in (DEPLOY / "larger").iterdir():
        text = path.read_text(encoding="utf-8")
        assert "NOT RUN" in text or "NOT BUILT" in text, path.name
        assert f"`larger/{path.name}`" in README


def test_the_values_for_kubernetes_are_yaml_with_the_chart_s_names():
    values = yaml.safe_load((DEPLOY / "larger" / "kubernetes.yaml").read_text(encoding="utf-8"))
    assert set(values) == {"hub", "singleuser", "prePuller", "cull", "scheduling"}
    compile(values["hub"]["extraConfig"]["ngshare"], "ngshare", "exec")
    limits = {values["singleuser"]["memory"]["limit"]}
    for name in ("systemd.py", "docker.py"):
        limits |= set(re.findall(r'mem_limit = "(\w+)"', (DEPLOY / "larger" / name).read_text()))
    assert limits == {"3G"}, "the page, and all files, say one limit"


@pytest.mark.parametrize("path", sorted(DEPLOY.glob("*.sh")), ids=lambda path: path.name)
def test_a_script_is_one_that_sh_reads(path):
    subprocess.run(["sh", "-n", str(path)], check=True)


def test_every_file_that_the_page_names_is_there():
    named = set(re.findall(r"(?:deploy|tools|larger|grading)/[\w/]+\.\w+", README))
    places = {"larger": DEPLOY, "grading": ROOT / "notebooks" / "tutorial_7"}
    for name in named:
        folder = places.get(name.split("/")[0], ROOT)
        assert (folder / name).exists(), name
    assert len(named) >= 10 and len(BLOCKS) >= 6


# ------------------------------------------------------------------------- the load test


@pytest.fixture
def load_test():
    """The program, and a wave of one student: a server of 100 MiB, a kernel of 900."""
    for name in ("psutil", "requests", "nbgrader"):
        pytest.importorskip(name)
    from . import semester  # needs what was just asked for

    module = semester.load_test()
    watch = SimpleNamespace(servers={"a": 100.0}, kernels={"a": 900.0}, hub=200.0, together=1300.0)
    return module, {1: module.Wave([], watch, 0.0)}


def test_no_wave_is_started_above_80_percent_of_the_memory(load_test, monkeypatch):
    module, waves = load_test
    memory = SimpleNamespace(total=10 * 2**30, available=9 * 2**30)
    monkeypatch.setattr(module.psutil, "virtual_memory", lambda: memory)
    # 8 GiB less the 1 that is taken, for students of 1000 MiB.
    assert [module.fits(count, waves) for count in (1, 7, 8, 20)] == [True, True, False, False]


def test_what_a_class_needs_is_the_hub_and_so_many_students(load_test, capsys):
    module, waves = load_test
    module.extrapolate(waves)
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if "GiB" in line]
    for students, everybody, _, third, _ in rows:
        assert float(everybody) == round((200 + int(students) * 1000) / 1024)
        assert float(third) == round((200 + int(students) * (100 + 300)) / 1024)
    assert [int(row[0]) for row in rows] == [50, 300, 1000]


class Kernel:
    """The socket of a kernel that answers each cell with what a widget sends, and a status."""

    def __init__(self, *answers):
        self.answers, self.waiting, self.codes = iter(answers), [], []

    def send(self, text):
        asked = json.loads(text)
        self.codes.append(asked["content"]["code"])
        status = {"msg_type": "execute_reply", "content": {"status": next(self.answers)}}
        other = status | {"parent_header": {"msg_id": "another"}, "content": {"status": "error"}}
        own = status | {"parent_header": {"msg_id": asked["header"]["msg_id"]}}
        self.waiting = [b"\0\0\0\2pixels", json.dumps(other), json.dumps(own)]

    def recv(self):
        return self.waiting.pop(0)

    def close(self):
        pass


def test_a_notebook_with_a_widget_runs_to_its_end_or_to_its_error(load_test, monkeypatch, tmp_path):
    websocket, nbformat = map(pytest.importorskip, ("websocket", "nbformat"))
    kernel = SimpleNamespace(json=lambda: {"id": "1"})
    person = SimpleNamespace(hub="http://h", name="a", token="t", server=lambda *_: kernel)
    new = nbformat.v4
    book = new.new_notebook(cells=[new.new_code_cell("1"), new.new_markdown_cell("no")])
    book.cells.append(new.new_code_cell("2"))
    nbformat.write(book, tmp_path / "n.ipynb")
    for answers, ends in ((["ok", "ok"], True), (["error"], False)):
        socket = Kernel(*answers)
        monkeypatch.setattr(websocket, "create_connection", lambda *_, s=socket, **__: s)
        with contextlib.nullcontext() if ends else pytest.raises(RuntimeError, match="cell 0"):
            load_test[0].run_notebook(person, tmp_path / "n.ipynb")
        assert socket.codes == (["1", "2"] if ends else ["1"])


# ------------------------------------------------------------------------- a term's versions


def test_a_term_s_versions_hold_everything_that_the_project_asks_for():
    kept = freeze.frozen(freeze.FILE.read_text(encoding="utf-8"))
    extras = PROJECT["optional-dependencies"]
    for text in PROJECT["dependencies"] + sum((extras[name] for name in freeze.EXTRAS), []):
        requirement = Requirement(text)
        version = kept.get(requirement.name.lower())
        assert version, f"{text}: not frozen. Run tools/freeze.py"
        assert requirement.specifier.contains(version), f"{text}: {version} is frozen"


def test_a_term_s_versions_name_no_address():
    for line in freeze.FILE.read_text(encoding="utf-8").splitlines():
        assert line.startswith("#") or re.fullmatch(r"[a-z0-9-]+==[0-9][\w.]*", line), line


def test_drift_is_said():
    kept = {"torch": "2.6.0", "numpy": "2.0"}
    lines = freeze.differences({"torch": "2.7.0", "numpy": "2.0", "new": "1"}, kept)
    assert lines == [
        "torch: 2.7.0 is installed, 2.6.0 is frozen",
        "new: 1 is installed and not frozen",
    ]
    assert freeze.differences(kept, kept) == []


def test_what_is_needed_is_found_through_other_packages():
    found = freeze.needed(
        {"dependencies": ["traitlets", "jupyterlab"], "optional-dependencies": {}}
    )
    assert {"traitlets", "jupyterlab", "jupyter-server", "tornado"} <= set(found)
    assert "lecture-utils" not in found
