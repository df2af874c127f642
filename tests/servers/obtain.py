"""Gets the real servers of the tests onto this machine: `python -m tests.servers.obtain`, or `make servers`.

As root on Debian: Debian's packages, unpacked into the cache folder (about 1 GB, 40 s once), nothing of them
installed; only small tools are installed on the machine itself. Where a container engine answers: the official
images. Else nothing. What is in the cache folder already is not fetched again. Says in a line for each server
what came of it, and ends with status 0: what is missing is for the tests to skip, or with --require-real to fail.

Uses the standard library only. Takes from Debian unstable what Debian stable does not have yet.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import places

FETCH_ATTEMPTS = 3  # a mirror in the middle of an update answers with files that do not fit together
FETCH_TIMEOUT_SECONDS = 600
STAMP = ".complete"


@dataclass(frozen=True)
class Root:
    """A folder of unpacked Debian packages."""

    folder: str
    suite: str
    options: tuple[str, ...]
    packages: tuple[str, ...]

    @property
    def stamp(self) -> str:
        """Tells one recipe from another: a changed recipe is made anew."""
        return hashlib.sha256(repr(self).encode()).hexdigest()


DEBIAN_ROOTS = (
    Root("debian-timescale", "trixie", ("--variant=minbase",), ("postgresql-17", "postgresql-17-timescaledb")),
    Root(
        "debian-programs",
        "sid",
        # Nothing is configured or started: static programs that run on any Linux. Unstable's index is often
        # older than the date it claims to be valid until.
        ("--variant=extract", '--aptopt=Acquire::Check-Valid-Until "false"'),
        (
            "prometheus",
            "promtool",
            "prometheus-alertmanager",
            "prometheus-node-exporter",
            "victoria-metrics",
        ),
    ),
    # Debian stable's is from before kustomize had components.
    Root(
        "debian-kubectl",
        "sid",
        ("--variant=extract", '--aptopt=Acquire::Check-Valid-Until "false"'),
        ("kubernetes-client",),
    ),
)
# Program → image and the program's path in it.
IMAGES = {
    "prometheus": ("prom/prometheus:v3.5.0", "/bin/prometheus"),
    "promtool": ("prom/prometheus:v3.5.0", "/bin/promtool"),
    "alertmanager": ("prom/alertmanager:v0.28.1", "/bin/alertmanager"),
    "node_exporter": ("prom/node-exporter:v1.9.1", "/bin/node_exporter"),
    "victoria-metrics": ("victoriametrics/victoria-metrics:v1.122.0", "/victoria-metrics-prod"),
    "vmagent": ("victoriametrics/vmagent:v1.122.0", "/vmagent-prod"),
}
TIMESCALE_IMAGE = "timescale/timescaledb:2.19.3-pg17"


def main() -> int:
    """Get what is missing, then say what is there."""
    cache = places.cache_folder()
    # Two test runs on one machine must not fetch into the same folder.
    with places.lock_file("obtain").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_debian() and os.geteuid() == 0:
            install_tools()
            for root in DEBIAN_ROOTS:
                make_root(root, cache)
        else:
            engine = container_engine()
            if engine:
                copy_from_images(engine, cache)
    print("\n".join(places.describe()))
    return 0


def is_debian() -> bool:
    """True on Debian itself: its keys are needed to check the packages."""
    try:
        lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    return "ID=debian" in lines


def install_tools() -> None:
    """Install the small tools that are not there yet, and what unpacks the rest."""
    wanted = {"mmdebstrap": "mmdebstrap", **places.TOOLS}
    packages = [package for command, package in wanted.items() if shutil.which(command) is None]
    if packages:
        print(f"installing {' '.join(packages)}", flush=True)
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        attempt(["apt-get", "update", "-qq"], quiet)
        with no_service_started():
            attempt(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], quiet)


@contextmanager
def no_service_started(policy: Path = Path("/usr/sbin/policy-rc.d")) -> Iterator[None]:
    """Packages of servers start none of them: Debian asks this program first (invoke-rc.d(8))."""
    if policy.exists():  # somebody has decided already
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


def make_root(root: Root, cache: Path) -> None:
    """Unpack `root` beside its place and move it there when it is whole."""
    folder = cache / root.folder
    stamp = folder / STAMP
    if stamp.exists() and stamp.read_text(encoding="utf-8") == root.stamp:
        return
    if shutil.which("mmdebstrap") is None:
        return
    partial = cache / f"{root.folder}.partial"
    print(f"unpacking {' '.join(root.packages)} from Debian {root.suite} into {folder}", flush=True)
    argv = ["mmdebstrap", "--quiet", *root.options, f"--include={','.join(root.packages)}", root.suite, str(partial)]
    if attempt(argv, dict(os.environ), before=lambda: remove(partial)):
        (partial / STAMP).write_text(root.stamp, encoding="utf-8")
        remove(folder)
        partial.rename(folder)


def remove(folder: Path) -> None:
    """Delete a root, and never what is mounted in one."""
    mounts = Path("/proc/mounts").read_text(encoding="utf-8")
    if f" {folder}/" in mounts:
        raise SystemExit(f"something is mounted in {folder}: unmount it, then run this again")
    shutil.rmtree(folder, ignore_errors=True)


def container_engine() -> str | None:
    """A container engine that answers."""
    for engine in ("docker", "podman"):
        if shutil.which(engine) and run([engine, "info"], dict(os.environ)).returncode == 0:
            return engine
    return None


def copy_from_images(engine: str, cache: Path) -> None:
    """Take the static programs out of their images; TimescaleDB's image is run as it is."""
    folder = cache / "image-programs"
    folder.mkdir(exist_ok=True)
    for name, (image, path) in IMAGES.items():
        target = folder / name
        if target.exists() or not attempt([engine, "pull", "--quiet", image], dict(os.environ)):
            continue
        container = run([engine, "create", image], dict(os.environ)).stdout.strip()
        partial = folder / f"{name}.partial"
        copied = run([engine, "cp", f"{container}:{path}", str(partial)], dict(os.environ)).returncode == 0
        run([engine, "rm", container], dict(os.environ))
        if copied:
            partial.chmod(0o755)
            partial.rename(target)
    note = cache / "image-timescale"
    if not note.exists() and attempt([engine, "pull", "--quiet", TIMESCALE_IMAGE], dict(os.environ)):
        note.write_text(f"{engine} {TIMESCALE_IMAGE}\n", encoding="utf-8")


def attempt(argv: Sequence[str], environment: dict[str, str], before: Callable[[], None] | None = None) -> bool:
    """Run a fetching command until it succeeds, a few times; False, and its last words, where it does not."""
    for number in range(1, FETCH_ATTEMPTS + 1):
        if before is not None:
            before()
        done = run(argv, environment)
        if done.returncode == 0:
            return True
        tail = "\n".join(done.stderr.splitlines()[-5:])
        print(f"{argv[0]} failed, attempt {number} of {FETCH_ATTEMPTS}:\n{tail}", file=sys.stderr, flush=True)
    return False


def run(argv: Sequence[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A bounded command with its output kept."""
    try:
        return subprocess.run(
            argv,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=FETCH_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(argv, 1, "", f"took longer than {FETCH_TIMEOUT_SECONDS} s")


if __name__ == "__main__":
    raise SystemExit(main())
