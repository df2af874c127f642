"""Which rows set a threshold: all that are quiet, each judged by a detector that was not fitted to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.calibration import Learn, for_budget
from models.detectors import mean_z2, replay
from models.detectors.build import Build
from models.run import no_progress
from models.table import Table
from receiver.errors import DataError
from tests.models.nodes import table


class Watched:
    """A way to learn, and the tables that it was given."""

    def __init__(self, learn: Learn = mean_z2.fit) -> None:
        self.learn, self.given = learn, list[Table]()

    def __call__(self, rows: Table) -> Build:
        self.given.append(rows)
        return self.learn(rows)


def test_every_node_is_judged_by_a_detector_that_did_not_see_it() -> None:
    rows, learn = table(nodes=7, seconds=1800, step=5), Watched()
    _, how = for_budget(rows, learn, mean_z2.fit(rows), 10, no_progress)
    seen = [set(given.node.tolist()) for given in learn.given]
    assert [sorted(set(range(7)) - nodes) for nodes in seen] == [[0, 5], [1, 6], [2], [3], [4]]
    assert how["node_days"] == pytest.approx(7 * 1795 / 86400)


def test_a_node_alone_is_judged_by_detectors_that_saw_it_at_other_times() -> None:
    rows, learn = table(nodes=1, seconds=3600, step=5), Watched()
    _, how = for_budget(rows, learn, mean_z2.fit(rows), 10, no_progress)
    left_out = [np.setdiff1d(rows.time_ms, given.time_ms) for given in learn.given]
    assert np.array_equal(np.sort(np.concatenate(left_out)), np.sort(rows.time_ms))
    assert all(times.max() - times.min() == (len(times) - 1) * 5000 for times in left_out)
    assert how["node_days"] == pytest.approx(3600 / 86400, rel=0.01)


def test_a_part_without_which_nothing_can_be_learnt_is_not_left_out() -> None:
    def learn_attacks(rows: Table) -> Build:
        if not replay.labels(rows).any():
            raise DataError("no attack to learn from")
        return mean_z2.fit(rows)

    whole = table(nodes=4, seconds=1800, step=5)
    rows = replace(whole, attack=(whole.node == 1) & (np.arange(len(whole)) < 400))
    learn = Watched(learn_attacks)
    _, how = for_budget(rows, learn, mean_z2.fit(rows), 10, no_progress)
    assert len(learn.given) == 4
    assert how["parts"] == 3


def test_where_no_part_can_be_left_out_the_detector_judges_the_rows_that_it_saw() -> None:
    rows, whole = table(nodes=5, seconds=1800, step=5), mean_z2.fit(table(nodes=5, seconds=1800, step=5))

    def refuse(_: Table) -> Build:
        raise DataError("too few")

    _, how = for_budget(rows, refuse, whole, 10, no_progress)
    assert how["parts"] == 0
    assert how["node_days"] == pytest.approx(5 * 1795 / 86400)
