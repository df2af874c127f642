"""Mutes are entries of which a node's last one holds: the same on SQLite and on a real TimescaleDB."""

from __future__ import annotations

from dataclasses import replace

import pytest

from receiver.columns import NodeName
from receiver.errors import DataError
from receiver.store import Mute, RowStore
from receiver.store.embedded.salvage.recognize import row_of
from receiver.store.mutes import MAX_MUTE_MS, columns, following, latest
from tests.store.data import HOUR_MS, T0

PUMP = NodeName("east", "pump-1")
MUTE = Mute(PUMP, T0 + HOUR_MS, "a naïve 🦊 backup", "ann", T0)
ENDED = Mute(PUMP, T0 + 5, "done", "bob", T0 + 5)


def test_entries_come_back_as_they_were_made_in_their_order(store: RowStore) -> None:
    other = replace(MUTE, name=NodeName("west", "pump-1"), at_ms=T0 - 1)
    for entry in (ENDED, MUTE, other):
        store.add_mute(entry)
    assert store.mutes(T0 - 1) == [other, MUTE, ENDED]
    assert store.mutes(T0 + 1) == [ENDED]


def test_an_entry_that_is_passed_on_twice_is_kept_once(store: RowStore) -> None:
    for _ in range(2):
        store.add_mute(MUTE)
    assert store.mutes(0) == [MUTE]


@pytest.mark.parametrize(
    "changed",
    [
        {"until_ms": T0 + MAX_MUTE_MS + 1},
        {"until_ms": T0 - 1},
        {"name": NodeName("east", "")},
        {"reason": "x" * 2001},
        {"author": "\x00"},
        {"reason": "\ud800"},
    ],
    ids=["long", "ends before", "no node", "long reason", "NUL", "surrogate"],
)
def test_what_cannot_be_meant_is_refused(store: RowStore, changed: dict[str, object]) -> None:
    with pytest.raises(DataError, match=r"^mute: "):
        store.add_mute(replace(MUTE, **changed))  # type: ignore[arg-type]
    assert store.mutes(0) == []


def test_of_a_nodes_entries_the_last_one_holds_in_whatever_order_they_come() -> None:
    at_once = replace(ENDED, at_ms=T0)
    for entries in ([MUTE, ENDED, at_once], [ENDED, at_once, MUTE]):
        assert latest(entries) == {PUMP: ENDED}
    assert latest([MUTE, at_once]) == latest([at_once, MUTE])


def test_an_entry_is_later_than_the_one_before_it_though_that_clock_was_ahead() -> None:
    assert following(MUTE, PUMP, 0, "", "bob", T0 - 9) == Mute(PUMP, T0 + 1, "", "bob", T0 + 1)


def test_an_entry_in_a_damaged_files_page_is_recognized_and_one_that_has_changed_is_not() -> None:
    assert row_of(7, [None, *columns(MUTE)]) == ("mutes", (7, *columns(MUTE)))
    with pytest.raises(ValueError, match="digest"):
        row_of(7, [None, *columns(MUTE)[:-1], T0 + 1])
