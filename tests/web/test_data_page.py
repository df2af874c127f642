"""The page of the data set, and its download."""

from __future__ import annotations

import asyncio
import csv
import io
import os
import signal
from collections.abc import Callable
from html import unescape
from pathlib import Path

import httpx
import pyarrow.parquet
import pytest

from receiver.catalogue import load
from receiver.columns import NodeName
from receiver.errors import Unavailable
from receiver.settings import Settings
from receiver.store import Label
from receiver.store.embedded import EmbeddedReader
from receiver.web.export_process import Exports
from tests.cli.conftest import FEATURES, START_MS, fill
from tests.web.service import HeldService

Serve = Callable[[HeldService], str]
ALL = "since=2026-11-20&until=2026-11-21"


@pytest.fixture
def url(serve: Serve, tmp_path: Path) -> str:
    """A service whose store has six rows of worker-1 and worker-2, two of the latter's an attack."""
    return serve(HeldService({}, settings=Settings.model_validate({"data_dir": labelled(fill(tmp_path))})))


def labelled(data_dir: Path) -> Path:
    reader = EmbeddedReader.open(data_dir / "nodescore.sqlite", load())
    node = NodeName("", "worker-2")
    reader.add_label(Label(node, START_MS + 10_000, START_MS + 20_000, True, "TP", "", "ann", START_MS + 60_000))
    reader.close()
    return data_dir


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_page_says_what_each_column_is_and_in_which_unit(url: str) -> None:
    text = unescape(httpx.get(f"{url}/data").text)
    for feature in load().features:
        assert f"<code>{feature.name}</code></th><td>{feature.help}</td><td>{feature.unit}" in text


def test_a_download_is_the_table_that_the_command_writes_with_its_labels(url: str) -> None:
    answer = httpx.get(f"{url}/export?{ALL}", timeout=60)
    rows = table(answer.text)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="nodescore-raw-2026-11-20T080000Z.csv"'
    assert list(rows[0]) == ["time", "node", *FEATURES, "attack"]
    assert [(row["time"][17:19], row["node"]) for row in rows if row["attack"] == "1"] == [
        ("10", "worker-2"),
        ("20", "worker-2"),
    ]


def test_nodes_times_values_and_format_are_chosen(url: str) -> None:
    query = "since=2026-11-20T08:00:20Z&until=2026-11-21&nodes=worker-1, worker-2&interval=30s&values=inputs"
    answer = httpx.get(f"{url}/export?{query}&format=parquet", timeout=60)
    found = pyarrow.parquet.read_table(io.BytesIO(answer.content))
    assert found["node"].to_pylist() == ["worker-1", "worker-2"] * 2
    assert found["disk_av_per"].to_pylist() == [2.01, 1002.01, 5.01, 1005.01]


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("nodes=nobody --zscore", "--node: the store has no node --zscore, nobody"),
        ("since=noon", "--since: 'noon' is not a time"),
        ("interval=often", "--interval: 'often' is not a duration"),
        ("interval=99999999999w", "--interval: '99999999999w' is not a duration"),
    ],
)
def test_what_cannot_be_given_is_said_on_the_page_with_what_was_chosen(url: str, query: str, why: str) -> None:
    answer = httpx.get(f"{url}/export?{query}", timeout=60)
    assert answer.status_code == 400
    assert why in unescape(answer.text)
    assert f'value="{query.partition("=")[2]}"' in answer.text


@pytest.mark.parametrize("query", ["values=all", "format=xml", "since=" + "1" * 65, "other=1"])
def test_what_the_form_does_not_offer_is_refused(url: str, query: str) -> None:
    assert httpx.get(f"{url}/export?{query}").status_code == 400


def test_one_is_written_at_a_time_and_one_that_is_given_up_makes_way(serve: Serve, tmp_path: Path) -> None:
    url = serve(HeldService({}, settings=Settings.model_validate({"data_dir": fill(tmp_path, rows=20_000)})))
    few = f"{url}/export?{ALL}&nodes=worker-1&interval=1d"
    with httpx.stream("GET", f"{url}/export?{ALL}", timeout=60) as slow:
        assert slow.status_code == 200
        other = httpx.get(few)
        assert (other.status_code, other.headers["retry-after"]) == (503, "10")
    answers = (httpx.get(few, timeout=60).status_code for _ in range(10_000))
    assert next(status for status in answers if status != 503) == 200


def test_a_table_that_breaks_off_raises_so_that_nobody_takes_it_for_the_whole(tmp_path: Path) -> None:
    async def broken() -> int:
        exports = Exports(Settings.model_validate({"data_dir": fill(tmp_path, rows=5_000)}))
        export = await exports.start([f"--since={START_MS // 1000}", "--until=2026-11-22"])
        os.kill(export.pid, signal.SIGKILL)
        try:
            return sum([len(chunk) async for chunk in export.chunks()])
        finally:
            await export.close()

    with pytest.raises(Unavailable, match="the export failed"):
        asyncio.run(broken())
