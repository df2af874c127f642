"""Whatever the order in which samples come, the rows are the same in the end."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.columns import Rows
from receiver.rows.assembler import TURN_ROWS
from tests.rows.bench import CATALOGUE, DEADLINE_MS, HORIZON_MS, T0, Bench, Departed
from tests.torn_scrapes import DISK_A, DISK_B, IDLE_0, IDLE_1, LOAD_1, Sample, Torn, torn_scrapes
from tests.torn_scrapes import FEATURES as TORN_FEATURES

SCRAPES = [
    [
        (labels, T0 + step * 10_000, 100.0 + 7 * step * place)
        for place, labels in enumerate((IDLE_0, IDLE_1, LOAD_1, DISK_A, DISK_B))
    ]
    for step in range(4)
]


def rows_of(requests: Sequence[Sequence[Sample]]) -> list[tuple[int, list[float], list[float]]]:
    bench = Bench()
    found = []
    for place, request in enumerate(requests):
        bench.send(request, T0 + place)
        found += list_of(bench.depart(T0 + place))
    more = True
    while more:
        departed = bench.depart(T0 + DEADLINE_MS + len(requests))
        found += list_of(departed)
        more = departed.more
    return found


def list_of(departed: Departed) -> list[tuple[int, list[float], list[float]]]:
    rows = departed.rows
    return list(zip(rows.time_ms.tolist(), rows.raw.tolist(), rows.x.tolist(), strict=True))


@given(data=st.data())
def test_any_split_and_interleaving_of_scrapes_gives_the_same_rows(data: st.DataObject) -> None:
    whole = rows_of([[sample for scrape in SCRAPES for sample in scrape]])
    # Senders keep the order of each series, and of nothing else.
    queues = [[scrape[place] for scrape in SCRAPES] for place in range(5)]
    requests: list[list[Sample]] = [[]]
    while any(queues):
        queue = data.draw(st.sampled_from([queue for queue in queues if queue]))
        requests[-1].append(queue.pop(0))
        if data.draw(st.booleans()):
            requests.append([])
    again = data.draw(st.lists(st.sampled_from(requests), max_size=3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("receiver.rows.assembler.TURN_ROWS", data.draw(st.sampled_from([1, 2, TURN_ROWS])))
        got = rows_of([*requests, *again])
    assert len(got) == len(whole) == len(SCRAPES)
    for mine, theirs in zip(got, whole, strict=True):
        assert mine[0] == theirs[0]
        np.testing.assert_array_equal(mine[1], theirs[1])
        np.testing.assert_array_equal(mine[2], theirs[2])


def stored(torn: Torn, bench: Bench) -> dict[int, dict[str, float]]:
    """What a store holds in the end, of all that is not missing."""
    arrivals = dict.fromkeys(at_ms for at_ms, _ in torn.requests)
    flushes = {at_ms + wait_ms for at_ms in arrivals for wait_ms in (0, DEADLINE_MS, DEADLINE_MS + HORIZON_MS)}
    found: dict[int, dict[str, float]] = {}
    for at_ms in sorted(flushes):
        for _, samples in (request for request in torn.requests if request[0] == at_ms):
            bench.send([(labels, T0 + time_ms, value) for labels, time_ms, value in samples], T0 + at_ms)
        departed = bench.depart(T0 + at_ms)
        for time_ms, values in of(departed.rows) + of(departed.remade):
            found.setdefault(time_ms - T0, {}).update(values)
        for time_ms, values in of(departed.fills):
            found[time_ms - T0] = values | found.get(time_ms - T0, {})
    assert bench.assembler.open_rows == 0
    return found


def of(rows: Rows) -> list[tuple[int, dict[str, float]]]:
    columns = {name: CATALOGUE.feature_names.index(name) for name in TORN_FEATURES}
    return [
        (time_ms, {name: values[column] for name, column in columns.items() if not math.isnan(values[column])})
        for time_ms, values in zip(rows.time_ms.tolist(), rows.raw.tolist(), strict=True)
    ]


@given(torn=torn_scrapes(series_come=True, first_in_time=False))
def test_whatever_connection_is_behind_all_rows_are_exact_in_the_end(torn: Torn) -> None:
    assert stored(torn, Bench(spare_samples=1_000_000)) == torn.expected


@given(torn=torn_scrapes(series_come=False, first_in_time=True))
def test_without_room_to_spare_rows_of_known_series_are_exact_in_the_end(torn: Torn) -> None:
    assert stored(torn, Bench()) == torn.expected


@given(torn=torn_scrapes(series_come=False, first_in_time=True))
def test_without_any_room_what_is_stored_of_known_series_is_exact_or_missing(torn: Torn) -> None:
    found = stored(torn, Bench(torn_samples=0))
    assert found.keys() <= torn.expected.keys()
    for time_ms, values in found.items():
        assert values.items() <= torn.expected[time_ms].items()
