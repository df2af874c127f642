"""What is offered for a look below the threshold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver import audit
from receiver.audit import DAY_MS, NODE_MS, SLICE_MS
from receiver.columns import NodeName, Scores
from receiver.store import Label, Peak

DAY = 20_000 * DAY_MS
A, B = NodeName("", "a"), NodeName("", "b")


def label(name: NodeName, time_ms: int, created_ms: int) -> Label:
    return Label(name, time_ms - 10, time_ms + 10, False, "TN", "", "ann", created_ms)


@given(st.integers(0, 40_000), st.integers(0, 20_000))
def test_windows_are_one_of_each_half_hour_the_same_for_everybody_and_bounded_by_the_nodes(
    day: int, nodes: int
) -> None:
    found = audit.windows(day * DAY_MS, nodes)
    assert found == audit.windows(day * DAY_MS, nodes)
    assert [(since_ms - day * DAY_MS) // SLICE_MS for since_ms, _ in found] == list(range(48))
    assert all((since_ms - day * DAY_MS) % SLICE_MS + until_ms - since_ms <= SLICE_MS for since_ms, until_ms in found)
    assert all(0 < (until_ms - since_ms) * max(nodes, 1) <= NODE_MS * 2 for since_ms, until_ms in found)
    assert nodes > 55 or found[-1][1] == (day + 1) * DAY_MS


def test_the_highest_moments_are_of_different_nodes() -> None:
    peaks = [Peak(A, DAY + 1, 0.5), Peak(A, DAY + 2, 0.9), Peak(B, DAY + 3, 0.7)]
    assert [(one.name, one.time_ms) for one in audit.highest(peaks, [], DAY)] == [(A, DAY + 2), (B, DAY + 3)]


@pytest.mark.parametrize(("created_ms", "offered"), [(DAY + DAY_MS - 1, False), (DAY + DAY_MS, True)])
def test_a_moment_that_was_labelled_on_the_day_is_left_out_and_one_that_was_labelled_later_stays(
    created_ms: int, offered: bool
) -> None:
    said = label(A, DAY + 2, created_ms)
    found = audit.highest([Peak(A, DAY + 2, 0.9)], [said], DAY)
    assert bool(found) is offered
    assert [audit.answer_to(one, [said]) for one in found] == [said] * offered


def test_of_several_labels_the_one_made_last_answers() -> None:
    (offer,) = audit.highest([Peak(A, DAY + 2, 0.9)], [], DAY)
    said = [label(A, DAY + 2, DAY + DAY_MS + later) for later in (1, 9, 5)]
    assert audit.answer_to(offer, [*said, label(B, DAY + 2, DAY + 2 * DAY_MS)]) == said[1]


def test_a_row_is_drawn_by_chance_but_none_that_is_over_the_threshold() -> None:
    scores = replace(
        Scores.empty(1),
        node=np.array([0, 1], np.int32),
        time_ms=np.array([DAY, DAY + 1]),
        score=np.array([0.25, 1.5], np.float32),
    )
    found = [audit.drawn(scores, {0: A, 1: B}, [], DAY, at_ms) for at_ms in range(50)]
    assert {one.name if one else None for one in found} == {A, None}
    assert found == [audit.drawn(scores, {0: A, 1: B}, [], DAY, at_ms) for at_ms in range(50)]
