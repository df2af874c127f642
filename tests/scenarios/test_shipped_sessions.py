"""The sessions that ship: each is what its card and its episodes say."""

from pathlib import Path

import numpy as np
import pytest

from models.scenarios import dataset
from models.scenarios.applications import APPLICATIONS, PODS
from models.scenarios.level import NODES, UNFAMILIAR
from models.table import read
from receiver import catalogue
from receiver.settings import shipped_catalogue

LARGEST_BYTES = 10_000_000


FOLDERS = {
    dataset.DATA: NODES,
    dataset.UNFAMILIAR: UNFAMILIAR,
    dataset.APPLICATIONS: APPLICATIONS,
    dataset.PODS: PODS,
}
LEVEL_OF = {path: level for folder, level in FOLDERS.items() for path in dataset.sessions(folder)}
SESSIONS = pytest.mark.parametrize("path", LEVEL_OF, ids=lambda path: f"{path.parent.name}-{path.stem}")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_sessions_ship(folder: Path) -> None:
    assert dataset.sessions(folder)


def test_no_model_learns_from_the_nodes_of_unfamiliar_work() -> None:
    assert all(dataset.UNFAMILIAR not in recordings.folders for recordings in dataset.RECORDINGS.values())


def test_what_ships_is_small() -> None:
    assert sum(path.stat().st_size for path in dataset.DATA.rglob("*")) < LARGEST_BYTES


@SESSIONS
def test_a_session_has_the_catalogues_features_and_is_marked_as_its_episodes_say(path: Path) -> None:
    table = read(path)
    assert table.features == catalogue.load(shipped_catalogue(LEVEL_OF[path].catalogue)).feature_names
    assert table.attack is not None
    np.testing.assert_array_equal(table.attack, dataset.attacked_rows(table, dataset.episodes(path)))


@SESSIONS
def test_the_episodes_of_a_session_are_of_known_kinds_and_strengths_on_its_nodes(path: Path) -> None:
    nodes = {name.node for name in read(path).nodes}
    for episode in dataset.episodes(path):
        assert 0 < episode.strength <= max(LEVEL_OF[path].kinds[episode.kind].strengths)
        assert episode.node in nodes
        assert episode.start_ms < episode.end_ms


@SESSIONS
def test_every_episode_of_a_session_has_rows(path: Path) -> None:
    table = read(path)
    for episode in dataset.episodes(path):
        assert dataset.attacked_rows(table, [episode]).sum() >= 3


@SESSIONS
def test_a_session_begins_without_an_attack_and_is_attacked_less_than_40_percent_of_the_time(path: Path) -> None:
    table = read(path)
    first_attack_ms = min(episode.start_ms for episode in dataset.episodes(path))
    span_ms = int(table.time_ms.max() - table.time_ms.min())
    assert first_attack_ms - int(table.time_ms.min()) >= 0.15 * span_ms
    assert table.attack is not None
    assert table.attack.mean() <= 0.4


def test_all_sessions_of_nodes_together_have_six_episodes_of_every_kind_in_every_strength() -> None:
    every = [episode for path, level in LEVEL_OF.items() if level is NODES for episode in dataset.episodes(path)]
    for kind in NODES.kinds.values():
        own = [episode for episode in every if episode.kind == kind.name]
        assert len(own) >= 6
        assert {episode.strength for episode in own} >= set(kind.strengths)


def test_no_node_is_in_two_sessions() -> None:
    nodes = [name for path in LEVEL_OF for name in read(path).nodes]
    assert len(nodes) == len(set(nodes))
