"""Whatever happens on the way, all of it arrives."""

from __future__ import annotations

from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver.errors import StoreUnavailable
from tests.store.data import CATALOGUE, FEATURES, NAN, T0, finished, scores_of, stored_rows, stored_scores
from tests.store.outbox.pair import PUMP, DiesAfterCommit, Pair

VALUES = st.one_of(st.just(NAN), st.integers(-3, 3).map(float))
STEPS = st.one_of(
    st.just("forward"),
    st.just("lose the connection"),
    st.tuples(st.just("row"), st.integers(0, 2), st.tuples(VALUES, VALUES, VALUES)),
    st.tuples(st.just("fill"), st.integers(0, 2), st.tuples(VALUES, VALUES, VALUES)),
    st.tuples(st.just("score"), st.integers(0, 2)),
)


def play(pair: Pair, steps: list[object], now_ms: int) -> None:
    """Write, forward, lose connections, in this order; drain at the end."""
    for step in steps:
        match step:
            case "forward":
                pair.outbox.forward_once(now_ms)
            case "lose the connection":
                pair.connect = lambda: DiesAfterCommit.open(pair.folder / "target.db", CATALOGUE)
                pair.outbox.close()
                with suppress(StoreUnavailable):
                    pair.outbox.forward_once(now_ms)
                pair.outbox.close()
                pair.connect = pair.open_target
            case "row", int(time), values:
                pair.source.write(finished(rows=[(1, T0 + time, values)]))  # type: ignore[list-item]
            case "fill", int(time), values:
                pair.source.write(finished(fills=[(1, T0 + time, values)]))  # type: ignore[list-item]
            case "score", int(time):
                pair.source.write(finished(scores=scores_of((1, T0 + time, time, (1, 2, 3), (0,) * 3))))
    pair.outbox.close()
    pair.drain(now_ms)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=12), block_rows=st.sampled_from([1, 2, 5000]))
def test_after_any_course_of_events_both_stores_have_the_same(
    tmp_path: Path, steps: list[object], block_rows: int
) -> None:
    with closing(Pair(tmp_path)) as pair, pytest.MonkeyPatch.context() as patch:
        patch.setattr("receiver.store.outbox.BLOCK_ROWS", block_rows)
        play(pair, steps, T0)
        assert pair.target is not None
        assert stored_rows(pair.target) == stored_rows(pair.source)
        assert stored_scores(pair.target) == stored_scores(pair.source)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.one_of(
            st.just("forward"),
            st.just("lose the connection"),
            st.tuples(st.sampled_from(["row", "fill"]), st.sets(st.integers(0, 2))),
        ),
        max_size=12,
    )
)
def test_pieces_of_one_row_make_it_whole_there_also_when_each_is_deleted_here_at_once(
    tmp_path: Path, steps: list[object]
) -> None:
    known: set[int] = set()
    course: list[object] = []
    for step in steps:
        match step:
            case str(kind), set(features):
                course.append((kind, 0, [float(i) if i in features else NAN for i in range(FEATURES)]))
                known |= features
            case _:
                course.append(step)
    whole = {(PUMP, T0): tuple(float(i) if i in known else None for i in range(FEATURES))}
    with closing(Pair(tmp_path, keep_ms=-1)) as pair:
        play(pair, course, T0 + 30_000)
        pair.drain(T0 + 60_000)
        assert pair.target is not None
        assert stored_rows(pair.target) == (whole if any(not isinstance(step, str) for step in steps) else {})
        assert stored_rows(pair.source) == {}
