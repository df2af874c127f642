"""Mutes over two stores: either gets what the other has, and while the common one is away this service's own counts."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from receiver.columns import NodeName
from receiver.errors import NotFound, StoreUnavailable
from receiver.muting import Mutes
from receiver.store import Mute
from receiver.store.embedded import EmbeddedReader, EmbeddedStore
from receiver.store.mutes import MAX_MUTE_MS
from tests.store.data import CATALOGUE, HOUR_MS, T0

PUMP = NodeName("east", "pump-1")


class Replica:
    """A service's mutes over its own file and one that all share, which may be away."""

    def __init__(self, folder: Path, name: str) -> None:
        self.away = False
        self.shown: dict[NodeName, int] = {}
        self._folder = folder
        for file in (name, "common"):
            EmbeddedStore.open(folder / file, CATALOGUE).close()
        self.mutes = Mutes(lambda: self.reader(name), self.common, self.show)

    def reader(self, file: str) -> EmbeddedReader:
        return EmbeddedReader.open(self._folder / file, CATALOGUE)

    def common(self) -> EmbeddedReader:
        if self.away:
            raise StoreUnavailable("away")
        return self.reader("common")

    def show(self, until_ms: Mapping[NodeName, int]) -> None:
        self.shown = dict(until_ms)


@pytest.fixture
def replicas(tmp_path: Path) -> tuple[Replica, Replica]:
    return Replica(tmp_path, "one"), Replica(tmp_path, "two")


def test_a_mute_holds_at_once_until_its_time_has_come(replicas: tuple[Replica, Replica]) -> None:
    one, _ = replicas
    made = one.mutes.mute(PUMP, HOUR_MS, "a backup", "ann", T0)
    assert made == Mute(PUMP, T0 + HOUR_MS, "a backup", "ann", T0)
    assert one.shown == {PUMP: T0 + HOUR_MS}
    assert one.mutes.holding(T0 + HOUR_MS - 1) == {PUMP: made}
    assert one.mutes.holding(T0 + HOUR_MS) == {}


def test_other_replicas_follow_it_and_its_end_and_the_history_stays(replicas: tuple[Replica, Replica]) -> None:
    one, two = replicas
    one.mutes.mute(PUMP, HOUR_MS, "a backup", "ann", T0)
    for each in replicas:
        each.mutes.look(T0)
    assert two.mutes.holding(T0 + 9)[PUMP].author == "ann"
    two.mutes.end(PUMP, "done", "bob", T0 + 9)
    for each in reversed(replicas):
        each.mutes.look(T0 + 9)
    assert one.mutes.holding(T0 + 9) == {}
    assert [(entry.author, entry.reason) for entry in one.mutes.history(T0)] == [("ann", "a backup"), ("bob", "done")]
    assert one.mutes.history(T0) == two.mutes.history(T0)


def test_while_the_common_store_is_away_a_replica_mutes_and_passes_it_on_later(
    replicas: tuple[Replica, Replica],
) -> None:
    one, two = replicas
    one.away = True
    made = one.mutes.mute(PUMP, HOUR_MS, "a backup", "ann", T0)
    with pytest.raises(StoreUnavailable):
        one.mutes.look(T0)
    assert one.mutes.holding(T0) == {PUMP: made}
    one.away = False
    for each in replicas:
        each.mutes.look(T0 + 1)
    assert two.mutes.holding(T0 + 1) == {PUMP: made}


def test_what_another_replica_muted_is_known_after_a_restart_while_the_common_store_is_away(
    replicas: tuple[Replica, Replica],
) -> None:
    one, two = replicas
    one.mutes.mute(PUMP, HOUR_MS, "a backup", "ann", T0)
    for each in replicas:
        each.mutes.look(T0)
    again = Mutes(lambda: two.reader("two"))
    again.look(T0 + 1)
    assert again.holding(T0 + 1).keys() == {PUMP}


def test_an_end_that_was_made_by_a_slower_clock_holds(replicas: tuple[Replica, Replica]) -> None:
    one, two = replicas
    one.mutes.mute(PUMP, HOUR_MS, "", "ann", T0)
    for each in replicas:
        each.mutes.look(T0)
    two.mutes.end(PUMP, "", "bob", T0 - 60_000)
    two.mutes.look(T0)
    one.mutes.look(T0)
    assert one.mutes.holding(T0) == {}
    assert one.shown == {}


def test_a_node_that_is_not_muted_cannot_be_heard_again(replicas: tuple[Replica, Replica]) -> None:
    with pytest.raises(NotFound, match="node 'pump-1' is not muted"):
        replicas[0].mutes.end(PUMP, "", "bob", T0)


def test_what_a_command_has_written_is_known_with_the_next_look(replicas: tuple[Replica, Replica]) -> None:
    one, _ = replicas
    with closing(one.reader("one")) as reader:
        reader.add_mute(Mute(PUMP, T0 + MAX_MUTE_MS, "", "ann", T0))
    one.mutes.look(T0 + MAX_MUTE_MS - 1)
    assert one.mutes.holding(T0 + MAX_MUTE_MS - 1).keys() == {PUMP}
