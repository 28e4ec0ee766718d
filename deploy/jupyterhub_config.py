"""JupyterHub's configuration for a class on one Linux server. README.md beside it has the commands.

    jupyterhub --config deploy/jupyterhub_config.py

Four environment variables change it: CLASS_FOLDER (where the class's files lie), CLASS_LECTURERS
(accounts, comma-separated; the first owns the course), CLASS_ADDRESS (where the hub listens) and
CLASS_PUBLIC (what students type, https://...).
"""

import os
import sys
from pathlib import Path

c = get_config()  # noqa: F821 (defined by JupyterHub)

REPOSITORY = Path(__file__).resolve().parents[1]
CLASS = Path(os.environ.get("CLASS_FOLDER", "/srv/lecture-11"))
LECTURERS = os.environ.get("CLASS_LECTURERS", "lecturer").split(",")
PROGRAMS = Path(sys.executable).parent

# Behind a web server that speaks HTTPS: README.md, "To the outside".
c.JupyterHub.bind_url = os.environ.get("CLASS_ADDRESS", "http://127.0.0.1:8000")
# The hub itself speaks HTTP. Told that browsers speak HTTPS, it marks its cookies for HTTPS alone.
c.JupyterHub.public_url = os.environ.get("CLASS_PUBLIC", "")
c.JupyterHub.db_url = f"sqlite:///{CLASS / 'hub' / 'jupyterhub.sqlite'}"
c.JupyterHub.cookie_secret_file = str(CLASS / "hub" / "cookie_secret")
c.ConfigurableHTTPProxy.pid_file = str(CLASS / "hub" / "proxy.pid")
# A restart of the hub ends no student's server. The proxy is replaced, which takes a moment.
c.JupyterHub.cleanup_servers = False
c.JupyterHub.cleanup_proxy = False

# Accounts of this machine, in the group `lecture-11` or lecturers.
c.JupyterHub.authenticator_class = "pam"
c.PAMAuthenticator.open_sessions = False
c.PAMAuthenticator.allowed_groups = {"lecture-11"}
c.Authenticator.allowed_users = set(LECTURERS)

# Every lecturer, logged in as themselves, may start and enter the first one's server: the course.
c.JupyterHub.load_groups = {"lecturers": {"users": LECTURERS}}
c.JupyterHub.load_roles = [
    {
        "name": "course",
        "groups": ["lecturers"],
        "scopes": [f"{what}!user={LECTURERS[0]}" for what in ("servers", "access:servers")],
    }
]

c.JupyterHub.spawner_class = "localprocess"
c.Spawner.cmd = [str(PROGRAMS / "jupyterhub-singleuser")]
c.Spawner.default_url = "/lab"
c.Spawner.http_timeout = c.Spawner.start_timeout = 120
c.Spawner.environment = {
    # nbgrader calls other programs of this environment by their names.
    "PATH": f"{PROGRAMS}:/usr/local/bin:/usr/bin:/bin",
    "LECTURE_DATA": str(REPOSITORY / "data"),
    "LECTURE_SHARED_CACHE": str(CLASS / "models"),
    "OMP_NUM_THREADS": os.environ.get("CLASS_THREADS", "1"),
}

# A kernel that was idle for an hour and that no page shows is ended, and a server without kernels
# and terminals that nobody has used for an hour is stopped: its memory is free. Both are options of
# the student's server, which does not read this file.
c.Spawner.args = [
    "--ServerApp.shutdown_no_activity_timeout=3600",
    "--MappingKernelManager.cull_idle_timeout=3600",
]
