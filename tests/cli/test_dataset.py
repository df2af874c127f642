"""Stored rows to the paper's tables, in blocks of any size."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from receiver.cli.dataset import attacks, limited, moments, thinned
from receiver.columns import NodeName, Rows
from receiver.store import Label

NAMES = {0: NodeName("eu", "a"), 1: NodeName("us", "a")}
TABLE = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 3)), max_size=60, unique=True).map(sorted)
CUTS = st.lists(st.integers(0, 60), max_size=8).map(sorted)


def rows_of(keys: list[tuple[int, int]]) -> Rows:
    time_ms = np.array([time for time, _ in keys], np.int64) * 1000
    node = np.array([node for _, node in keys], np.int32)
    raw = np.stack([time_ms + 0.5, np.where(node > 1, np.nan, node * 1e12)], axis=1).astype(np.float64)
    return Rows(node, time_ms, raw, raw.astype(np.float32))


def in_blocks(rows: Rows, cuts: list[int]) -> list[Rows]:
    bounds = [0, *[min(cut, len(rows)) for cut in cuts], len(rows)]
    return [Rows(rows.node[a:b], rows.time_ms[a:b], rows.raw[a:b], rows.x[a:b]) for a, b in pairwise(bounds)]


def keys_of(blocks: list[Rows]) -> list[tuple[int, int]]:
    return [
        (time // 1000, node)
        for block in blocks
        for time, node in zip(block.time_ms.tolist(), block.node.tolist(), strict=True)
    ]


@given(TABLE, CUTS, st.integers(1, 100))
def test_thinned_rows_are_the_last_of_each_node_and_interval_in_order(
    keys: list[tuple[int, int]], cuts: list[int], seconds: int
) -> None:
    last: dict[tuple[int, int], tuple[int, int]] = {}
    for time, node in keys:
        last[time // seconds, node] = (time, node)
    blocks = list(thinned(in_blocks(rows_of(keys), cuts), seconds * 1000))
    assert keys_of(blocks) == sorted(last.values())


@given(TABLE, CUTS, st.integers(1, 70))
def test_limited_rows_are_the_first(keys: list[tuple[int, int]], cuts: list[int], most: int) -> None:
    assert keys_of(list(limited(in_blocks(rows_of(keys), cuts), most))) == keys[:most]


@given(TABLE, CUTS)
def test_moments_are_those_of_the_whole_column(keys: list[tuple[int, int]], cuts: list[int]) -> None:
    rows = rows_of(keys)
    found = moments(in_blocks(rows, cuts), 2)
    for feature in (0, 1):
        present = rows.raw[~np.isnan(rows.raw[:, feature]), feature]
        if len(present):
            assert_allclose(found.mean[feature], present.mean(), rtol=1e-12)
            assert_allclose(found.deviation[feature], present.std(), rtol=1e-9, atol=1e-3)


def test_z_scores_have_mean_0_and_deviation_1_and_missing_stays_missing() -> None:
    raw = np.array([[1e12 + 1, 5, np.nan], [1e12 + 2, 5, 7], [1e12 + 3, 5, 9]])
    rows = Rows(np.zeros(3, np.int32), np.arange(3), raw, raw.astype(np.float32))
    z = moments([rows], 3).zscored(raw)
    assert_allclose(z[:, 0], [-(1.5**0.5), 0, 1.5**0.5])
    assert_array_equal(z[:, 1], [0, 0, 0])
    assert_array_equal(z[:, 2], [np.nan, -1, 1])


def label(name: NodeName, start_s: int, end_s: int, attack: bool, created_ms: int) -> Label:
    return Label(name, start_s * 1000, end_s * 1000, attack, None, "", "me", created_ms)


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_labels_the_newer_one_holds(order: int) -> None:
    rows = rows_of([(second, 0) for second in range(6)])
    labels = [label(NAMES[0], 1, 4, attack=True, created_ms=10), label(NAMES[0], 3, 5, attack=False, created_ms=20)]
    assert attacks(rows, NAMES, labels[::order]).tolist() == [0, 1, 1, 0, 0, 0]


def test_a_label_is_of_one_clusters_node() -> None:
    rows = rows_of([(1, 0), (1, 1)])
    assert attacks(rows, NAMES, [label(NAMES[1], 0, 9, attack=True, created_ms=1)]).tolist() == [0, 1]
