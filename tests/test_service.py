"""The pipeline on its thread: group commit, refusals, turns, stopping, a damaged store."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from receiver.columns import NodeName
from receiver.errors import DecodeError, StoreUnavailable, Unavailable
from receiver.rows.arriving import FEWEST_CELLS
from receiver.rows.assembler import TURN_ROWS
from receiver.service import Service
from receiver.store.embedded import sqlite
from receiver.wire import Batch
from receiver.worker import MAX_GROUP
from tests.servers.process import wait_until
from tests.serving import request, running, write
from tests.wire.requests import Series, body, series


def test_a_written_sample_is_exposed_as_a_score(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        write(service, request(service.now_ms()))
        wait_until(lambda: service.exposition.snapshot.names == (NodeName("", "a:9100"),), "a score")


@pytest.mark.parametrize("step_seconds", [-3600, 3600])
def test_rows_wait_by_a_clock_that_does_not_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step_seconds: int
) -> None:
    with running(tmp_path) as service:
        true_ns, before_ms = time.time_ns, service.clocks.steady_ms()
        monkeypatch.setattr("receiver.clocks.time.time_ns", lambda: true_ns() + step_seconds * 10**9)
        assert abs(service.now_ms() - true_ns() // 10**6 - step_seconds * 1000) < 1000
        assert 0 <= service.clocks.steady_ms() - before_ms < 10_000
        write(service, request(service.now_ms()))
        wait_until(lambda: service.exposition.snapshot.score.tolist() == pytest.approx([0.01]), "the score")


def test_requests_that_wait_together_are_all_journalled(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        now_ms = service.now_ms()
        write(service, *(request(now_ms, f"n{number}") for number in range(3 * MAX_GROUP)))
        wait_until(lambda: len(service.exposition.snapshot.names) == 3 * MAX_GROUP, "all scores")


def test_of_requests_that_wait_together_each_has_its_own_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path) as service:
        decode = service._pipeline.decode

        def faulty(content: bytes, headers: dict[str, str], now_ms: int) -> Batch:
            if not content:
                raise ZeroDivisionError  # a fault of ours
            if content == b"large":
                raise MemoryError
            return decode(content, headers, now_ms)

        monkeypatch.setattr(service._pipeline, "decode", faulty)
        good, bad, fault, large = write(service, request(service.now_ms()), b"no snappy", b"", b"large")
        assert isinstance(good, Batch)
        assert isinstance(bad, DecodeError)
        assert isinstance(fault, ZeroDivisionError)
        assert isinstance(large, Unavailable)  # to be sent again: another time there may be room
        assert not service.worker.failed


def test_of_requests_that_wait_together_none_is_taken_for_which_those_before_it_leave_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receiver.worker.MAX_GROUP_SAMPLES", 1)
    with running(tmp_path, max_open_samples=FEWEST_CELLS) as service:
        first, second = write(service, request(service.now_ms(), "a"), request(service.now_ms(), "b"))
        assert isinstance(first, Batch)
        assert isinstance(second, Unavailable)
        assert "max_open_samples" in str(second)


def test_requests_wait_up_to_a_limit_and_the_others_are_to_be_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path) as service:
        one = request(service.now_ms())
        monkeypatch.setattr("receiver.worker.MAX_WAITING_BYTES", 2 * len(one))
        first, second, third = write(service, one, one, one)
        assert isinstance(first, Batch)
        assert isinstance(second, Batch)
        assert isinstance(third, Unavailable)
        assert isinstance(write(service, one)[0], Batch)


def backlog(service: Service, rows: int) -> bytes:
    newest_ms = service.now_ms() - 1000
    (one,) = [series("node_load1", instance="a:9100")]
    return body(1, [Series(one.labels, [(1.0, newest_ms - step) for step in reversed(range(rows))])])


def after_the_first_block(service: Service, monkeypatch: pytest.MonkeyPatch, do: Callable[[], None]) -> None:
    """Have something done on the pipeline's thread when it has moved on a part of what can leave."""
    flush_block, done = service._pipeline.flush_block, threading.Event()

    def flush_and_do(now_ms: int) -> tuple[int, bool]:
        scored, more = flush_block(now_ms)
        if more and not done.is_set():
            done.set()
            do()
        return scored, more

    monkeypatch.setattr(service._pipeline, "flush_block", flush_and_do)


