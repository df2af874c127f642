"""Of a set of replicas one is listened to."""

from __future__ import annotations

import numpy as np
import pytest

from receiver import replicas as replicas_module
from receiver.errors import LimitReached
from receiver.replicas import FAIL_OVER_MS, NO_REPLICA, Replicas

PAIR = ("prod", "monitoring/k8s")


def taken(replicas: Replicas, name: str, now_ms: int, replica_set: tuple[str, ...] = PAIR) -> bool:
    return bool(replicas.accepts(np.array([replicas.number_of(replica_set, name)], np.int32), now_ms).all())


def test_the_first_replica_that_sends_is_elected_and_the_other_is_not_taken() -> None:
    replicas = Replicas()
    assert taken(replicas, "a", 0)
    assert not taken(replicas, "b", 1)
    assert replicas.elected() == [(PAIR, "a")]


def test_the_elected_replica_stays_while_it_sends() -> None:
    replicas = Replicas()
    for now_ms in range(0, 10 * FAIL_OVER_MS, FAIL_OVER_MS // 2):
        assert taken(replicas, "a", now_ms)
        assert not taken(replicas, "b", now_ms + 1)


def test_another_steps_in_after_the_fail_over_time_and_then_stays() -> None:
    replicas = Replicas()
    assert taken(replicas, "a", 0)
    assert not taken(replicas, "b", FAIL_OVER_MS - 1)
    assert taken(replicas, "b", FAIL_OVER_MS)
    assert not taken(replicas, "a", FAIL_OVER_MS + 1)
    assert replicas.fail_overs == 1


def test_each_set_has_its_own_replica() -> None:
    replicas = Replicas()
    assert taken(replicas, "a", 0)
    assert taken(replicas, "b", 0, ("dev", "monitoring/k8s"))


def test_what_names_no_replica_is_always_taken() -> None:
    replicas = Replicas()
    assert taken(replicas, "a", 0)
    assert replicas.number_of(PAIR, "") == NO_REPLICA
    assert taken(replicas, "", 0)


def test_samples_of_several_replicas_in_one_request_are_told_apart() -> None:
    replicas = Replicas()
    numbers = [replicas.number_of(PAIR, name) for name in ("a", "b", "")]
    taken_of = replicas.accepts(np.array([*numbers, *numbers], np.int32), 0)
    assert taken_of.tolist() == [True, False, True] * 2


def test_a_clock_that_is_set_back_does_not_put_a_fail_over_off() -> None:
    replicas = Replicas()
    assert taken(replicas, "a", 10**9)
    assert not taken(replicas, "b", 0)
    assert taken(replicas, "b", FAIL_OVER_MS)


def test_a_replica_over_the_limit_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicas_module, "MAX_REPLICAS", 1)
    replicas = Replicas()
    replicas.number_of(PAIR, "a")
    with pytest.raises(LimitReached, match="'b'"):
        replicas.number_of(PAIR, "b")
