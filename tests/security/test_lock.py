"""The lock files hold all that the project asks for, each by its hashes. `make lock` mends what fails here."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.security.lock import LOCKS, TOOLS, locked, project

EACH = pytest.mark.parametrize("name", [*LOCKS, *TOOLS])


def asked_for(name: str) -> list[Requirement]:
    """What stands in pyproject.toml for a lock file."""
    said = project()
    if name in TOOLS:
        table, key = TOOLS[name]
        return [Requirement(line) for line in said[table][key]]
    extras = [line for extra in LOCKS[name] for line in said["project"]["optional-dependencies"][extra]]
    return [Requirement(line) for line in [*said["project"]["dependencies"], *extras]]


@EACH
def test_everything_is_pinned_to_a_version_and_its_hashes(name: str) -> None:
    lines = locked(name)
    assert lines
    assert [str(line.requirement) for line in lines if not (line.version and line.hashes)] == []


@EACH
def test_every_dependency_is_locked_in_its_range(name: str) -> None:
    versions = [(canonicalize_name(line.requirement.name), line.version) for line in locked(name)]
    wrong = []
    for asked in asked_for(name):
        found = [version for package, version in versions if package == canonicalize_name(asked.name)]
        if not found or not all(asked.specifier.contains(version) for version in found):
            wrong.append((str(asked), found))
    assert wrong == []


@EACH
def test_what_a_locked_package_needs_is_locked_too(name: str) -> None:
    lines = [line for line in locked(name) if line.requirement.marker is None or line.requirement.marker.evaluate()]
    there = {canonicalize_name(line.requirement.name) for line in lines}
    extras = {canonicalize_name(asked.name): asked.extras for asked in asked_for(name)}
    missing = []
    for line in lines:
        try:
            installed = distribution(line.requirement.name)
        except PackageNotFoundError:
            continue
        if installed.version != line.version:
            continue  # another version may need other packages
        chosen = ("", *extras.get(canonicalize_name(line.requirement.name), ()))
        for needed in map(Requirement, installed.requires or ()):
            wanted = needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in chosen)
            if wanted and canonicalize_name(needed.name) not in there:
                missing.append((str(line.requirement), str(needed)))
    assert missing == []


def test_training_is_locked_to_the_versions_of_serving() -> None:
    serving, training = ({(line.requirement.name, line.version) for line in locked(name)} for name in LOCKS)
    assert serving - training == set()
