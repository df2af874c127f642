"""Real nodes on this machine: what each does shows in its own metrics, and not in its neighbour's."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.scenarios.isolation import GROUPS
from models.scenarios.node import Cluster, Node, cluster

pytestmark = pytest.mark.real("netns", "groups", "lxcfs", "stress-ng")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(["a", "b"], tmp_path_factory.mktemp("nodes")) as made:
        yield made


def said(node: Node, command: str) -> str:
    return subprocess.run(node.argv("sh", "-c", command), capture_output=True, text=True, check=True).stdout


def idle_share(node: Node, since: tuple[float, float]) -> float:
    at, idle = cpu(node)
    return (idle - since[1]) / (at - since[0])


def cpu(node: Node) -> tuple[float, float]:
    idle_ticks = said(node, "head -n 1 /proc/stat").split()[4]
    return time.monotonic(), int(idle_ticks) / 100


def load(node: Node) -> float:
    return float(said(node, "cat /proc/loadavg").split()[0])


def forks(node: Node) -> int:
    return int(said(node, "grep processes /proc/stat").split()[1])


def test_a_node_under_stress_is_busy_and_its_neighbour_idle(pair: Cluster) -> None:
    stressed, calm = pair.nodes
    before = cpu(stressed), cpu(calm)
    subprocess.run(stressed.argv("stress-ng", "--quiet", "--cpu", "2", "--timeout", "6"), check=True)
    assert idle_share(stressed, before[0]) < 0.4
    assert idle_share(calm, before[1]) > 0.8


def test_load_is_of_the_node_that_has_it(pair: Cluster) -> None:
    stressed, calm = pair.nodes
    load(stressed), load(calm)  # lxcfs follows a node's load, every five seconds, from when it is first asked
    subprocess.run(stressed.argv("stress-ng", "--quiet", "--cpu", "4", "--timeout", "11"), check=True)
    assert load(stressed) > load(calm) + 0.1


def test_forks_are_of_the_node_that_makes_them(pair: Cluster) -> None:
    forking, calm = pair.nodes
    before = forks(forking), forks(calm)
    said(forking, "for i in $(seq 100); do /bin/true; done")
    assert 100 <= forks(forking) - before[0] < 120
    assert forks(calm) - before[1] < 20


def test_memory_is_of_the_node_that_takes_it(pair: Cluster) -> None:
    taking, calm = pair.nodes
    # tail says nothing before it has all of it.
    command = (
        "head -c 100000000 /dev/zero | tail -c 99999999 "
        "| (head -c 1 > /dev/null; grep MemAvailable /proc/meminfo; cat > /dev/null)"
    )
    left_kb = int(said(taking, command).split()[1])
    assert int(said(calm, "grep MemAvailable /proc/meminfo").split()[1]) - left_kb > 80_000


def test_what_a_node_writes_is_on_its_own_disk_only(pair: Cluster) -> None:
    writing, calm = pair.nodes
    sectors = "awk '{print $10}' /proc/diskstats"
    before = int(said(writing, sectors)), int(said(calm, sectors))
    said(writing, "head -c 20000000 /dev/urandom > /written; sync -f /written")
    assert (int(said(writing, sectors)) - before[0]) * 512 > 20_000_000
    assert (int(said(calm, sectors)) - before[1]) * 512 < 5_000_000
    assert not Path("/written").exists()
    assert said(calm, "ls /") == said(writing, "rm /written; ls /")


def test_open_files_are_of_the_node_that_holds_them(pair: Cluster) -> None:
    holding, calm = pair.nodes
    python = "import sys; held = [open('/dev/null') for _ in range(200)]; print(open('/proc/sys/fs/file-nr').read())"
    held = int(said(holding, f'python3 -IS -c "{python}"').split()[0])
    assert held - int(said(calm, "cat /proc/sys/fs/file-nr").split()[0]) > 150


def test_a_node_sees_its_own_processes_and_its_own_network_only(pair: Cluster) -> None:
    node = pair.nodes[0]
    assert str(os.getpid()) not in said(node, "ls /proc").split()
    assert said(node, "ls /sys/class/net").split() == ["eth0", "lo"]


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    def left(made: Cluster) -> tuple[bool, bool, bool]:
        namespaces = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout.split()
        group = GROUPS / "memory" / made.nodes[0].group
        return made.attacker.namespace in namespaces, group.exists(), str(tmp_path) in Path("/proc/mounts").read_text()

    with cluster(["only"], tmp_path) as made:
        assert left(made) == (True, True, True)
    assert left(made) == (False, False, False)
