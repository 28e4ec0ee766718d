"""The class behind HTTPS, as deploy/README.md has it, and the link that brings the series."""

import os
import shutil
import signal
import subprocess
import time

import nbformat
import pytest
import requests

from . import machine as machines
from . import semester

pytestmark = pytest.mark.matrix  # needs root and Caddy: make test-class


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    """Ada, who comes through Caddy: the page's lines, with another name and certificate."""
    if why := machines.problem():
        pytest.skip(why)
    if not shutil.which("caddy"):
        pytest.skip("Caddy is not installed: sudo apt install caddy")
    folder, address = tmp_path_factory.mktemp("https"), f"https://localhost:{semester.free_port()}"
    with machines.Machine() as machine:
        school = semester.set_up(machine, folder / "hub.log", CLASS_PUBLIC=f"{address}/")
        options = "{\n admin off\n skip_install_trust\n auto_https disable_redirects\n}\n"
        proxy = f"tls internal\n reverse_proxy {school.hub.removeprefix('http://')}"
        (folder / "Caddyfile").write_text(f"{options}{address} {{\n {proxy}\n}}\n")
        own = {f"XDG_{what}_HOME": str(folder) for what in ("DATA", "CONFIG")}
        with open(folder / "caddy.log", "wb") as log:
            command = ["caddy", "run", "--config", folder / "Caddyfile"]
            caddy = subprocess.Popen(command, env=os.environ | own, stdout=log, stderr=log)
        certificate = folder / "caddy/pki/authorities/local/root.crt"
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
            patch.setenv("WEBSOCKET_CLIENT_CA_BUNDLE", str(certificate))
            try:
                for _ in range(60):
                    if certificate.exists():
                        break
                    time.sleep(0.5)
                else:
                    pytest.fail((folder / "caddy.log").read_text())
                yield semester.Person(address, "ada", school.passwords["ada"]).start()
            finally:
                caddy.terminate()
                caddy.wait()


def test_a_student_logs_in_works_and_hands_in(student, tmp_path):
    assert student.logged_in and student.hub.startswith("https://")
    sent = {cookie.name: cookie.secure for cookie in student.session.cookies}
    own = [secure for name, secure in sent.items() if name.startswith("jupyterhub-")]
    assert own and all(own), sent  # _xsrf says nothing about who somebody is
    assert student.assignments("fetch")["success"]
    student.save(semester.three_answers())
    assert student.assignments("submit")["success"]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("assert 6 * 7 == 42")])
    nbformat.write(book, tmp_path / "small.ipynb")
    run_notebook = semester.load_test().run_notebook
    assert run_notebook(student, tmp_path / "small.ipynb", patience=120) > 0  # by a websocket


def test_the_link_brings_the_series_and_its_next_click_an_update(student, tmp_path):
    """The link is opened as the student's browser does it; the repository is on this machine."""

    def click():
        wanted = {"repo": address, "branch": "main", "targetpath": "series"}
        answer = student.server("GET", "git-pull/api", **wanted)
        assert answer.status_code == 200 and '"phase": "finished"' in answer.text, answer.text

    series, upstream, port = tmp_path / "series", tmp_path / "up.git", semester.free_port()
    address = f"git://127.0.0.1:{port}/up.git"
    semester.git(tmp_path, "init", "--quiet", "--initial-branch=main", series)
    command = ["git", "daemon", "--export-all", f"--base-path={tmp_path}", f"--port={port}"]
    daemon = subprocess.Popen([*command, "--listen=127.0.0.1"], start_new_session=True)
    try:
        for text in ("first week", "second week"):
            (series / "README.md").write_text(text, encoding="utf-8")
            semester.git(series, "add", "--all")
            semester.git(series, "commit", "--quiet", f"--message={text}")
            shutil.rmtree(upstream, ignore_errors=True)
            semester.git(tmp_path, "clone", "--quiet", "--bare", series, upstream)
            click()
            assert student.read("series/README.md") == text
    finally:
        os.killpg(daemon.pid, signal.SIGTERM)
        daemon.wait()


def test_without_the_certificate_nobody_is_spoken_to(student, monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(student.hub, timeout=10)
