"""Where the benchmarks keep what they measured: one JSON file each, with the machine, the versions and the date."""

import importlib.metadata
import json
import os
import platform
from datetime import date
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def save(name: str, measured: dict) -> None:
    """Write benchmarks/results/<name>.json: where and when it was measured, then what."""
    where = {
        "date": date.today().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "versions": {"python": platform.python_version()}
        | {package: importlib.metadata.version(package) for package in ("torch", "torchvision", "numpy")},
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(where | measured, indent=1) + "\n", encoding="utf-8")


def load(name: str) -> dict:
    """Read what `save` wrote."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
