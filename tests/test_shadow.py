"""A candidate scores beside the active model: what it knows, what is shown of it, and what happens where it fails."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from receiver import shadow
from receiver.changeover import Changeover
from receiver.detector import Detector, NodeStates, StepResult, Watch
from receiver.detector.states import STATE_KEPT_MS
from receiver.drift import Drift
from receiver.errors import ModelError, StoreUnavailable
from receiver.pipeline import Pipeline
from receiver.relearning import Relearning
from receiver.shadow import Shadow
from receiver.store import Shadowing
from tests import counting_model
from tests.running import CATALOGUE, STEP_MS, stored
from tests.test_changeover import Stopped, at_once, fed, send
from tests.wire.requests import NOW_MS


class Told:
    """A source that says what the test has told it, and gives a model that counts from `offset` on."""

    def __init__(self, folder: Path, offset: float = 5.0) -> None:
        path = counting_model.write(folder / "candidate.onnx", CATALOGUE, version="counting-2", offset=offset)
        self.detector = Detector.load(path, CATALOGUE.feature_names)
        self.entry = Shadowing("counting-2", NOW_MS, "ann", "", id=1)
        self.error: Exception | None = None
        self.away = False
        self.loads = 0

    def shadowing(self) -> Shadowing:
        if self.away:
            raise StoreUnavailable("away")
        return self.entry

    def load(self, version: str) -> Detector:
        self.loads += 1
        if self.error is not None:
            raise self.error
        assert version == "counting-2"
        return self.detector


class Clock(Stopped):
    """The wall clock stands; the other one moves on by so much at each look."""

    steady, tick = 0, 0

    def steady_ms(self) -> int:
        self.steady += self.tick
        return self.steady


def shown(pipeline: Pipeline, name: str) -> list[str]:
    return [line for line in pipeline.exposition.render("")[0].decode().splitlines() if line.startswith(name)]


def agreement(pipeline: Pipeline) -> dict[str, float]:
    """How many rows were counted, by what the active model and the candidate said."""
    metrics = pipeline.metrics.shadow_rows
    return {f"{active:d}{shadow_:d}": counter._value.get() for (active, shadow_), counter in metrics.items()}


def test_it_knows_every_row_before_it_and_scores_each_that_comes(tmp_path: Path) -> None:
    with fed(tmp_path) as pipeline:
        beside = Shadow(pipeline, Told(tmp_path), Clock())
        beside.step()
        assert shown(pipeline, "anomaly_shadow_score") == [
            'anomaly_shadow_score{cluster="",model="counting-2",node="a:9100"} 5.03'
        ]
        assert shown(pipeline, "anomaly_model_info") == [
            'anomaly_model_info{detector="counting",role="active",version="counting-1"} 1.0',
            'anomaly_model_info{detector="counting",role="shadow",version="counting-2"} 0.0',
        ]
        assert send(pipeline, 3) == pytest.approx([0.04])
        beside.step()
        assert shown(pipeline, "anomaly_shadow_score")[0].endswith(" 5.04")
        assert (beside.version, beside.fault) == ("counting-2", "")
    _, scores = stored(tmp_path)
    assert [score for _, _, score in scores] == pytest.approx([0.01, 0.02, 0.03, 0.04])


def test_what_it_knows_of_a_node_is_forgotten_when_the_node_is_silent_for_days(tmp_path: Path) -> None:
    with fed(tmp_path) as pipeline:
        clock = Clock()
        beside = Shadow(pipeline, Told(tmp_path), clock)
        beside.step()
        clock.wall = NOW_MS + 2 * STATE_KEPT_MS
        later = 2 + STATE_KEPT_MS // STEP_MS
        send(pipeline, later, "b:9100")
        beside.step()
        assert len(shown(pipeline, "anomaly_shadow_score")) == 2
        send(pipeline, later + 1, "b:9100")
        beside.step()
        assert len(beside._shown.node) == 1
        send(pipeline, later + 2, "a:9100", "b:9100")
        beside.step()
        assert [line[-4:] for line in shown(pipeline, "anomaly_shadow_score")] == ["5.01", "5.03"]


def test_how_both_agree_on_rows_is_counted_from_when_it_has_caught_up(tmp_path: Path) -> None:
    with fed(tmp_path) as pipeline:
        beside = Shadow(pipeline, Told(tmp_path, offset=0.96), Clock())
        beside.step()
        assert agreement(pipeline) == {"00": 0, "01": 0, "10": 0, "11": 0}
        for step in range(3, 7):
            send(pipeline, step)
        beside.step()
        assert agreement(pipeline) == {"00": 1, "01": 3, "10": 0, "11": 0}


def test_it_goes_when_it_is_told_and_nothing_of_it_is_shown_any_more(tmp_path: Path) -> None:
    with fed(tmp_path) as pipeline:
        told = Told(tmp_path)
        beside = Shadow(pipeline, told, Clock())
        beside.step()
        told.entry = Shadowing("", NOW_MS, "ann", "", id=2)
        beside.step()
        assert shown(pipeline, "anomaly_shadow_score") == []
        assert len(shown(pipeline, "anomaly_model_info")) == 1
        assert (beside.version, beside.fault) == ("", "")


def test_it_goes_on_while_the_store_of_versions_is_away(tmp_path: Path) -> None:
    with fed(tmp_path) as pipeline:
        told = Told(tmp_path)
        beside = Shadow(pipeline, told, Clock())
        beside.step()
        told.away = True
        send(pipeline, 3)
        beside.step()
        assert shown(pipeline, "anomaly_shadow_score")[0].endswith(" 5.04")


def test_the_model_that_is_activated_takes_over_what_its_shadow_knows(tmp_path: Path) -> None:
    with fed(tmp_path) as pipeline:
        clock = Clock()
        beside = Shadow(pipeline, Told(tmp_path), clock)
        beside.step()
        send(pipeline, 3)
        clock.wall = NOW_MS + 100 * 3600 * 1000  # a model that learnt from now on would know nothing
        watch = Watch(pipeline.states.detector, CATALOGUE.feature_names)
        (tmp_path / "candidate.onnx").replace(tmp_path / "model.onnx")
        Changeover(pipeline, watch, at_once, clock, beside).step()
        assert send(pipeline, 4) == pytest.approx([5.05])
        assert shown(pipeline, "anomaly_shadow_score") == []


def test_what_is_learnt_anew_meanwhile_it_learns_anew_too(tmp_path: Path) -> None:
    with fed(tmp_path, steps=5) as pipeline:
        beside = Shadow(pipeline, Told(tmp_path), Clock())
        beside.step()
        beside._clocks.wall = NOW_MS + 5 * STEP_MS  # type: ignore[attr-defined]
        Relearning(pipeline, at_once, threading.Lock(), Clock()).learn(0, NOW_MS + 3 * STEP_MS)
        assert send(pipeline, 5) == pytest.approx([0.03])
        beside.step()
        send(pipeline, 6)
        beside.step()
        assert shown(pipeline, "anomaly_shadow_score")[0].endswith(" 5.04")


def test_what_is_learnt_anew_before_it_takes_over_it_learns_anew_too(tmp_path: Path) -> None:
    with fed(tmp_path, steps=5) as pipeline:
        clock = Clock()
        beside = Shadow(pipeline, Told(tmp_path), clock)
        beside.step()
        watch = Watch(pipeline.states.detector, CATALOGUE.feature_names)
        change = Changeover(pipeline, watch, at_once, clock, beside)
        clock.wall = NOW_MS + 5 * STEP_MS
        Relearning(pipeline, at_once, change.changing, clock).learn(0, NOW_MS + 3 * STEP_MS)
        (tmp_path / "candidate.onnx").replace(tmp_path / "model.onnx")
        change.step()
        assert send(pipeline, 5) == pytest.approx([5.03])


@pytest.mark.parametrize("how", ["raises", "gives no number"])
def test_one_that_fails_on_a_row_is_given_up_and_the_active_model_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    with fed(tmp_path) as pipeline:
        told = Told(tmp_path)
        beside = Shadow(pipeline, told, Clock())
        beside.step()
        step = told.detector.step

        def failing(x: np.ndarray, *rest: np.ndarray) -> StepResult:
            if how == "raises":
                raise ZeroDivisionError
            result = step(x, *rest)
            result.score[:] = np.nan
            return result

        monkeypatch.setattr(told.detector, "step", failing)
        assert send(pipeline, 3) == pytest.approx([0.04])
        beside.step()
        assert beside.fault == "model counting-2: fails on rows of the nodes"
        assert shown(pipeline, "anomaly_shadow_score") == []
        assert shown(pipeline, "nodescore_shadow_failures_total") == ["nodescore_shadow_failures_total 1.0"]
        assert send(pipeline, 4) == pytest.approx([0.05])
        beside.step()
        assert told.loads == 1


def test_one_that_cannot_be_loaded_is_told_once_and_tried_again_when_it_is_said_again(tmp_path: Path) -> None:
    with fed(tmp_path) as pipeline:
        told = Told(tmp_path)
        told.error = ModelError("its file has changed")
        beside = Shadow(pipeline, told, Clock())
        for _ in range(2):
            beside.step()
            assert beside.fault == "its file has changed"
        assert told.loads == 1
        told.entry, told.error = Shadowing("counting-2", NOW_MS, "ann", "", id=2), None
        beside.step()
        assert (beside.version, beside.fault) == ("counting-2", "")


def test_one_that_the_store_does_not_give_now_is_asked_for_again(tmp_path: Path) -> None:
    with fed(tmp_path) as pipeline:
        told = Told(tmp_path)
        told.error = StoreUnavailable("away")
        beside = Shadow(pipeline, told, Clock())
        beside.step()
        told.error = None
        beside.step()
        assert (beside.version, beside.fault) == ("counting-2", "")


def test_one_that_is_slow_leaves_time_for_others_and_is_given_up_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receiver.learner.BLOCK_ROWS", 1)
    with fed(tmp_path, steps=5) as pipeline:
        clock = Clock()
        beside = Shadow(pipeline, Told(tmp_path), clock)
        clock.tick = shadow.TURN_MS
        beside.step()  # a row has taken all its time
        assert shown(pipeline, "anomaly_shadow_score") == []
        assert beside.version == "counting-2"
        clock.steady += shadow.MAX_BEHIND_MS
        beside.step()
        assert beside.fault == "model counting-2: is too slow for these nodes"


def test_a_candidate_that_is_still_in_use_here_is_followed_once_another_is(tmp_path: Path) -> None:
    with fed(tmp_path, 1) as pipeline:
        source = Told(tmp_path)
        before = pipeline.states
        pipeline.go_on_with(NodeStates(source.detector), Drift(source.detector.info))
        follower = Shadow(pipeline, source, Stopped())
        follower.step()
        assert follower.version == ""
        pipeline.go_on_with(before, Drift(before.detector.info))
        follower.step()
        assert follower.version == "counting-2"
