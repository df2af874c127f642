"""What the embedded file has not passed on yet, in the order in which it changed.

`PendingReader` is the outbox's connection to the file, beside the pipeline's. `pending` gives what stands behind the
watermarks; `passed_on` moves them, and `trim` deletes what stands before them. A row that changes while it is being
passed on gets a new number, so that it comes again: nothing is lost, and what comes twice does no harm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from receiver.columns import Rows, Scores
from receiver.store import labelling
from receiver.store.embedded.progress import (
    FORWARDED_LABEL,
    FORWARDED_SAMPLE_CHANGE,
    FORWARDED_SCORE_CHANGE,
    LAST_SAMPLE_CHANGE,
    LAST_SCORE_CHANGE,
    SET_PROGRESS,
    read_progress,
)
from receiver.store.embedded.queries import PENDING_LABELS
from receiver.store.embedded.reader import EmbeddedReader
from receiver.store.embedded.sqlite import reading, transaction
from receiver.store.embedded.statements import statements_of
from receiver.store.protocol import Label, States
from receiver.store.vectors import numbers

# Rows deleted in one transaction: the pipeline waits for its end, some 5 ms.
TRIM_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Watermarks:
    """How far each table has been passed on."""

    sample_change: int
    score_change: int
    label: int


@dataclass(frozen=True, slots=True)
class Pending:
    """A block that waits; its watermarks hold once all of it has been passed on."""

    rows: Rows
    fills: Rows  # rows made of late pieces alone: elsewhere they only fill
    scores: tuple[tuple[str, Scores], ...]  # by model version
    labels: tuple[Label, ...]
    watermarks: Watermarks
    rows_behind: int  # rows that wait behind this block, at most

    def __len__(self) -> int:
        scores = sum(len(scores) for _, scores in self.scores)
        return len(self.rows) + len(self.fills) + scores + len(self.labels)

    @property
    def row_count(self) -> int:
        """Rows, or scores where more of them wait."""
        return max(len(self.rows) + len(self.fills), sum(len(scores) for _, scores in self.scores))

    @property
    def nodes(self) -> set[int]:
        """The ids of all nodes in it."""
        return set(np.unique(np.concatenate([block.node for block in self._blocks])).tolist())

    @property
    def oldest_ms(self) -> int | None:
        """The time of the oldest row or score in it."""
        return min((int(block.time_ms.min()) for block in self._blocks if len(block)), default=None)

    @property
    def _blocks(self) -> list[Rows | Scores]:
        return [self.rows, self.fills, *(scores for _, scores in self.scores)]


class PendingReader(EmbeddedReader):
    """The embedded file, seen from the outbox."""

    def pending(self, limit: int, behind: Watermarks | None = None) -> Pending:
        """At most `limit` rows, scores and labels each, of one moment; behind the stored watermarks, or those given."""
        with reading():
            self._connection.execute("BEGIN")
            try:
                return self._pending(limit, self._watermarks() if behind is None else behind)
            finally:
                self._connection.rollback()

    def passed_on(self, watermarks: Watermarks) -> None:
        """Everything up to these watermarks is stored elsewhere."""
        with transaction(self._connection):
            self._connection.executemany(
                SET_PROGRESS,
                (
                    (FORWARDED_SAMPLE_CHANGE, watermarks.sample_change),
                    (FORWARDED_SCORE_CHANGE, watermarks.score_change),
                    (FORWARDED_LABEL, watermarks.label),
                ),
            )

    def states(self, passed_on_ms: Mapping[int, int]) -> list[States]:
        """The saved states that are newer than what was passed on of their nodes, by model."""
        with reading():
            found = self._connection.execute("SELECT node, model, time_ms, CAST(state AS BLOB) FROM states").fetchall()
        by_version: dict[tuple[str, int], list[tuple[Any, ...]]] = {}
        for node, version, time_ms, state in found:
            if time_ms > passed_on_ms.get(node, 0):
                by_version.setdefault((version, len(state)), []).append((node, time_ms, state))
        return [
            States(
                model_version=version,
                node=np.array([node for node, _, _ in rows], np.int32),
                time_ms=np.array([time_ms for _, time_ms, _ in rows], np.int64),
                state=np.frombuffer(b"".join(state for _, _, state in rows), "<f4").reshape(len(rows), -1),
            )
            for (version, _), rows in by_version.items()
        ]

    def trim(self, time_before_ms: int, limit: int) -> int:
        """Delete at most `limit` rows, and scores, that were passed on and are older; how many went."""
        if self._queries is None:
            return 0
        statements = statements_of(self.catalogue)
        done = self._watermarks()
        gone = 0
        for find, delete, watermark in (
            (self._queries.old_samples, statements.delete_sample, done.sample_change),
            (self._queries.old_scores, statements.delete_score, done.score_change),
        ):
            with reading():  # outside of a transaction, so that the search holds up nobody
                changes = self._connection.execute(find, (time_before_ms, watermark, limit)).fetchall()
            for start in range(0, len(changes), TRIM_ROWS):
                with transaction(self._connection):
                    # A row that has changed since has another number, and stays.
                    gone += self._connection.executemany(delete, changes[start : start + TRIM_ROWS]).rowcount
        return gone

    def _watermarks(self) -> Watermarks:
        with reading():
            progress = read_progress(self._connection)
        return Watermarks(
            progress.get(FORWARDED_SAMPLE_CHANGE, 0),
            progress.get(FORWARDED_SCORE_CHANGE, 0),
            progress.get(FORWARDED_LABEL, 0),
        )

    def _pending(self, limit: int, done: Watermarks) -> Pending:
        samples: list[tuple[Any, ...]] = []
        scores: list[tuple[Any, ...]] = []
        if self._queries is not None:
            execute = self._connection.execute
            samples = execute(self._queries.pending_samples, (done.sample_change, limit)).fetchall()
            scores = execute(self._queries.pending_scores, (done.score_change, limit)).fetchall()
        labels = self._connection.execute(PENDING_LABELS, (done.label, limit)).fetchall()
        progress = read_progress(self._connection)

        def reached(found: list[tuple[Any, ...]], last: str, so_far: int) -> int:
            # At the end, past the numbers that no row has any more.
            return int(found[-1][0]) if len(found) == limit else max(progress.get(last, 0), so_far)

        sample_change = reached(samples, LAST_SAMPLE_CHANGE, done.sample_change)
        score_change = reached(scores, LAST_SCORE_CHANGE, done.score_change)
        return Pending(
            rows=self._rows(samples, late=False),
            fills=self._rows(samples, late=True),
            scores=tuple(self._scores_by_model(scores)),
            labels=tuple(labelling.from_columns(row) for row in labels),
            watermarks=Watermarks(sample_change, score_change, labels[-1][9] if labels else done.label),
            rows_behind=max(
                progress.get(LAST_SAMPLE_CHANGE, 0) - sample_change,
                progress.get(LAST_SCORE_CHANGE, 0) - score_change,
                0,
            ),
        )

    def _rows(self, found: Sequence[tuple[Any, ...]], late: bool) -> Rows:
        """Of (change, late, time_ms, node, feature…) those that are late, or those that are not."""
        features = len(self.catalogue.feature_names)
        chosen = [row for row in found if bool(row[1]) == late]
        if not chosen:
            return Rows.empty(features)
        # At once, since that takes a quarter of the time of doing it by column; integers up to 2⁵³ are exact.
        table = numbers(chosen)
        return Rows(
            node=table[:, 3].astype(np.int32),
            time_ms=table[:, 2].astype(np.int64),
            raw=table[:, 4:].copy(),
            x=np.full((len(chosen), features), np.nan, np.float32),
        )

    def _scores_by_model(self, found: Sequence[tuple[Any, ...]]) -> list[tuple[str, Scores]]:
        """By version; without those of a model that nobody knows, which damage has made."""
        versions = dict(self._connection.execute("SELECT id, version FROM models").fetchall())
        wanted = sorted({versions[model] for model in {row[3] for row in found} if model in versions})
        return [
            (version, self._vectors.scores([row[1:] for row in found if versions.get(row[3]) == version]))
            for version in wanted
        ]
