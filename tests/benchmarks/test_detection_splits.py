"""The splits keep apart what they promise to keep apart."""

from __future__ import annotations

import numpy as np

from benchmarks.detection import splits

RUNS = ["Exa", "Exa_CO__ST232_ET642_u95", "Exa_CC_CO__separate__ST171_ET388", "Exa_CC_ML__overlaps__ST129_ET619"]
RUNS += ["Exa_ML_CC__overlaps__ST140_ET578", "Exa_CC_CC__overlaps__ST1_ET2"]


def test_a_share_of_the_rows_is_the_first_in_time() -> None:
    assert splits.until(10, 0.6).tolist() == [True] * 6 + [False] * 4


def test_hpas_is_judged_on_runs_without_overlap_which_tuning_never_touches() -> None:
    test = splits.hpas_side(RUNS, "test")
    tuning = splits.hpas_side(RUNS, "tuning")
    judged = {run for run, side in test.items() if side == "measure"}
    assert judged == {"Exa_CO__ST232_ET642_u95", "Exa_CC_CO__separate__ST171_ET388"}
    assert not judged & set(tuning)
    assert set(test) == set(RUNS)
    assert sorted(tuning.values()) == ["measure", "measure", "train", "train"]


def test_labels_of_even_asd_servers_tune_nothing() -> None:
    assert [splits.asd_may_tune(f"omi-{number}") for number in (1, 2, 3, 10)] == [True, False, True, False]


def test_every_second_strength_is_unseen_in_training() -> None:
    assert splits.unseen_strengths([0.5, 0.25, 1.0, 0.5]) == {0.25, 1.0}


def test_a_split_depends_on_no_order_of_files() -> None:
    backwards = splits.hpas_side(RUNS[::-1], "tuning")
    assert backwards == splits.hpas_side(RUNS, "tuning")
    assert np.array_equal(splits.until(4, 0.5), [True, True, False, False])
