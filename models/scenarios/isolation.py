"""The parts of which a node is made: control groups, a network namespace on a bridge, a root folder, a FUSE mount.

Each is a context manager that takes down on leaving what it made. Root, control groups v1. Raises `Unavailable` with
the complaint of the command that failed.
"""

from __future__ import annotations

import fcntl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from receiver.cli.processes import Running, running
from receiver.errors import Unavailable

GROUPS = Path("/sys/fs/cgroup")
DISK_BYTES = 1 << 30
SETTLE_SECONDS = 20.0
POLL_SECONDS = 0.1


def grouped(groups: Sequence[str], command: Sequence[str]) -> list[str]:
    """`command`, run in these control groups."""
    files = " ".join(str(GROUPS / group / "cgroup.procs") for group in groups)
    return ["sh", "-c", f'for file in {files}; do echo $$ > $file; done; exec "$@"', "sh", *command]


@contextmanager
def group(controller: str, name: str) -> Iterator[None]:
    """A control group, there as long as processes may need it."""
    path = GROUPS / controller / name
    path.mkdir()
    try:
        yield
    finally:
        until(path.rmdir, f"{path} still has processes")


def set_value(name: str, file: str, value: int) -> None:
    """Set a file of a control group, by its name with its controller."""
    (GROUPS / name / file).write_text(str(value))


@contextmanager
def bridge() -> Iterator[tuple[str, str]]:
    """A bridge; a prefix for names that nobody else has on this machine, and the first three bytes of addresses."""
    with (Path(tempfile.gettempdir()) / "nodescore-scenarios.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the kernel gives one address to two bridges
        used = run("ip", "-4", "-oneline", "address")
        # The upper half: the tests' networks begin below.
        number = next(number for number in range(128, 256) if f" 10.77.{number}." not in used)
        prefix, subnet = f"sc{number}", f"10.77.{number}"
        run("ip", "link", "add", f"cni{prefix}", "type", "bridge")
        run("ip", "address", "add", f"{subnet}.1/24", "dev", f"cni{prefix}")
    try:
        run("ip", "link", "set", f"cni{prefix}", "up")
        yield prefix, subnet
    finally:
        run("ip", "link", "delete", f"cni{prefix}")


@contextmanager
def namespace(prefix: str, name: str, address: str) -> Iterator[None]:
    """A network namespace with `lo` and an `eth0` on the bridge of this prefix."""
    run("ip", "netns", "add", name)
    try:
        run("ip", "-n", name, "link", "set", "lo", "up")
        # Born in the namespace: its name never meets the machine's own eth0.
        run("ip", "link", "add", f"veth{name}", "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "link", "set", f"veth{name}", "master", f"cni{prefix}", "up")
        run("ip", "-n", name, "address", "add", f"{address}/24", "dev", "eth0")
        # A packet a segment, as a wire carries it: a veth would hand on 64 KB at once and count 1.
        run("ip", "-n", name, "link", "set", "eth0", "gso_max_segs", "1", "up")
        yield
    finally:
        run("ip", "netns", "delete", name)  # and with it the pair of interfaces


@contextmanager
def root_folder(folder: Path) -> Iterator[str]:
    """Make `folder`/root, a root folder on a disk of its own; the name of the disk's device."""
    disk, root = folder / "disk", folder / "root"
    for path in (disk, root):
        path.mkdir(parents=True)
    with (folder / "disk.img").open("wb") as image:
        image.truncate(DISK_BYTES)
    run("mkfs.ext4", "-q", "-F", str(folder / "disk.img"))
    run("mount", "-o", "loop", str(folder / "disk.img"), str(disk))
    try:
        device = run("findmnt", "--noheadings", "--output=SOURCE", str(disk)).strip().removeprefix("/dev/")
        (disk / "upper").mkdir()
        (disk / "work").mkdir()
        layers = f"lowerdir=/,upperdir={disk}/upper,workdir={disk}/work"
        run("mount", "-t", "overlay", "overlay", "-o", layers, str(root))
        try:
            yield device
        finally:
            until(lambda: run("umount", str(root)), f"{root} is in use")
    finally:
        until(lambda: run("umount", str(disk)), f"{disk} is in use")


@contextmanager
def mounted(name: str, command: Sequence[str], place: Path, shows: Path) -> Iterator[None]:
    """A FUSE file system, from when a file shows until it is ended."""
    with running(name, command, place.with_suffix(".log")) as server:
        try:
            wait_for(shows.exists, server)
            yield
        finally:
            with suppress(Unavailable):  # it may have unmounted itself
                run("umount", "--lazy", str(place))


def wait_for(done: Callable[[], bool], server: Running) -> None:
    """Ask until it is true, while the server lives."""
    give_up = time.monotonic() + SETTLE_SECONDS
    while not done():
        server.check()
        if time.monotonic() > give_up:
            raise Unavailable(f"{server.name} is not ready after {SETTLE_SECONDS:.0f} s; its log: {server.log}")
        time.sleep(POLL_SECONDS)


def until(done: Callable[[], object], what: str) -> None:
    """Call until it succeeds: processes that were killed take a moment to go."""
    give_up = time.monotonic() + SETTLE_SECONDS
    while True:
        try:
            done()
            return
        except (OSError, Unavailable) as error:
            if time.monotonic() > give_up:
                raise Unavailable(f"{what}: {error}") from None
            time.sleep(POLL_SECONDS)


def run(*command: str) -> str:
    """Run a command; its output, or `Unavailable` with its complaint."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - ours
    if done.returncode:
        raise Unavailable(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
