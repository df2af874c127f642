"""What comes out of a request, and the collector that both versions fill."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from receiver.columns import Bool, Float64, Int32, Int64, Samples
from receiver.replicas import Replicas
from receiver.settings import MAX_FAULTS_NAMED, MAX_FUTURE_SECONDS

# Why a series, or a sample of a kept one, was refused.
Fault = Literal["malformed", "labels", "histogram", "limit", "too_old", "future"]


@dataclass(frozen=True, slots=True)
class Written:
    """What a v2 answer reports. A series that is deliberately not kept counts as written."""

    samples: int = 0
    histograms: int = 0
    exemplars: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """One request's worth of kept samples, and an account of all the others."""

    version: int
    samples: Samples
    written: Written
    faults: tuple[str, ...]  # the first few, for the body of the 400
    invalid: Mapping[Fault, int]  # refused series or samples, by reason
    duplicates: int  # samples of replicas that are not listened to

    @property
    def status(self) -> int:
        """204, or 400 where anything was invalid (the rest is kept all the same), or 202 where a replica was not."""
        return 400 if self.invalid else 202 if self.duplicates else 204

    @property
    def message(self) -> str:
        """The body of a 400 or 202."""
        if self.status == 202:
            return f"samples not kept: {self.duplicates}; another replica of the pair is listened to"
        total = sum(self.invalid.values())
        more = f"\n… and {total - len(self.faults)} more" if total > len(self.faults) else ""
        return "\n".join(self.faults) + more


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """Timestamps that are accepted of kept series, in Unix milliseconds, both ends included."""

    oldest_ms: int
    newest_ms: int

    @classmethod
    def around(cls, now_ms: int, max_age_seconds: float) -> TimeWindow:
        """The window at a moment."""
        return cls(now_ms - int(max_age_seconds * 1000), now_ms + MAX_FUTURE_SECONDS * 1000)


@dataclass(slots=True)
class Collector:
    """Gathers kept samples, counts and faults while a request is taken apart."""

    version: int
    window: TimeWindow
    replicas: Replicas
    now_ms: int
    samples: int = 0
    histograms: int = 0
    exemplars: int = 0
    duplicates: int = 0
    faults: list[str] = field(default_factory=list)
    invalid: dict[Fault, int] = field(default_factory=dict)
    _blocks: list[Samples] = field(default_factory=list)

    def refuse(self, reason: Fault, text: str, count: int = 1) -> None:
        """Note an invalid series or sample; `reason` is a metric label, `text` is for a person."""
        self.invalid[reason] = self.invalid.get(reason, 0) + count
        if len(self.faults) < MAX_FAULTS_NAMED:
            self.faults.append(text)

    def keep(self, series: Int32, replica: Int32, time_ms: Int64, value: Float64, show: Callable[[int], str]) -> None:
        """Take samples of kept series, of replicas that are listened to; those outside the window are refused.

        `show(i)` names the series of one.
        """
        mine = self.replicas.accepts(replica, self.now_ms)
        too_old = mine & (time_ms < self.window.oldest_ms)
        too_new = mine & (time_ms > self.window.newest_ms)
        fine = mine & ~too_old & ~too_new
        if not fine.all():
            self._refuse_samples("too_old", too_old, time_ms, f"is too old: the limit is {self.window.oldest_ms}", show)
            self._refuse_samples(
                "future", too_new, time_ms, f"is in the future: the limit is {self.window.newest_ms}", show
            )
            self.duplicates += len(mine) - int(np.count_nonzero(mine))
            self.samples += len(mine) - int(np.count_nonzero(mine))
            series, time_ms, value = series[fine], time_ms[fine], value[fine]
        self.samples += len(series)
        self._blocks.append(Samples(series, time_ms, value))

    def _refuse_samples(self, reason: Fault, which: Bool, time_ms: Int64, why: str, show: Callable[[int], str]) -> None:
        (refused,) = np.nonzero(which)
        named = refused[: MAX_FAULTS_NAMED - len(self.faults)].tolist()
        for index in named:
            self.refuse(reason, f"series {show(index)}: sample at {time_ms[index]} ms {why}")
        if len(refused) > len(named):  # no text is needed any more, and there may be millions
            self.refuse(reason, "", len(refused) - len(named))

    def batch(self) -> Batch:
        """All of it."""
        blocks = self._blocks
        samples = (
            blocks[0]
            if len(blocks) == 1
            else Samples(
                np.concatenate([np.empty(0, np.int32), *(block.series for block in blocks)]),
                np.concatenate([np.empty(0, np.int64), *(block.time_ms for block in blocks)]),
                np.concatenate([np.empty(0, np.float64), *(block.value for block in blocks)]),
            )
        )
        return Batch(
            version=self.version,
            samples=samples,
            written=Written(self.samples, self.histograms, self.exemplars),
            faults=tuple(self.faults),
            invalid=self.invalid,
            duplicates=self.duplicates,
        )