def test_many_rows_of_one_node_keep_no_order_and_no_request_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[int] = []
    with running(tmp_path) as service:

        def note() -> None:
            left.append(service._pipeline.assembler.open_rows)

        def hand_over() -> None:
            threading.Thread(target=service.worker.order, args=[note], daemon=True).start()
            wait_until(lambda: not service.worker._queue.empty(), "the order to wait")

        after_the_first_block(service, monkeypatch, hand_over)
        write(service, backlog(service, 3 * TURN_ROWS))
        wait_until(lambda: left, "the order to be done")
    assert left == [2 * TURN_ROWS]


def test_what_a_stop_has_no_time_for_is_scored_once_after_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = 5 * TURN_ROWS
    with running(tmp_path) as service:
        monkeypatch.setattr("receiver.worker.STOP_FLUSH_MS", 0)
        after_the_first_block(service, monkeypatch, service.worker._stopping.set)
        write(service, backlog(service, rows))
        wait_until(service.worker._ended.is_set, "the stop")
        assert service._pipeline.assembler.open_rows == rows - 2 * TURN_ROWS
    with running(tmp_path) as service:
        wait_until(lambda: service.exposition.snapshot.score.tolist() == pytest.approx([rows / 100]), "the last score")
        history = service.history(0, 2**62, [0]).score.tolist()
    assert history == pytest.approx([count / 100 for count in range(1, rows + 1)])


def test_a_service_that_stopped_in_order_goes_on_where_it_was(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        first_ms = service.now_ms() - 1000
        write(service, request(first_ms))
        wait_until(lambda: service.exposition.snapshot.score.tolist() == pytest.approx([0.01]), "the first score")
    with running(tmp_path) as service:
        assert service.exposition.snapshot.score.tolist() == pytest.approx([0.01])
        write(service, request(first_ms + 1000))
        wait_until(lambda: service.exposition.snapshot.score.tolist() == pytest.approx([0.02]), "the second score")

        def stored() -> list[float]:
            history: list[float] = service.history(first_ms, first_ms + 2000, [0]).score.tolist()
            return history

        wait_until(lambda: stored() == pytest.approx([0.01, 0.02]), "both scores in the store")


def test_a_request_after_the_stop_is_to_be_sent_again(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        pass
    (answer,) = write(service, request(service.now_ms()))
    assert isinstance(answer, Unavailable)


@pytest.mark.parametrize("kind", ["request", "order"])
def test_what_is_handed_over_while_the_thread_ends_is_turned_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    with running(tmp_path) as service:
        worker = service.worker
        check = worker._check_running

        def check_and_then_end() -> None:
            check()
            worker.stop()

        monkeypatch.setattr(worker, "_check_running", check_and_then_end)
        answers: list[object] = []

        def hand_over() -> None:
            if kind == "request":
                answers.extend(write(service, request(service.now_ms())))
            else:
                with pytest.raises(Unavailable) as refused:
                    worker.order(lambda: None)
                answers.append(refused.value)

        waiting = threading.Thread(target=hand_over, daemon=True)
        waiting.start()
        wait_until(lambda: answers, "an answer")
        assert isinstance(answers[0], Unavailable)


def test_an_unforeseen_error_ends_the_service_and_loses_nothing_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: int) -> int:
        raise ZeroDivisionError

    ended = threading.Event()
    with running(tmp_path) as service:
        service.worker.on_failure = ended.set
        write(service, request(service.now_ms()))
        monkeypatch.setattr(service._pipeline, "flush_block", broken)
        assert ended.wait(10)
        assert service.worker.failed
        assert service.status()[0].state == "down"
        assert isinstance(write(service, request(service.now_ms()))[0], Unavailable)
    with running(tmp_path) as service:
        wait_until(lambda: service.exposition.snapshot.names, "the score of what was acknowledged")


def test_a_journal_that_is_locked_answers_503_and_says_so_until_it_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_SECONDS", 0.1)
    with running(tmp_path) as service:
        other = sqlite3.connect(service.settings.embedded_path)
        other.execute("BEGIN IMMEDIATE")
        (answer,) = write(service, request(service.now_ms()))
        assert isinstance(answer, StoreUnavailable)
        assert service.status()[0].state == "down"
        other.rollback()
        other.close()
        assert not isinstance(write(service, request(service.now_ms()))[0], Exception)
        assert service.status()[0].state == "ok"
