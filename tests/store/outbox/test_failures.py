"""What fails is tried again and loses nothing, and what waits meanwhile is said."""

from __future__ import annotations

import pytest

from receiver.errors import StoreUnavailable
from receiver.store import Finished, RowStore
from receiver.store.embedded import EmbeddedStore
from receiver.store.embedded.pending import Pending, PendingReader, Watermarks
from receiver.store.outbox import FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS, Lag, retry_seconds
from tests.store.data import CATALOGUE, NAN, T0, finished, stored_rows, stored_scores
from tests.store.outbox.pair import PUMP, DiesAfterCommit, Pair, flush


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


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_retries_come_less_often_up_to_a_limit(jitter: float) -> None:
    waits = [retry_seconds(failures, jitter) for failures in range(1, 2000)]
    assert waits == sorted(waits)
    assert FIRST_RETRY_SECONDS / 2 <= waits[0] <= FIRST_RETRY_SECONDS
    assert LAST_RETRY_SECONDS / 2 <= waits[-1] <= LAST_RETRY_SECONDS
