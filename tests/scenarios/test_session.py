"""A real session: a node at work, attacked, recorded through node_exporter, Prometheus, Nodescore and its export."""

import os
from pathlib import Path

import numpy as np
import pytest

from models.scenarios import dataset
from models.scenarios.effect import effect
from models.scenarios.plan import Episode, Plan
from models.scenarios.session import record
from models.table import read
from receiver import catalogue
from receiver.cli.recording import read as read_recording
from receiver.errors import DataError
from tests.servers import places

pytestmark = pytest.mark.real(
    *("prometheus", "node_exporter", "netns", "groups", "lxcfs", "nginx", "sqlite3", "gcc", "curl"),
    *("stress-ng", "nmap", "hping3", "wrk"),
)
PLAN = Plan(3, ("s3-n0",), 38.0, (Episode("s3-n0", "crash-loop", 20, 20.0, 15),))


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH on which the servers have the names they have on Debian."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, found in (("prometheus", "prometheus"), ("prometheus-node-exporter", "node_exporter")):
        (folder / name).symlink_to(places.path_of(found))
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_an_attack_is_recorded_with_all_features_and_shows_in_what_it_moves(tmp_path: Path) -> None:
    said: list[str] = []
    kept = tmp_path / "recording.jsonl.gz"
    session = record(PLAN, tmp_path / "out", said.append, kept)
    table = read(session)
    assert table.features == catalogue.load().feature_names
    assert [name.node for name in table.nodes] == ["s3-n0"]
    assert len(table) >= 6
    assert np.isfinite(table.x[1:]).all()
    (episode,) = dataset.episodes(session)
    assert (episode.node, episode.kind, episode.strength, episode.seed) == ("s3-n0", "crash-loop", 20.0, 3)
    assert 15_000 <= episode.end_ms - episode.start_ms <= 20_000
    assert table.attack is not None
    assert 2 <= table.attack.sum() <= 4
    assert "forks_total" in [moved.feature for moved in effect(session)[:3]]
    events = [request.event for request in read_recording(kept) if request.event]
    assert events == ["s3-n0: crash-loop begins", "s3-n0: crash-loop ends"]
    assert said[0].endswith("s3-n0: crash-loop 20, 15 s")


def test_a_session_that_is_there_is_not_recorded_again(tmp_path: Path) -> None:
    (tmp_path / "session-3.parquet").touch()
    with pytest.raises(DataError, match="has a session 3; take another seed"):
        record(PLAN, tmp_path, print)
