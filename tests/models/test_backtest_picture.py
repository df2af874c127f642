"""The picture of a back-test: what it must show, by its points and by its bytes."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.backtest import Watched
from models.backtest_picture import POINTS, draw, envelope
from models.evaluate import figures
from receiver.columns import NodeName
from receiver.detector import ModelInfo
from receiver.errors import DataError
from tests.models.test_evaluate_figures import FEATURES, START_MS, node

INFO = ModelInfo("m-1", "m", "", FEATURES, 1, {"threshold": {"asked_per_node_day": 0.5}}, Path("m.onnx"), "")


def drawn(out: Path, *nodes: Watched) -> tuple[int, int]:
    """Draw; width and height of the picture in pixels, as its header has them."""
    draw(nodes, figures(nodes, INFO), out)
    body = out.read_bytes()
    assert body.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", body[16:24])
    return width, height


def test_every_node_has_its_lines_until_there_are_too_many(tmp_path: Path) -> None:
    heights = [
        drawn(tmp_path / "p.png", *(node(f"n{index}", over=((100, 110),)) for index in range(count)))[1]
        for count in (1, 3, 40)
    ]
    assert heights[0] < heights[1] < heights[2] < 2500


def test_the_same_figures_give_the_same_file(tmp_path: Path) -> None:
    one = node("a", over=((100, 110),), attack=(95, 120), normal=(2000, 2100))
    for name in ("one.png", "other.png"):
        drawn(tmp_path / name, one)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "other.png").read_bytes()


@pytest.mark.parametrize("mark", ["attack", "normal", "over"])
def test_attacks_normal_time_and_alerts_can_be_seen(tmp_path: Path, mark: str) -> None:
    plain = node("a")
    # The same figures, so that the texts are the same: only what is shaded differs.
    found = figures([plain], INFO)
    marked = node("a", **{mark: ((100, 110),) if mark == "over" else (100, 110)})  # type: ignore[arg-type]
    for name, one in (("plain.png", plain), ("marked.png", marked)):
        draw([one], found, tmp_path / name)
    assert (tmp_path / "plain.png").read_bytes() != (tmp_path / "marked.png").read_bytes()


@pytest.mark.parametrize(
    "odd",
    [
        node("one row", rows=1),
        replace(
            node("$x_1^{$ in a name that is much longer than there is room for beside a bar"), score=np.zeros(8640)
        ),
        replace(node("beyond all measure", over=((100, 110),)), score=np.full(8640, 3e38)),
        replace(node("w"), name=NodeName("eu", "w")),
        replace(node(""), name=NodeName("", "")),
    ],
    ids=["one row", "odd name", "high", "cluster", "no name"],
)
def test_odd_nodes_can_be_drawn(tmp_path: Path, odd: Watched) -> None:
    assert drawn(tmp_path / "p.png", odd) > (1000, 100)


def test_a_peak_of_one_row_is_not_lost_among_a_week_of_rows() -> None:
    time_ms, score = START_MS + 10_000 * np.arange(60_480), np.full(60_480, 0.1)
    score[31_234] = 7.0
    at, highest = envelope(time_ms, score, int(time_ms[0]), int(time_ms[-1]))
    assert len(at) == POINTS
    assert (highest == 7.0).sum() == 1
    assert abs(at[np.argmax(highest)] - time_ms[31_234]) < 10_000 * 60_480 / POINTS


def test_the_line_is_cut_where_there_were_no_rows() -> None:
    time_ms = START_MS + 10_000 * np.arange(8640)
    kept = (np.arange(8640) < 3000) | (np.arange(8640) > 4000)
    _, whole = envelope(time_ms, np.ones(8640), START_MS, int(time_ms[-1]))
    at, gapped = envelope(time_ms[kept], np.ones(kept.sum()), START_MS, int(time_ms[-1]))
    assert (np.isnan(whole).sum(), np.isnan(gapped).sum()) == (0, 1)
    assert at[np.isnan(gapped)] <= time_ms[3000]


def test_a_picture_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none/p.png: cannot be written: No such file or directory"):
        drawn(tmp_path / "none" / "p.png", node("a"))
