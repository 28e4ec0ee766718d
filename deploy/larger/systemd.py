"""The class with limits on every student, by systemd: some 50 students on one server.

Written from systemdspawner's documentation and NOT RUN: the machine it was written on has no
systemd. Needed is `pip install jupyterhub-systemdspawner`, then
    jupyterhub --config deploy/larger/systemd.py
"""

from pathlib import Path

c = get_config()  # noqa: F821 (defined by JupyterHub)
load_subconfig(str(Path(__file__).resolve().parents[1] / "jupyterhub_config.py"))  # noqa: F821

c.JupyterHub.spawner_class = "systemd"
c.SystemdSpawner.mem_limit = "3G"  # README.md, "What a class needs"
c.SystemdSpawner.cpu_limit = 2.0
c.SystemdSpawner.unit_name_template = "lecture-11-{USERNAME}"
c.SystemdSpawner.isolate_tmp = True
c.SystemdSpawner.isolate_devices = True
c.SystemdSpawner.disable_user_sudo = True
c.SystemdSpawner.unit_extra_properties = {"TasksMax": "256", "MemorySwapMax": "0"}
