"""What the attacks promise: where they go, how long, how much."""

import re

import pytest

from models.scenarios.attacks import KINDS, Kind
from models.scenarios.node import OF_THE_MACHINE, QUOTA_CPUS, Node, Outside
from models.scenarios.session import needed
from receiver import catalogue

NODE = Node("n", "10.77.128.11", "group/n", 4711)
ATTACKER = Outside("out", "10.77.128.3", "group/attacker")


@pytest.fixture(params=KINDS.values(), ids=list(KINDS))
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


def commands(kind: Kind, strength: float) -> list[list[str]]:
    return [list(command) for command in kind.commands(NODE, ATTACKER, strength, 42)]


def test_every_command_is_ended_after_its_seconds(kind: Kind) -> None:
    for strength in kind.strengths:
        for command in commands(kind, strength):
            at = command.index("timeout")
            assert command[at : at + 3] == ["timeout", "--kill-after=2", "42"]


def test_every_command_runs_in_the_node_or_on_the_attackers_machine_and_never_on_the_machine(kind: Kind) -> None:
    for command in commands(kind, kind.strengths[0]):
        text = " ".join(command)
        assert "--target=4711" in text or "ip netns exec out" in text


def test_every_command_runs_within_a_cpu_quota(kind: Kind) -> None:
    for command in commands(kind, kind.strengths[0]):
        assert "/cpu/group/n/work/cgroup.procs" in command[2] or "/cpu/group/attacker/cgroup.procs" in command[2]


def test_every_address_is_one_of_the_cluster(kind: Kind) -> None:
    for command in commands(kind, kind.strengths[-1]):
        addresses = set(re.findall(r"\d+\.\d+\.\d+\.\d+", " ".join(command)))
        assert addresses <= {NODE.address, ATTACKER.address}


def test_strengths_rise_and_each_makes_another_attack(kind: Kind) -> None:
    assert list(kind.strengths) == sorted(set(kind.strengths))
    assert len({str(commands(kind, strength)) for strength in kind.strengths}) == len(kind.strengths)


def test_every_kind_moves_features_of_the_catalogue_that_a_node_has_of_its_own(kind: Kind) -> None:
    assert set(kind.moves) <= set(catalogue.load().feature_names) - set(OF_THE_MACHINE)


def test_a_share_of_the_cpu_is_one_of_the_nodes_quota() -> None:
    (command,) = commands(KINDS["cpu-stress"], 1.0)
    assert command[-2:] == ["--cpu-load", str(round(100 * QUOTA_CPUS))]


def test_all_tools_are_looked_for_before_a_session_begins(kind: Kind) -> None:
    assert set(kind.tools) <= set(needed())
