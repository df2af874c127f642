"""Where the real servers of the tests lie on this machine, and in which versions.

In: the environment, and what `tests.servers.obtain` has put into the cache folder. Out: for each name a `Place`,
or a `Missing` that says why. Fetches and starts nothing.

A server comes from, first that has it:
  1. the environment: TEST_BIN, a folder with the programs under their upstream names, and
     TEST_TIMESCALE_DSN, a superuser of a TimescaleDB in which databases may be created and dropped;
  2. Debian packages, unpacked in the cache folder;
  3. container images: programs copied into the cache folder, TimescaleDB run in its container;
  4. for tools that any machine may have (stress-ng, nmap, ip, chromium): the PATH.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

# Without the prefix NODESCORE_, which is for settings: the service refuses one that it does not know.
BIN_VARIABLE = "TEST_BIN"
TIMESCALE_VARIABLE = "TEST_TIMESCALE_DSN"

# Upstream's name of each program, and its name in Debian's packages.
PROGRAMS = {
    "prometheus": "prometheus",
    "promtool": "promtool",
    "alertmanager": "prometheus-alertmanager",
    "node_exporter": "prometheus-node-exporter",
    "victoria-metrics": "victoria-metrics",
    "vmagent": "vmagent",
    "kubectl": "kubectl",
}
# Tools that change the machine or load it: a command, and the Debian package that has it.
TOOLS = {
    "stress-ng": "stress-ng",
    "nmap": "nmap",
    "ip": "iproute2",
    "chromium": "chromium",
    "lxcfs": "lxcfs",
    "hping3": "hping3",
    "wrk": "wrk",
    "nginx": "nginx-light",
    "sqlite3": "sqlite3",
    "gcc": "gcc",
    "curl": "curl",
    "openssl": "openssl",
    "podman": "podman",
    "runc": "runc",
    "catatonit": "catatonit",
}
GROUPS = Path("/sys/fs/cgroup")
PROMETHEUS_AT_LEAST = (3, 5)  # the first long-term release that sends remote write 2.0
HOW = "`make servers` gets it on Debian as root, or from container images; or"
POSTGRES_BIN = "usr/lib/postgresql/17/bin"


@dataclass(frozen=True)
class Place:
    """A program (path), a root file system (root), a container image (image) or a running server (dsn)."""

    kind: Literal["path", "root", "image", "dsn"]
    at: str
    version: str


@dataclass(frozen=True)
class Missing:
    """A server that is not to be had here."""

    why: str


def cache_folder() -> Path:
    """Outside the source tree, so that a fresh clone finds what another one has fetched."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "nodescore" / "servers"


def lock_file(name: str) -> Path:
    """A file for everybody who runs tests here to lock."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f".{name}.lock"


@cache
def find(name: str) -> Place | Missing:
    """Where server or tool `name` is."""
    if name == "timescale":
        return _timescale()
    if name == "netns":
        return _network_namespaces()
    if name == "groups":
        return _control_groups()
    if name in PROGRAMS:
        return _program(name)
    if name in TOOLS:
        path = shutil.which(name)
        return Place("path", path, _version(path)) if path else Missing(f"no {name} on the PATH")
    known = ("timescale", "netns", "groups", *PROGRAMS, *TOOLS)
    raise ValueError(f"no server is called {name!r}; there are: {', '.join(known)}")


def path_of(name: str) -> str:
    """The path of a program that is there; LookupError where it is not."""
    place = find(name)
    if isinstance(place, Missing):
        raise LookupError(place.why)
    return place.at


def _program(name: str) -> Place | Missing:
    given = os.environ.get(BIN_VARIABLE)
    candidates = [Path(given) / name] if given else []
    candidates += [
        *(cache_folder() / root / "usr" / "bin" / PROGRAMS[name] for root in ("debian-programs", "debian-kubectl")),
        cache_folder() / "image-programs" / name,
    ]
    for path in candidates:
        if os.access(path, os.X_OK):
            version = _version(str(path))
            if name in {"prometheus", "promtool"} and _numbers(version) < PROMETHEUS_AT_LEAST:
                return Missing(f"{path} is version {version}; the tests need 3.5 or newer")
            return Place("path", str(path), version)
    return Missing(f"no {name}: {HOW} set {BIN_VARIABLE}")


def _timescale() -> Place | Missing:
    given = os.environ.get(TIMESCALE_VARIABLE)
    if given:
        return Place("dsn", given, "given by the environment")
    root = cache_folder() / "debian-timescale"
    if (root / POSTGRES_BIN / "postgres").exists():
        if os.geteuid() != 0:
            return Missing(f"the TimescaleDB in {root} can be run by root only")
        found = sorted((root / "usr/share/postgresql/17/extension").glob("timescaledb--[0-9].*[0-9].sql"))
        versions = [re.sub(r"^timescaledb--(.*)\.sql$", r"\1", path.name) for path in found]
        plain = [version for version in versions if "--" not in version]
        return Place("root", str(root), max(plain, key=_numbers, default="unknown"))
    image = cache_folder() / "image-timescale"
    if image.exists():
        engine_and_image = image.read_text(encoding="utf-8").strip()
        return Place("image", engine_and_image, engine_and_image.rpartition(":")[2])
    return Missing(f"no TimescaleDB: {HOW} set {TIMESCALE_VARIABLE}")


def _network_namespaces() -> Place | Missing:
    ip = shutil.which("ip")
    if ip is None:
        return Missing("no ip (iproute2) on the PATH")
    if os.geteuid() != 0:
        return Missing("network namespaces are made by root only")
    return Place("path", ip, _version(ip))


def _control_groups() -> Place | Missing:
    if os.geteuid() != 0:
        return Missing("control groups are made by root only")
    lacking = [name for name in ("cpu", "cpuacct", "memory", "blkio") if not (GROUPS / name / "cgroup.procs").exists()]
    if lacking:
        return Missing(f"no control groups v1 in {GROUPS} for {', '.join(lacking)}")
    return Place("path", str(GROUPS), "1")


def _version(path: str) -> str:
    """The first thing in the program's own answer that looks like a version."""
    others = {
        "ip": "-V",
        "vmagent": "-version",
        "victoria-metrics": "-version",
        "nginx": "-v",
        "kubectl": "version --client",
    }
    flags = others.get(Path(path).name, "--version").split()
    answer = subprocess.run([path, *flags], capture_output=True, text=True, timeout=30, check=False)
    found = re.search(r"\d+(\.\d+)+", answer.stdout + answer.stderr)
    return found.group() if found else "unknown"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def describe() -> list[str]:
    """A line for each server, for the head of a test run."""
    places = {name: find(name) for name in ("timescale", *PROGRAMS, *TOOLS, "netns", "groups")}
    there = ", ".join(f"{name} {place.version}" for name, place in places.items() if isinstance(place, Place))
    return [
        f"real servers: {there or 'none'}",
        *(f"missing {name}: {place.why}" for name, place in places.items() if isinstance(place, Missing)),
    ]
