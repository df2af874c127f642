"""An assembler and its features, fed by labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from receiver import catalogue
from receiver.columns import Bool, Rows, Samples
from receiver.features import Features
from receiver.rows import Assembler, GivenUp, Room, Timing
from receiver.series import SeriesTable
from tests.torn_scrapes import Sample

CATALOGUE = catalogue.load()
CPU, LOAD, DISK, AVAILABLE = (
    CATALOGUE.feature_names.index(n) for n in ("cpu_sec_idle", "load1", "disk_read", "mem_av_per")
)
DEADLINE_MS, HORIZON_MS = 7000, 60_000
T0 = 1_763_600_000_000

FEATURES = Features(CATALOGUE)


@dataclass(frozen=True)
class Departed:
    """Rows that have left, with their features."""

    rows: Rows
    incomplete: Bool
    remade: Rows
    fills: Rows
    more: bool
    given_up: GivenUp


class Bench:
    """An assembler fed by labels, with a journal number for each request."""

    def __init__(self, spare_samples: int = 0, torn_samples: int = 1_000_000) -> None:
        self.table = SeriesTable(CATALOGUE, 10_000, 10_000)
        timing, room = Timing(DEADLINE_MS, HORIZON_MS, 300_000), Room(spare_samples, torn_samples)
        self.assembler = Assembler(self.table, len(CATALOGUE.terms), timing, room)
        self.seq = 0

    def send(self, samples: Sequence[Sample], now_ms: int, instance: str = "a:9100") -> None:
        self.seq += 1
        ids = [self.table.resolve({"instance": instance, "job": "node", **labels}) for labels, _, _ in samples]
        times, values = [time_ms for _, time_ms, _ in samples], [value for _, _, value in samples]
        self.assembler.add(
            Samples(np.array(ids, np.int32), np.array(times, np.int64), np.array(values, np.float64)), self.seq, now_ms
        )

    def warm(self, *labels: dict[str, str], value: float = 100.0) -> None:
        """A first scrape at T0, which has left at its deadline."""
        self.send([(one, T0, value) for one in labels], T0)
        assert len(self.depart(T0 + DEADLINE_MS).rows) == 1

    def depart(self, now_ms: int) -> Departed:
        departure = self.assembler.depart(now_ms)
        again, fills = FEATURES.rows(departure.again), departure.again.fills
        rows, incomplete = FEATURES.rows(departure.rows), departure.rows.incomplete
        return Departed(rows, incomplete, again.where(~fills), again.where(fills), departure.more, departure.given_up)


def raw(departed: Departed, feature: int) -> list[float]:
    return [float(value) for value in departed.rows.raw[:, feature]]


def x(departed: Departed, feature: int) -> list[float]:
    return [float(value) for value in departed.rows.x[:, feature]]
