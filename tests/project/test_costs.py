"""What a run of the tests is booked as costing."""

import subprocess
import sys
from types import SimpleNamespace

from tests.costs import Costs

BUSY = "import time\nwhile time.process_time() < 1: pass"


def test_only_the_process_that_starts_workers_leaves_others_cpu_time_to_them(tmp_path):
    """It would book each second of theirs once more."""
    alone = SimpleNamespace(rootpath=tmp_path, option=SimpleNamespace(numprocesses=None))
    starter = SimpleNamespace(rootpath=tmp_path, option=SimpleNamespace(numprocesses=2))
    worker = SimpleNamespace(**vars(starter), workerinput={})
    books = {name: Costs(config) for name, config in
             {"alone": alone, "starter": starter, "worker": worker}.items()}  # fmt: skip
    subprocess.run([sys.executable, "-c", BUSY], check=True)
    for each in books.values():
        each.book("a child")
    booked = {name: each.parts["a child"] > 0.9 for name, each in books.items()}
    assert booked == {"alone": True, "starter": False, "worker": True}
