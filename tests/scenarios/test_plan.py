"""A session's plan: what may happen, before anything does."""

from collections import Counter
from itertools import pairwise

import pytest

from models.scenarios.attacks import KINDS
from models.scenarios.plan import LARGEST_ATTACK_SHARE, NORMAL_SHARE, QUIET_SECONDS, TAIL_SECONDS, Plan, plan
from receiver.errors import DataError

NODES = [f"n{number}" for number in range(6)]
MINUTES = 25


@pytest.fixture(params=[1, 2, 3])
def planned(request: pytest.FixtureRequest) -> Plan:
    return plan(request.param, NODES, MINUTES)


def test_the_same_seed_gives_the_same_plan() -> None:
    assert plan(5, NODES, MINUTES) == plan(5, NODES, MINUTES)


def test_another_seed_gives_another_plan() -> None:
    assert plan(5, NODES, MINUTES).episodes != plan(6, NODES, MINUTES).episodes


def test_every_kind_comes_equally_often_and_six_times_in_25_minutes_of_six_nodes(planned: Plan) -> None:
    counts = Counter(episode.kind for episode in planned.episodes)
    assert set(counts) == set(KINDS)
    assert len(set(counts.values())) == 1
    assert min(counts.values()) >= 6


def test_every_kind_comes_in_every_strength(planned: Plan) -> None:
    for kind in KINDS.values():
        assert {one.strength for one in planned.episodes if one.kind == kind.name} == set(kind.strengths)


def test_every_kind_comes_to_several_nodes(planned: Plan) -> None:
    for name in KINDS:
        assert len({one.node for one in planned.episodes if one.kind == name}) >= 4


def test_fewer_rounds_leave_the_rest_of_the_time_quiet() -> None:
    episodes = plan(1, NODES, 2 * MINUTES, most_rounds=4).episodes
    assert Counter(episode.kind for episode in episodes) == dict.fromkeys(KINDS, 4)


def test_a_node_is_quiet_between_two_attacks(planned: Plan) -> None:
    for node in NODES:
        own = [one for one in planned.episodes if one.node == node]
        for earlier, later in pairwise(own):
            assert later.start_seconds >= earlier.start_seconds + earlier.seconds + QUIET_SECONDS - 1e-6


def test_attacks_take_no_more_of_a_nodes_time_than_they_may(planned: Plan) -> None:
    for node in NODES:
        attacked = sum(one.seconds for one in planned.episodes if one.node == node)
        assert attacked <= LARGEST_ATTACK_SHARE * planned.seconds


def test_the_first_part_has_no_attack_and_the_last_ends_in_time(planned: Plan) -> None:
    assert planned.episodes[0].start_seconds >= NORMAL_SHARE * planned.seconds
    assert max(one.start_seconds + one.seconds for one in planned.episodes) <= planned.seconds - TAIL_SECONDS


def test_every_episode_keeps_to_its_kinds_length(planned: Plan) -> None:
    for one in planned.episodes:
        shortest, longest = KINDS[one.kind].seconds
        assert shortest <= one.seconds <= longest


def test_time_for_less_than_a_round_is_refused() -> None:
    with pytest.raises(DataError, match="2 minutes with 1 nodes hold no round of all 8 kinds of attack"):
        plan(1, ["n"], 2)
