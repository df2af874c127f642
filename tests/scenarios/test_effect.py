"""What a recording shows of an attack: levels inside and outside of its episode."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from models.scenarios.dataset import Attacked
from models.scenarios.effect import AFTERMATH_MS, moved, quiet_rows
from models.table import Table, read

STEP_MS = 5000
ATTACK = Attacked("a", "cpu-stress", 1.0, 200 * STEP_MS, 210 * STEP_MS, 1)


def made(tmp_path: Path) -> Table:
    """300 rows of nodes a and b, where `busy` rises by 10 in a's attack and `still` never moves."""
    random = np.random.default_rng(1)
    steps = np.arange(300)
    busy = random.normal(0, 1, 600)
    busy[200:211] += 10
    table = pa.table(
        {
            "time": pa.array(np.tile(steps * STEP_MS, 2), pa.timestamp("ms", "UTC")),
            "node": ["a"] * 300 + ["b"] * 300,
            "still": np.ones(600),
            "busy": busy,
        }
    )
    parquet.write_table(table, tmp_path / "t.parquet")
    return read(tmp_path / "t.parquet")


def test_the_most_moved_feature_comes_first_with_its_levels(tmp_path: Path) -> None:
    first, second = moved(made(tmp_path), [ATTACK], 0)
    assert first.feature == "busy"
    assert abs(first.before) < 0.5
    assert 9 < first.attacked < 11
    assert 7 < first.sigmas < 13
    assert (second.feature, second.sigmas) == ("still", 0.0)


def test_quiet_rows_are_a_nodes_own_without_its_attacks_and_their_aftermath(tmp_path: Path) -> None:
    quiet = quiet_rows(made(tmp_path), [ATTACK], "a")
    left_out = 11 + AFTERMATH_MS // STEP_MS
    assert quiet.sum() == 300 - left_out
    assert not quiet[300:].any()


def test_another_nodes_attack_leaves_a_node_quiet(tmp_path: Path) -> None:
    assert quiet_rows(made(tmp_path), [ATTACK], "b").sum() == 300
