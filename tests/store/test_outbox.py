"""The outbox moves every row, fill, score and label once or more, whatever happens on the way, and says what waits."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver.columns import NodeName
from receiver.detector.states import STATE_KEPT_MS
from receiver.errors import StoreUnavailable
from receiver.store import Finished, RowStore, States
from receiver.store.embedded import EmbeddedStore
from receiver.store.outbox import (
    CONNECTION_MS,
    FIRST_RETRY_SECONDS,
    LAST_RETRY_SECONDS,
    TRIM_INTERVAL_MS,
    Lag,
    Outbox,
    retry_seconds,
)
from receiver.store.pending import Pending, PendingReader, Watermarks
from tests.store.data import (
    CATALOGUE,
    DAY_MS,
    FEATURES,
    HOUR_MS,
    NAN,
    T0,
    finished,
    label,
    names,
    scores_of,
    stored_rows,
    stored_scores,
)

PUMP = NodeName("east", "pump-1")
_numbers = itertools.count()


class Pair:
    """A source file, a target (an embedded store too: the outbox knows only the protocol), and the outbox between."""

    def __init__(self, folder: Path, keep_ms: int = HOUR_MS) -> None:
        self.folder = folder / f"pair{next(_numbers)}"
        self.source = EmbeddedStore.open(self.folder / "source.db", CATALOGUE, "normal")
        self.source.add_nodes(names(3))
        self.target: EmbeddedStore | None = None
        self.connect: Callable[[], RowStore] = self.open_target
        self.outbox = Outbox(self.folder / "source.db", CATALOGUE, lambda: self.connect(), keep_ms, 30 * DAY_MS)

    def open_target(self) -> RowStore:
        self.target = EmbeddedStore.open(self.folder / "target.db", CATALOGUE, "normal")
        return self.target

    def drain(self, now_ms: int = T0) -> int:
        moved = 0
        while step := self.outbox.forward_once(now_ms):
            moved += step
        return moved

    def close(self) -> None:
        self.outbox.close()
        self.source.close()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """A source and a target."""
    with closing(Pair(tmp_path)) as made:
        yield made


def flush(*times: int) -> Finished:
    """A row and a score for pump 1 at each of these times."""
    return finished(
        [(1, time_ms, (time_ms - T0, NAN, 3)) for time_ms in times],
        scores=scores_of(*((1, time_ms, 0.5, (1, NAN, 3), (NAN,) * 3) for time_ms in times)),
    )


def test_rows_scores_and_labels_arrive(pair: Pair) -> None:
    pair.source.write(flush(T0, T0 + 1))
    pair.source.add_label(replace(label(PUMP, T0, T0 + 5), verdict="TP"))
    assert pair.drain() == 5
    assert pair.target is not None
    assert stored_rows(pair.target) == stored_rows(pair.source)
    assert stored_scores(pair.target) == stored_scores(pair.source)
    assert pair.target.labels(0, 1 << 50) == pair.source.labels(0, 1 << 50)


def test_what_has_arrived_is_not_passed_on_again(pair: Pair) -> None:
    pair.source.write(flush(T0))
    assert pair.drain() == 2
    pair.source.write(flush(T0))  # says nothing new
    assert pair.drain() == 0
    pair.source.write(finished([(1, T0, (NAN, 2, NAN))]))
    assert pair.drain() == 1


def test_an_outbox_that_starts_later_goes_on_where_the_last_one_ended(pair: Pair) -> None:
    pair.source.write(flush(T0))
    pair.drain()
    pair.outbox.close()
    pair.source.write(flush(T0 + 1))
    assert pair.drain() == 2


def test_scores_of_several_models_arrive_with_their_models(pair: Pair) -> None:
    for i, version in enumerate(("v1", "v2", "v1")):
        pair.source.write(finished(scores=scores_of((1, T0 + i, i, (0,) * 3, (0,) * 3)), model_version=version))
    pair.drain()
    assert pair.target is not None
    for i, version in enumerate(("v1", "v2", "v1")):
        pair.target.add_label(label(PUMP, T0 + i, T0 + i))
        (found,) = pair.target.labels(T0 + i, T0 + i + 1)
        assert (found.score, found.model_version) == (i, version)


def test_long_backlogs_go_in_bounded_blocks(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.store.outbox.BLOCK_ROWS", 4)
    for i in range(10):
        pair.source.write(finished([(1, T0 + i, (i, i, i))]))
    assert [pair.outbox.forward_once(T0) for _ in range(4)] == [4, 4, 2, 0]
    assert pair.target is not None
    assert stored_rows(pair.target) == stored_rows(pair.source)


def test_a_row_that_changes_after_it_was_read_ahead_comes_again(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.store.outbox.BLOCK_ROWS", 1)
    pair.source.write(finished([(1, T0 + i, (i, NAN, i)) for i in range(3)]))
    assert pair.outbox.forward_once(T0) == 1  # and the next one is read
    pair.source.write(finished([(1, T0 + 1, (7, 7, NAN))]))
    assert pair.drain() == 3
    assert pair.target is not None
    assert stored_rows(pair.target) == stored_rows(pair.source)


class RefusesTheSecond(EmbeddedStore):
    """Takes one block."""

    taken = 0

    def write(self, finished: Finished) -> None:
        if self.taken:
            raise StoreUnavailable("cut off")
        super().write(finished)
        self.taken = 1


def test_what_was_read_ahead_is_read_anew_after_a_failure(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.store.outbox.BLOCK_ROWS", 1)
    pair.connect = lambda: RefusesTheSecond.open(pair.folder / "target.db", CATALOGUE)
    pair.source.write(finished([(1, T0 + i, (i, i, i)) for i in range(4)]))
    assert pair.outbox.forward_once(T0) == 1
    with pytest.raises(StoreUnavailable):
        pair.outbox.forward_once(T0)
    assert pair.outbox.lag.rows_waiting == 3
    pair.connect = pair.open_target
    assert pair.drain() == 3
    assert pair.target is not None
    assert stored_rows(pair.target) == stored_rows(pair.source)


class UnreadableBehind(PendingReader):
    """Of a file whose later pages cannot be read."""

    def pending(self, limit: int, behind: Watermarks | None = None) -> Pending:
        if behind is not None:
            raise StoreUnavailable("the next page cannot be read")
        return super().pending(limit)


def test_a_block_is_passed_on_though_the_next_one_cannot_be_read(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.store.outbox.BLOCK_ROWS", 1)
    monkeypatch.setattr("receiver.store.outbox.PendingReader", UnreadableBehind)
    pair.source.write(finished([(1, T0 + i, (i, i, i)) for i in range(3)]))
    assert [pair.outbox.forward_once(T0) for _ in range(3)] == [1, 1, 1]
    assert pair.outbox.lag == Lag(0, None, None, success_ms=T0)


def test_rows_that_were_passed_on_are_deleted_when_they_are_old(pair: Pair) -> None:
    pair.source.write(flush(T0 - 2 * HOUR_MS, T0 - HOUR_MS, T0))
    pair.drain(T0)
    assert [time_ms for _, time_ms in stored_rows(pair.source)] == [T0 - HOUR_MS, T0]
    assert [time_ms for _, time_ms in stored_scores(pair.source)] == [T0 - HOUR_MS, T0]
    assert pair.target is not None
    assert len(stored_rows(pair.target)) == len(stored_scores(pair.target)) == 3


def test_rows_that_wait_are_never_deleted(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.store.outbox.BLOCK_ROWS", 1)
    old = T0 - 2 * HOUR_MS
    pair.source.write(finished([(1, old + i, (i, i, i)) for i in range(3)]))
    for step, left in enumerate((2, 1, 0)):
        assert pair.outbox.forward_once(T0 + step * TRIM_INTERVAL_MS) == 1
        assert len(stored_rows(pair.source)) == left


def test_numbers_go_on_when_everything_was_passed_on_and_deleted(pair: Pair) -> None:
    pair.source.write(flush(T0 - 2 * HOUR_MS))
    pair.drain()
    assert stored_rows(pair.source) == {}
    pair.source.close()
    pair.source = EmbeddedStore.open(pair.source.path, CATALOGUE)
    pair.source.write(flush(T0))
    assert pair.drain() == 2


def test_a_late_piece_of_a_row_that_is_gone_here_only_fills_there(pair: Pair) -> None:
    old = T0 - 2 * HOUR_MS
    pair.source.write(finished([(1, old, (1, NAN, 3))]))
    pair.drain()
    assert stored_rows(pair.source) == {}
    pair.source.write(finished(fills=[(1, old, (10, 20, NAN))]))
    pair.drain()
    assert pair.target is not None
    assert stored_rows(pair.target) == {(PUMP, old): (1, 20, 3)}


def test_what_waits_is_said_while_the_target_is_away(pair: Pair) -> None:
    def away() -> RowStore:
        raise StoreUnavailable("TimescaleDB: connection refused")

    pair.connect = away
    for times in ([T0 + 5, T0 + 3], [T0 + 4]):
        pair.source.write(flush(*times))
        with pytest.raises(StoreUnavailable):
            pair.outbox.forward_once(T0)
    assert pair.outbox.lag == Lag(3, T0 + 3, "TimescaleDB: connection refused")
    pair.connect = pair.open_target
    pair.drain()
    assert pair.outbox.lag == Lag(0, None, None, success_ms=T0)
    assert pair.target is not None
    assert stored_rows(pair.target) == stored_rows(pair.source)


def test_a_target_that_is_away_at_start_is_said_before_anything_waits(pair: Pair) -> None:
    def away() -> RowStore:
        raise StoreUnavailable("away")

    pair.connect = away
    with pytest.raises(StoreUnavailable):
        pair.outbox.forward_once(T0)
    assert pair.outbox.lag == Lag(0, None, "away")


class DiesAfterCommit(EmbeddedStore):
    """Commits, and does not live to say so."""

    def write(self, finished: Finished) -> None:
        super().write(finished)
        raise StoreUnavailable("cut off after the commit")


def test_a_crash_between_the_commit_there_and_the_watermark_here_does_no_harm(pair: Pair) -> None:
    pair.source.write(flush(T0, T0 + 1))
    pair.connect = lambda: DiesAfterCommit.open(pair.folder / "target.db", CATALOGUE)
    with pytest.raises(StoreUnavailable):
        pair.outbox.forward_once(T0)
    pair.source.write(finished([(1, T0, (7, 7, NAN))], fills=[(1, T0 + 1, (8, 8, 8))]))
    pair.connect = pair.open_target
    pair.drain()
    assert pair.target is not None
    assert stored_rows(pair.target) == stored_rows(pair.source) == {(PUMP, T0): (7, 7, 3), (PUMP, T0 + 1): (1, 8, 3)}
    assert stored_scores(pair.target) == stored_scores(pair.source)


def test_what_is_older_than_the_retention_is_deleted_there_once_an_hour(pair: Pair) -> None:
    pair.source.write(flush(T0))
    pair.drain(T0)
    later = T0 + 30 * DAY_MS
    pair.source.write(flush(later + 1))
    pair.drain(later + 1)
    assert pair.target is not None
    assert [time_ms for _, time_ms in stored_rows(pair.target)] == [later + 1]
    pair.source.write(flush(T0 + 2))  # arrives too late for this hour's deletion
    pair.drain(later + HOUR_MS)
    assert len(stored_rows(pair.target)) == 2
    pair.drain(later + 1 + HOUR_MS)
    assert [time_ms for _, time_ms in stored_rows(pair.target)] == [later + 1]


def test_states_of_nodes_that_are_silent_for_days_are_deleted_there(pair: Pair) -> None:
    states = States("v1", np.array([1, 2], np.int32), np.array([T0, T0 + DAY_MS]), np.ones((2, 1), np.float32))
    pair.source.save_states(states)
    pair.drain(T0)
    pair.drain(T0 + STATE_KEPT_MS + HOUR_MS)
    assert pair.target is not None
    left = pair.target.load_states("v1")
    assert left is not None
    assert left.node.tolist() == [2]


def test_nothing_is_kept_of_nodes_that_are_forgotten(tmp_path: Path) -> None:
    with closing(Pair(tmp_path, keep_ms=-1)) as pair:
        for number in range(10, 60):
            now_ms = T0 + number * HOUR_MS
            pair.source.add_nodes({number: NodeName("east", f"pod-{number}")})
            pair.source.write(finished([(number, now_ms, (1, 2, 3))]))
            pair.source.save_states(States("v1", np.array([number], "i4"), np.array([now_ms]), np.ones((1, 1), "f4")))
            pair.drain(now_ms)
            pair.source.forget_nodes(set(range(number)))
            pair.source.forget_states(now_ms)
        pair.drain(now_ms + CONNECTION_MS)
        assert pair.outbox._states_ms.keys() == {58, 59}
        assert pair.outbox._named == set()
        assert pair.target is not None
        assert len(stored_rows(pair.target)) == 50


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_retries_come_less_often_up_to_a_limit(jitter: float) -> None:
    waits = [retry_seconds(failures, jitter) for failures in range(1, 2000)]
    assert waits == sorted(waits)
    assert FIRST_RETRY_SECONDS / 2 <= waits[0] <= FIRST_RETRY_SECONDS
    assert LAST_RETRY_SECONDS / 2 <= waits[-1] <= LAST_RETRY_SECONDS


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
