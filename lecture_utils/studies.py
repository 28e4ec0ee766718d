"""Recorded studies: what takes too long to run in a notebook, measured once over several seeds."""

import json
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks" / "results"


def load_study(name: str) -> dict:
    """Return the record benchmarks/results/<name>.json: machine, versions, date, and the numbers.

    Raises OSError for a missing or damaged file.
    """
    path = FOLDER / f"{name}.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OSError(
            f"The record {path} is missing or damaged ({error}). "
            "Fetch it again: git checkout -- benchmarks/results."
        ) from error
