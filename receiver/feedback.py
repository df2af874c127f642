"""What operators have said of their nodes, and what was scored then, over both stores.

With a TimescaleDB, labels are read and changed there, since every replica's are there, and a label is kept here too:
this service learns from it, and passes it on if the database had it not. While the database is away, what is here is
used, and `source` of the answer says so; two replicas that change one label meanwhile both have their revision kept,
and the later one holds.

Without a label's score nobody could tell what it is about, so that one of a time without any is refused: `NoData`,
with the nearest times that have one. `NotFound` for a node or label that is not known, `Conflict` for a revision that
does not follow the newest one, `DataError` for what cannot be meant, `StoreUnavailable` where neither store answers.
Each call opens its own readers: some 0.3 ms here, and a connection to the database.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from receiver import audit
from receiver.audit import Offer
from receiver.columns import NodeName, Scores
from receiver.errors import DataError, NoData, NotFound, StoreUnavailable
from receiver.store import Label, RowReader, labelling

# The search for the highest score looks at every node's rows of the interval.
MAX_LABEL_MS = 7 * 24 * 3_600_000
# By which the clock of who labels may be ahead.
MAX_AHEAD_MS = 60_000
HERE = "this service"
COMMON = "TimescaleDB"
AWAY = "this service alone: TimescaleDB does not answer"

NOTHING = Scores.empty(0)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Said:
    """Labels, by start, and where they were read."""

    labels: list[Label]
    source: str


@dataclass(frozen=True, slots=True)
class Past:
    """What was scored of one node, by time, what was said of it, and where both were read."""

    scores: Scores  # node ids mean nothing
    labels: list[Label]
    source: str


@dataclass(frozen=True, slots=True)
class Audited:
    """Moments below the threshold, each with what somebody has said of it since, and where they were read."""

    offers: list[tuple[Offer, Label | None]]
    source: str


class Feedback:
    """`here` opens the embedded file, `common` connects to the TimescaleDB where there is one."""

    def __init__(self, here: Callable[[], RowReader], common: Callable[[], RowReader] | None = None) -> None:
        self._here = here
        self._common = common

    def name_of(self, node: str, cluster: str | None) -> NodeName:
        """The full name of a node that has ever had a row; `cluster` is needed where several have it."""
        with self._opened() as (readers, _):
            names = {name for reader in readers for name in reader.nodes().values() if name.node == node}
        found = sorted(name for name in names if cluster in (None, name.cluster))
        if not found:
            raise NotFound(f"no node {node!r}{'' if cluster is None else f' in cluster {cluster!r}'} is known")
        if len(found) > 1:
            clusters = ", ".join(repr(name.cluster) for name in found)
            raise DataError(f"node {node!r} is in several clusters; say which: {clusters}")
        return found[0]

    def add(self, label: Label, now_ms: int) -> Label:
        """Keep a new label; as it is stored, with the score that its interval had."""
        return self._keep(label, now_ms, lambda reader, whole: reader.add_label(whole))

    def revise(self, label: Label, now_ms: int) -> Label:
        """Keep a revision, whose number follows that of the revision that it edits; as it is stored."""
        return self._keep(label, now_ms, lambda reader, whole: reader.revise_label(whole))

    def labels(self, since_ms: int, until_ms: int) -> Said:
        """Labels that hold now and touch since ≤ t < until."""
        with self._opened() as (readers, source):
            return Said(readers[0].labels(since_ms, until_ms), source)

    def history(self, key: str) -> Said:
        """All revisions of a label, the one that holds last."""
        with self._opened() as (readers, source):
            said = Said(readers[0].label_history(key), source)
        if not said.labels:
            raise NotFound(f"there is no label {key!r}")
        return said

    def past(self, name: NodeName, since_ms: int, until_ms: int) -> Past:
        """The scores of a node with since ≤ time < until, and the labels that touch them."""
        with self._opened() as (readers, source):
            labels = [label for label in readers[0].labels(since_ms, until_ms) if label.name == name]
            scores = _scores(readers[0], name, since_ms, until_ms)
            for reader in readers[1:]:  # what has not been passed on yet
                newer = int(scores[-1].time_ms[-1]) + 1 if scores else since_ms
                scores += _scores(reader, name, newer, until_ms)
        features = scores[0].x.shape[1] if scores else 0
        return Past(Scores.joined(scores, features), labels, source)

    def audit(self, day_ms: int) -> Audited:
        """What is offered for a look below the threshold of the day that begins then; see `receiver.audit`."""
        with self._opened() as (readers, source):
            reader, names = readers[0], readers[0].nodes()
            labels = reader.labels(day_ms, day_ms + audit.DAY_MS)
            peaks = [
                peak
                for since_ms, until_ms in audit.windows(day_ms, len(names))
                for peak in reader.highest_below(since_ms, until_ms, audit.HIGHEST)
            ]
            offers = audit.highest(peaks, labels, day_ms)
            blocks = ((at_ms, reader.read_scores(at_ms, at_ms + audit.SLICE_MS)) for at_ms in audit.instants(day_ms))
            drawn = (audit.drawn(next(block, NOTHING), names, labels, day_ms, at_ms) for at_ms, block in blocks)
            offers += islice(filter(None, drawn), audit.DRAWN)
        return Audited([(offer, audit.answer_to(offer, labels)) for offer in offers], source)

    def _keep(self, label: Label, now_ms: int, keep: Callable[[RowReader, Label], int]) -> Label:
        labelling.check(label)
        if label.end_ms - label.start_ms > MAX_LABEL_MS:
            raise DataError("label: is of more than 7 days; label the part of it that matters")
        if label.end_ms > now_ms + MAX_AHEAD_MS:
            raise DataError("label: ends in the future")
        with self._opened() as (readers, _):
            whole = self._scored(readers, label)
            keep(readers[0], whole)
            for reader in readers[1:]:
                reader.add_label(whole)
            kept = readers[0].label_history(labelling.key_of(whole))
        return next(one for one in kept if labelling.digest(one) == labelling.digest(whole))

    def _scored(self, readers: Sequence[RowReader], label: Label) -> Label:
        """With the highest score that any store has of its time."""
        if label.withdrawn:
            return label
        found = [reader.scored(label) for reader in readers]
        best = max(found, key=lambda one: -np.inf if one.score is None else one.score)
        if best.score is not None:
            return best
        around = [reader.scored_around(label.name, label.start_ms, label.end_ms) for reader in readers]
        raise NoData(
            f"node {label.name.node!r} was not scored between {_utc(label.start_ms)} and {_utc(label.end_ms)}; "
            + nearest(around)
        )

    @contextmanager
    def _opened(self) -> Iterator[tuple[list[RowReader], str]]:
        """The readers, the one to believe first, and what it is."""
        with closing(self._here()) as here:
            if self._common is None:
                yield [here], HERE
                return
            try:
                common = self._common()
            except StoreUnavailable as error:
                log.warning("labels are read and kept here alone: %s", error)
                yield [here], AWAY
                return
            with closing(common):
                yield [common, here], COMMON


def next_revision(before: Label, after: Label) -> Label:
    """`after` as the revision that follows `before`; of the same interval, it is about the same row."""
    revised = replace(after, key=before.key, revision=before.revision + 1)
    if (before.start_ms, before.end_ms) != (after.start_ms, after.end_ms):
        return replace(revised, score=None, model_version=None, moment=None)
    return replace(revised, score=before.score, model_version=before.model_version, moment=before.moment)


def _scores(reader: RowReader, name: NodeName, since_ms: int, until_ms: int) -> list[Scores]:
    ids = [id_ for id_, known in reader.nodes().items() if known == name]
    return [block for block in reader.read_scores(since_ms, until_ms, ids) if len(block)] if ids else []


def nearest(around: Sequence[tuple[int | None, int | None]]) -> str:
    """The nearest scores before and after an interval that has none, of what each store has, said in words."""
    earlier = [before for before, _ in around if before is not None]
    later = [after for _, after in around if after is not None]
    last = f"its last score before is of {_utc(max(earlier))}" if earlier else ""
    first = f"its first one after is of {_utc(min(later))}" if later else ""
    return ", ".join(filter(None, (last, first))) or "no store has any score of it"


def _utc(time_ms: int) -> str:
    return str(np.datetime64(time_ms, "ms")) + "Z"
