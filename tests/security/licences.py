"""The licences of all that the lock files pin, as the packages themselves say: `make licences` lists them.

In: the lock files, and the metadata of what is installed here. Out: requirements/licences.md, a line a package.
"""

from __future__ import annotations

from importlib.metadata import metadata

from packaging.utils import canonicalize_name

from tests.security.lock import FOLDER, LOCKS, locked

LIST = FOLDER / "licences.md"
HEAD = """# Licences of what Nodescore is installed with

Made by `make licences`, from what each package says of itself.

| package | licence |
| --- | --- |
"""
# A classifier that says no more than this needs another look.
VAGUE = {"OSI Approved", ""}


def packages() -> list[str]:
    """All that is locked for a platform like this one, by name."""
    lines = [line.requirement for name in LOCKS for line in locked(name)]
    return sorted({canonicalize_name(one.name) for one in lines if one.marker is None or one.marker.evaluate()})


def licence(package: str) -> str:
    """What an installed package says of its licence, in the newest of the ways there are."""
    said = metadata(package)
    if "License-Expression" in said:
        return said["License-Expression"]
    classifiers = [line.split(" :: ")[-1] for line in said.get_all("Classifier") or () if line.startswith("License ::")]
    if clear := [line for line in classifiers if line not in VAGUE]:
        return " AND ".join(sorted(clear))
    return said["License"].strip().split("\n")[0] if "License" in said else ""


def listed() -> str:
    """The list."""
    return HEAD + "".join(f"| {package} | {licence(package)} |\n" for package in packages())


if __name__ == "__main__":
    LIST.write_text(listed(), encoding="utf-8")
