"""Write, or check, the versions of all packages that the series needs: a term's environment.

python tools/freeze.py            writes deploy/versions.txt
python tools/freeze.py --check    says which installed versions differ from it
"""

import argparse
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "deploy" / "versions.txt"
EXTRAS = ("test", "tutorial", "hub", "book")
HEAD = """# The versions of a term: written by tools/freeze.py, used as
#     pip install --constraint deploy/versions.txt --editable '.[tutorial,hub]'
"""


def needed(project: dict) -> dict[str, str]:
    """Return {package: installed version} of all that `project` needs, directly or not.

    `project` is the table of pyproject.toml. What is not installed is left out.
    """
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *sum((extras.get(name, []) for name in EXTRAS), [])]
    queue, found = [Requirement(text) for text in wanted], {}
    seen = set()
    while queue:
        requirement = queue.pop()
        name = canonicalize_name(requirement.name)
        key = (name, frozenset(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        try:
            package = metadata.distribution(requirement.name)
        except metadata.PackageNotFoundError:
            continue
        # A build's label, such as +cpu, is of this machine; the version is everybody's.
        found[name] = package.version.split("+")[0]
        for text in package.requires or []:
            inner = Requirement(text)
            marker = inner.marker
            if marker is None or any(
                marker.evaluate({"extra": extra}) for extra in ("", *requirement.extras)
            ):
                queue.append(inner)
    return dict(sorted(found.items()))


def frozen(text: str) -> dict[str, str]:
    """Return {package: version} of a file of constraints."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)$", text, flags=re.MULTILINE))


def differences(installed: dict, kept: dict) -> list[str]:
    """Return a line for each package whose installed version is not the frozen one."""
    lines = []
    for name in sorted(installed.keys() & kept.keys()):
        if installed[name] != kept[name]:
            lines.append(f"{name}: {installed[name]} is installed, {kept[name]} is frozen")
    return lines + [
        f"{name}: {installed[name]} is installed and not frozen"
        for name in sorted(installed.keys() - kept.keys())
    ]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    installed = needed(project)
    if arguments.check:
        lines = differences(installed, frozen(FILE.read_text(encoding="utf-8")))
        sys.exit("\n".join(lines) or None)
    lines = "\n".join(f"{name}=={version}" for name, version in installed.items())
    FILE.write_text(f"{HEAD}{lines}\n", encoding="utf-8")
    print(f"{FILE.relative_to(ROOT)}: {len(installed)} packages")


if __name__ == "__main__":
    main()
