"""Print the lowest version of every dependency that pyproject.toml allows, one a line, as
constraints for pip.

usage: python tools/lowest_versions.py > lowest.txt; pip install --constraint lowest.txt --editable
'.[test,tutorial]'
"""

import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def lowest(project: dict) -> list[str]:
    """Return "name==version" for each "name>=version" or "name>=version,<upper" in pyproject.toml's
    table [project], extras included."""
    extras = project["optional-dependencies"].values()
    lower = [requirement.split(",")[0] for requirement in sum(extras, project["dependencies"])]
    return [requirement.replace(">=", "==") for requirement in lower]


if __name__ == "__main__":
    print("\n".join(lowest(tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"])))
