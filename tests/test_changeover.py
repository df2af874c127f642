"""Another model takes over: what it knows then, what is scored by whom, and what happens where it cannot."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver import changeover, learner
from receiver.changeover import Changeover
from receiver.clocks import Clocks
from receiver.columns import NodeName
from receiver.detector import Watch
from receiver.errors import ModelError, StoreUnavailable, Unavailable
from receiver.learner import LOOK_BACK_SECONDS
from receiver.pipeline import Pipeline
from receiver.relearning import Relearning
from receiver.store import Label
from receiver.store.embedded import EmbeddedReader
from tests import counting_model
from tests.running import CATALOGUE, DEADLINE_MS, STEP_MS, running, scrape
from tests.wire.requests import HEADERS, NOW_MS, body, series

HOUR_STEPS = 3600 * 1000 // STEP_MS

Order = Callable[[Callable[[], None]], None]


class Stopped(Clocks):
    """Clocks that stand at the last step."""

    wall = NOW_MS

    def wall_ms(self) -> int:
        return self.wall


def at_once(run: Callable[[], None]) -> None:
    run()


def changer(pipeline: Pipeline, order: Order = at_once, wall_ms: int = NOW_MS) -> Changeover:
    clocks = Stopped()
    clocks.wall = wall_ms
    watch = Watch(pipeline.states.detector, CATALOGUE.feature_names)
    return Changeover(pipeline, watch, order, clocks)


def send(pipeline: Pipeline, step: int, *instances: str) -> list[float]:
    """One row of each node; the scores that are shown then."""
    at_ms = NOW_MS + step * STEP_MS
    for instance in instances or ("a:9100",):
        pipeline.ingest(body(1, scrape(step, instance)), HEADERS[1], at_ms)
    pipeline.flush(at_ms + DEADLINE_MS)
    shown: list[float] = pipeline.exposition.snapshot.score.tolist()
    return shown


def replace(folder: Path, version: str = "counting-2", offset: float = 0.5) -> None:
    counting_model.write(folder / "model.onnx", CATALOGUE, version=version, offset=offset)


@contextmanager
def fed(folder: Path, steps: int = 3) -> Iterator[Pipeline]:
    """A pipeline that has scored so many rows of one node."""
    with running(folder, max_sample_age_seconds=10**6) as pipeline:
        for step in range(steps):
            send(pipeline, step)
        yield pipeline


def test_the_new_model_knows_every_row_before_it_and_shows_itself_at_once(tmp_path: Path) -> None:
    with fed(tmp_path) as pipeline:
        replace(tmp_path)
        changer(pipeline).step()
        text = pipeline.exposition.render("")[0].decode()
        assert 'anomaly_model_info{detector="counting",role="active",version="counting-2"} 1.0' in text
        assert 'anomaly_model_info{detector="counting",role="before",version="counting-1"} 0.0' in text
        assert "\nnodescore_model_changes_total 1.0\n" in text
        assert send(pipeline, 3) == pytest.approx([0.54])


def test_the_same_file_again_keeps_every_state(tmp_path: Path) -> None:
    with fed(tmp_path) as pipeline:
        changer(pipeline, wall_ms=NOW_MS + 2 * 3600 * 1000).step()
        assert pipeline.states.snapshot().state.tolist() == [[3.0]]


def test_rows_from_before_the_warm_up_are_not_stepped(tmp_path: Path) -> None:
    with fed(tmp_path, steps=5) as pipeline:
        replace(tmp_path)
        changer(pipeline, wall_ms=NOW_MS + LOOK_BACK_SECONDS * 1000 + 3 * STEP_MS).step()
        assert send(pipeline, 5) == pytest.approx([0.53])


def test_of_many_rows_only_the_last_are_stepped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learner, "reach_rows", lambda _: 2)
    with fed(tmp_path, steps=5) as pipeline:
        replace(tmp_path)
        changer(pipeline).step()
        assert send(pipeline, 5) == pytest.approx([0.53])


def test_a_node_that_is_only_in_the_far_past_begins_anew(tmp_path: Path) -> None:
    with fed(tmp_path) as pipeline:
        replace(tmp_path)
        changer(pipeline, wall_ms=NOW_MS + 2 * LOOK_BACK_SECONDS * 1000).step()
        assert send(pipeline, 3) == pytest.approx([0.51])


def test_a_node_that_only_the_new_model_holds_for_unusual_begins_anew_from_its_last_hour(tmp_path: Path) -> None:
    with fed(tmp_path) as pipeline:
        for step in (HOUR_STEPS + 10, HOUR_STEPS + 11):
            send(pipeline, step)
        replace(tmp_path, offset=5.0)
        changer(pipeline).step()
        assert send(pipeline, HOUR_STEPS + 12) == pytest.approx([5.03])


def test_a_node_that_both_models_hold_for_unusual_stays_so(tmp_path: Path) -> None:
    with fed(tmp_path) as pipeline:
        replace(tmp_path, offset=4.0)
        changer(pipeline).step()
        for step in (HOUR_STEPS + 10, HOUR_STEPS + 11):
            send(pipeline, step)
        replace(tmp_path, version="counting-3", offset=5.0)
        changer(pipeline).step()
        assert send(pipeline, HOUR_STEPS + 12) == pytest.approx([5.06])


def test_rows_that_come_while_the_new_model_learns_are_scored_by_the_old_one_and_known_to_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learner, "BLOCK_ROWS", 2)
    with fed(tmp_path, steps=5) as pipeline:
        replace(tmp_path)
        read, steps = EmbeddedReader.scored_after, iter(range(5, 8))

        def read_while_rows_come(reader: EmbeddedReader, change: int, most: int) -> object:
            found = read(reader, change, most)
            for step in steps:
                assert send(pipeline, step) == pytest.approx([(step + 1) / 100])
                break
            return found

        monkeypatch.setattr(EmbeddedReader, "scored_after", read_while_rows_come)
        changer(pipeline).step()
        assert send(pipeline, 8) == pytest.approx([0.59])


def test_where_much_came_before_the_change_it_is_caught_up_with_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changeover, "LAST_ROWS", 2)
    with fed(tmp_path) as pipeline:
        replace(tmp_path)
        orders = iter([[3, 4, 5], [6]])
        versions = []

        def late(run: Callable[[], None]) -> None:
            for step in next(orders, []):
                send(pipeline, step)
            run()
            versions.append(pipeline.states.detector.info.version)

        changer(pipeline, late).step()
        assert versions == ["counting-1", "counting-2"]
        assert send(pipeline, 7) == pytest.approx([0.58])


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["row a", "row b", "late a", "change"]), min_size=1, max_size=30))
def test_whatever_happens_in_between_each_score_is_that_of_one_model_that_knows_all_rows(
    tmp_path_factory: pytest.TempPathFactory, course: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("course")
    with running(folder, max_sample_age_seconds=10**6) as pipeline:
        change, offset, counted = changer(pipeline), 0.0, {"a:9100": 0, "b:9100": 0}
        for step, event in enumerate(course):
            if event == "change":
                offset = float(step + 1)
                replace(folder, f"counting-{step + 2}", offset)
                change.step()
            elif event == "late a":  # a row that is re-made from a late piece is not scored again
                late = series("node_load5", 1.0, NOW_MS + (step - 1) * STEP_MS, instance="a:9100")
                pipeline.ingest(body(1, [late]), HEADERS[1], NOW_MS + step * STEP_MS)
            else:
                node = f"{event[-1]}:9100"
                send(pipeline, step, node)
                counted[node] += 1
                snapshot = pipeline.exposition.snapshot
                score = snapshot.score[snapshot.names.index(NodeName("", node))]
                if "late a" not in course:  # which may make rows of their own
                    assert score == pytest.approx(offset + counted[node] / 100, abs=1e-4)
        pipeline.flush(NOW_MS + 1000 * STEP_MS)
        scores = list(pipeline.store.read_scores(0, 2**62))
        keys = [pair for block in scores for pair in zip(block.time_ms.tolist(), block.node.tolist(), strict=True)]
        assert len(keys) == len(set(keys))
        state = {node: value for node, (value,) in enumerate(pipeline.states.snapshot().state.tolist())}
        rows = np.concatenate([block.node for block in scores] or [np.empty(0, np.int32)])
        assert {node: float(np.count_nonzero(rows == node)) for node in set(rows.tolist())} == state


def test_a_bad_file_is_told_and_counted_once_and_the_model_in_use_stays(tmp_path: Path) -> None:
    with fed(tmp_path) as pipeline:
        change = changer(pipeline)
        (tmp_path / "model.onnx").write_bytes(b"no model")
        thread = threading.Thread(target=change.run)
        thread.start()
        while not change.fault:
            thread.join(0.01)
        for _ in range(2):
            with pytest.raises(ModelError, match="is not an ONNX file"):
                change.step()
        assert "\nnodescore_model_load_failures_total 1.0\n" in pipeline.exposition.render("")[0].decode()
        assert pipeline.states.detector.info.version == "counting-1"
        replace(tmp_path)
        change.step()
        assert change.fault == ""
        assert pipeline.states.detector.info.version == "counting-2"
        change.stop()
        thread.join()


def test_a_change_that_the_store_prevents_is_made_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise StoreUnavailable("the disk is full")

    with fed(tmp_path) as pipeline:
        change = changer(pipeline)
        replace(tmp_path)
        with monkeypatch.context() as patched:
            patched.setattr(pipeline, "store_pending", full)
            with pytest.raises(StoreUnavailable):
                change.step()
        assert pipeline.states.detector.info.version == "counting-1"
        change.step()
        assert send(pipeline, 3) == pytest.approx([0.54])


def test_a_service_that_stops_does_not_wait_for_a_model_to_learn(tmp_path: Path) -> None:
    with fed(tmp_path) as pipeline:
        change = changer(pipeline)
        replace(tmp_path)
        change.stop()
        with pytest.raises(Unavailable):
            change.step()
        change.run()
        assert pipeline.states.detector.info.version == "counting-1"


def test_what_a_label_has_called_normal_is_learnt_by_the_new_model_too(tmp_path: Path) -> None:
    """From the label's beginning on, as the model before it had learnt it."""
    with fed(tmp_path, steps=105) as pipeline:
        begin_ms, end_ms = NOW_MS + 95 * STEP_MS, NOW_MS + 104 * STEP_MS
        pipeline.store.add_label(Label(NodeName("", "a:9100"), begin_ms, end_ms, False, None, "", "ann", end_ms))
        clocks = Stopped()
        clocks.wall = end_ms
        Relearning(pipeline, at_once, threading.Lock(), clocks).look()
        assert pipeline.exposition.snapshot.score.tolist() == pytest.approx([0.1])
        replace(tmp_path, offset=0.0)
        changer(pipeline, wall_ms=end_ms).step()
        assert send(pipeline, 105) == pytest.approx([0.11])


def test_more_nodes_are_looked_back_on_for_more_rows_and_a_shorter_time() -> None:
    nodes = [1, 10, 100, 1000, 5000]
    rows = [learner.reach_rows(count) for count in nodes]
    assert rows == sorted(rows)
    assert rows[-1] / 5000 >= 360  # an hour of rows every 10 s
    times = [one / count for one, count in zip(rows, nodes, strict=True)]
    assert times == sorted(times, reverse=True)
