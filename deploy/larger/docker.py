"""The class in containers on one server, by Docker.

Written from dockerspawner's documentation and NOT RUN: the machine it was written on has no Docker.
Needed are `pip install dockerspawner`, the image of the Dockerfile beside this file, a network
    docker build --tag lecture-11 --file deploy/larger/Dockerfile .
    docker network create lecture-11
    jupyterhub --config deploy/larger/docker.py

In a container everybody is the same user unless told otherwise, so the exchange would isolate
nobody and collecting by owner would see one owner: each container runs as its student's own
account, with the home of that account.
"""

import grp
import pwd
from pathlib import Path

c = get_config()  # noqa: F821 (defined by JupyterHub)
load_subconfig(str(Path(__file__).resolve().parents[1] / "jupyterhub_config.py"))  # noqa: F821

c.JupyterHub.spawner_class = "docker"
c.JupyterHub.hub_ip = "0.0.0.0"
c.DockerSpawner.image = "lecture-11"
c.DockerSpawner.network_name = "lecture-11"
c.DockerSpawner.use_internal_ip = True
c.DockerSpawner.remove = True
c.DockerSpawner.mem_limit = "3G"  # README.md, "What a class needs"
c.DockerSpawner.cpu_limit = 2.0
c.DockerSpawner.extra_host_config = {"pids_limit": 256, "security_opt": ["no-new-privileges"]}
c.DockerSpawner.volumes = {
    "/home/{username}": "/home/{username}",
    "/srv/lecture-11/exchange": "/srv/lecture-11/exchange",
    # Names of accounts, without which nbgrader cannot tell who owns what.
    "/etc/passwd": {"bind": "/etc/passwd", "mode": "ro"},
    "/etc/group": {"bind": "/etc/group", "mode": "ro"},
}
c.DockerSpawner.notebook_dir = "/home/{username}"
c.DockerSpawner.cmd = ["jupyterhub-singleuser"]
c.DockerSpawner.environment = {
    "LECTURE_DATA": "/opt/lecture-11/data",
    "LECTURE_SHARED_CACHE": "/opt/lecture-11/models",
    "OMP_NUM_THREADS": "1",
}


def as_the_account(spawner):
    """Run the container as the account that logged in."""
    account = pwd.getpwnam(spawner.user.name)
    spawner.extra_create_kwargs = {"user": f"{account.pw_uid}:{account.pw_gid}"}
    spawner.environment = spawner.environment | {"HOME": account.pw_dir, "USER": account.pw_name}
    groups = [group.gr_gid for group in grp.getgrall() if account.pw_name in group.gr_mem]
    spawner.extra_host_config = spawner.extra_host_config | {"group_add": groups}


c.Spawner.pre_spawn_hook = as_the_account
