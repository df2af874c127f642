"""Scores come from the training and the step that serve, and are kept only as long as nothing has changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.detection import scoring
from benchmarks.detection.cases import Case, Episode, Stream, node_table, whole
from benchmarks.detection.scoring import PERFECT, RANDOM, fingerprint, highest, scored, sources
from models.run import probe, run
from models.table import Table, joined
from models.train import fit

DETECTOR = "zscore"
REMEMBERS = "mean_z2"  # the rows before


def table(name: str, seed: int, rows: int = 400) -> Table:
    """Noise, and a jump of one feature for the last 20 rows."""
    x = np.random.default_rng(seed).normal(size=(rows, 3)).astype(np.float32)
    attack = np.arange(rows) >= rows - 20
    x[attack, 1] += 20
    return node_table(name, ["a", "b", "c"], np.arange(rows) * 10_000, x, attack)


@pytest.fixture
def case() -> Case:
    stream = whole("all", table("tested", 2), (Episode(0, 0, 1, "jump"),))
    return Case("one", table("trained", 1), "budget", (stream,))


def test_the_scores_are_those_of_a_model_trained_and_run_as_the_product_does(case: Case, tmp_path: Path) -> None:
    model, _ = fit(case.train, DETECTOR, 0.5, "budget")
    expected = run(probe(model), case.streams[0].table)
    found = scored(case, DETECTOR, tmp_path / "kept.npz", seed=0)
    assert found.score["all"].tolist() == expected.score.tolist()
    assert found.top["all"].tolist() == highest(expected.contribution).tolist()


def after(past: Table, rows: Table) -> Case:
    """A case that is judged by rows which come 10 s after those of its past."""
    late = replace(rows, time_ms=rows.time_ms - rows.time_ms[0] + past.time_ms[-1] + 10_000)
    return Case("one", past, "budget", (replace(whole("all", late), past=past),))


def test_a_model_looks_back_on_the_past_of_a_stream(tmp_path: Path) -> None:
    past, rows = (table(name, seed).take(np.arange(380)) for name, seed in (("n", 1), ("n", 2)))
    case = after(past, rows)
    model, _ = fit(past, REMEMBERS, 0.5, "budget")
    both = replace(joined([past, case.streams[0].table]), node=np.zeros(760, np.int32))
    expected = run(probe(model), both).score[380:]
    assert scored(case, REMEMBERS, tmp_path / "kept.npz", seed=0).score["all"].tolist() == expected.tolist()


def test_a_node_that_is_over_at_the_end_of_its_past_begins_anew_from_its_last_hour(tmp_path: Path) -> None:
    quiet = table("n", 1, 2000).take(np.arange(1980))
    moved = replace(quiet, x=quiet.x + np.where(np.arange(1980) >= 1000, 20, 0)[:, None].astype(np.float32))
    case = replace(after(moved, replace(quiet, x=quiet.x + 20)), train=quiet)
    found = scored(case, REMEMBERS, tmp_path / "kept.npz", seed=0).score["all"]
    assert np.mean(found > 1) < 0.02


def test_another_past_is_another_mark(case: Case) -> None:
    quiet = case.train.take(np.arange(100))
    longer, shorter = (replace(case.streams[0], past=quiet.take(np.arange(rows))) for rows in (100, 50))
    marks = {fingerprint(replace(case, streams=(one,)), DETECTOR, 0) for one in (longer, shorter, case.streams[0])}
    assert len(marks) == 3


def test_what_is_kept_is_what_was_scored(case: Case, tmp_path: Path) -> None:
    first = scored(case, DETECTOR, tmp_path / "kept.npz", seed=0)
    again = scored(case, DETECTOR, tmp_path / "kept.npz", seed=0)
    assert again.how == first.how  # with the seconds that only the first can have taken
    assert again.score["all"].tolist() == first.score["all"].tolist()
    assert again.top["all"].tolist() == first.top["all"].tolist()


def test_other_rows_are_scored_anew(case: Case, tmp_path: Path) -> None:
    first = scored(case, RANDOM, tmp_path / "kept.npz", seed=0)
    (stream,) = case.streams
    shorter = replace(case, streams=(whole("all", stream.table.take(np.arange(50))),))
    assert len(scored(shorter, RANDOM, tmp_path / "kept.npz", seed=0).score["all"]) == 50
    assert len(first.score["all"]) == 400


@pytest.mark.parametrize("changed", ["x", "attack", "time_ms"])
def test_the_mark_tells_every_change_of_the_data(case: Case, changed: str) -> None:
    array = getattr(case.train, changed).copy()
    array[7] = array[7] == 0
    other = replace(case, train=replace(case.train, **{changed: array}))
    assert fingerprint(other, DETECTOR, 0) != fingerprint(case, DETECTOR, 0)


def test_the_mark_tells_detectors_objectives_and_seeds_apart(case: Case) -> None:
    marks = {fingerprint(case, detector, seed) for detector in (DETECTOR, "pca") for seed in (0, 1)}
    marks.add(fingerprint(replace(case, objective="accuracy"), DETECTOR, 0))
    assert len(marks) == 5


def test_a_detector_comes_from_its_own_file_and_what_that_imports_not_from_the_other_detectors() -> None:
    names = {path.relative_to(scoring.ROOT).as_posix() for path in sources("pca")}
    assert {"models/detectors/pca.py", "models/detectors/season.py", "models/train.py", "models/alerts.py"} <= names
    assert {"receiver/detector/model.py", "benchmarks/detection/cases.py"} <= names
    assert "models/detectors/zscore.py" not in names


def test_random_scores_follow_from_the_seed(case: Case, tmp_path: Path) -> None:
    one, same, other = (
        scored(case, RANDOM, tmp_path / f"{index}.npz", seed).score["all"].tolist()
        for index, seed in enumerate((0, 0, 1))
    )
    assert one == same
    assert one != other


def test_perfect_scores_are_the_labels(case: Case, tmp_path: Path) -> None:
    score = scored(case, PERFECT, tmp_path / "kept.npz", 0).score["all"]
    assert ((score > 1) == case.streams[0].table.attack).all()


def test_the_highest_contributions_come_first_and_nothing_is_no_feature() -> None:
    contribution = np.array([[0.1, 0.0, 0.5, 0.2], [0.0, 0.7, 0.0, 0.0], [np.nan] * 4], np.float32)
    assert highest(contribution).tolist() == [[2, 3, 0], [1, -1, -1], [-1, -1, -1]]


def test_rows_that_do_not_count_are_run_through_all_the_same(case: Case, tmp_path: Path) -> None:
    (stream,) = case.streams
    view = np.arange(400) >= 300
    viewed = replace(case, streams=(Stream("all", stream.table, {"late": view}),))
    whole_scores = scored(case, DETECTOR, tmp_path / "a.npz", 0).score["all"]
    assert scored(viewed, DETECTOR, tmp_path / "b.npz", 0).score["all"].tolist() == whole_scores.tolist()
