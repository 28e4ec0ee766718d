"""What the benchmarks measured and recorded, for the notebooks that show it."""

import json
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks" / "results"


def load(name: str) -> dict:
    """Return a record of the benchmarks, such as "ablation": what was measured, where and when.

    The records lie in ``benchmarks/results/`` of the repository; what their entries mean stands in
    the script of the same name, and the unit is part of the entry's name.
    Raises ValueError for a name without a record, OSError for a missing folder or a damaged file.
    """
    names = sorted(file.stem for file in FOLDER.glob("*.json"))
    if not names:
        raise OSError(
            f"{FOLDER} holds no records: they come with the repository, not with the installed "
            "package. Clone it and install it with 'pip install --editable .'."
        )
    if name not in names:
        raise ValueError(f"There is no record {name!r}: choose one of {', '.join(names)}.")
    file = FOLDER / f"{name}.json"
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise OSError(
            f"{file} is damaged ({error}). Fetch it again: git checkout -- benchmarks/results."
        ) from error
