"""The attacks' real commands, on a real node: each runs until its time is over, and its tool understands it."""

import subprocess
import time
from collections.abc import Iterator

import pytest

from models.scenarios.attacks import KINDS
from models.scenarios.node import Cluster, cluster
from models.scenarios.session import ENDED_STATUSES

SECONDS = 2
# The others need a web server or a sink, which a session has.
ALONE = ("cpu-stress", "port-scan", "network-dos", "crash-loop")

pytestmark = pytest.mark.real("netns", "groups", "lxcfs", "stress-ng", "nmap", "hping3")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(["n"], tmp_path_factory.mktemp("nodes")) as one:
        yield one


@pytest.mark.parametrize("name", ALONE)
def test_an_attack_runs_for_its_seconds_and_no_longer(made: Cluster, name: str) -> None:
    kind = KINDS[name]
    for command in kind.commands(made.nodes[0], made.attacker, kind.strengths[0], SECONDS):
        began = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode in ENDED_STATUSES, done.stderr
        assert SECONDS - 0.2 <= time.monotonic() - began < SECONDS + 4
