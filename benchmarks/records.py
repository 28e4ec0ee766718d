"""Where the benchmarks keep what they measured: JSON, with machine, versions and date."""

import importlib.metadata
import json
import os
import platform
from datetime import date
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def save(name: str, measured: dict, folder: Path = RESULTS) -> None:
    """Write <folder>/<name>.json: where and when it was measured, then what."""
    where = {
        "date": date.today().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "versions": {"python": platform.python_version()}
        | {
            package: importlib.metadata.version(package)
            for package in ("torch", "torchvision", "numpy")
        },
    }
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(
        json.dumps(where | measured, indent=1) + "\n", encoding="utf-8"
    )


def load(name: str, folder: Path = RESULTS) -> dict:
    """Read what `save` wrote."""
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
