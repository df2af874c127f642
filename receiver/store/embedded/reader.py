"""Reading the embedded file, from any thread or process, while the service writes it.

`EmbeddedReader.open` costs some 0.3 ms: open one for a task, use it from one thread at a time, close it. It sees
what was committed when each block was asked for; a long export holds up nobody, because each block is a query of
its own. Raises `ConfigurationError` where there is no usable file or one of a newer version, `StoreUnavailable` where
it cannot be read now.

All that it writes is labels and mutes, since `nodescore label` and `nodescore mute` are processes of their own.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from receiver.catalogue import Catalogue
from receiver.columns import Float32, NodeName, Rows, Scores
from receiver.store import labelling, mutes
from receiver.store.embedded.queries import READ_LABEL_HISTORY, READ_LABELS, READ_MUTES, queries_of
from receiver.store.embedded.schema import refuse_newer
from receiver.store.embedded.sqlite import Sync, connect, opening, reading, transaction
from receiver.store.embedded.statements import ADD_LABEL, ADD_MUTE
from receiver.store.mutes import MUTES_READ, Mute
from receiver.store.protocol import Label, Peak
from receiver.store.vectors import Vectors

# Rows of a block: 24 features of them are 1.6 MiB, and a query of them takes some 30 ms.
READ_ROWS = 8192


class EmbeddedReader:
    """The rows, scores, labels and nodes of one embedded file."""

    def __init__(self, connection: sqlite3.Connection, path: Path, catalogue: Catalogue) -> None:
        self.path = path
        self.catalogue = catalogue
        self._connection = connection
        self._queries = queries_of(connection, catalogue)
        self._vectors: Vectors[bytes] = Vectors(
            catalogue.feature_names, self._features_of_model, _unpacked, lambda features: 4 * features
        )

    @classmethod
    def open(cls, path: Path, catalogue: Catalogue, sync: Sync = "full") -> Self:
        """Open the file that a service has made at `path`; `sync` concerns what is written here."""
        connection = connect(path, sync)
        with opening(connection, path):
            refuse_newer(connection, path)
            return cls(connection, path, catalogue)

    def nodes(self) -> dict[int, NodeName]:
        """The names of all node ids."""
        with reading():
            found = self._connection.execute("SELECT id, cluster, name FROM nodes ORDER BY id")
            return {id_: NodeName(cluster, name) for id_, cluster, name in found}

    def read_rows(self, since_ms: int, until_ms: int, nodes: Sequence[int] | None = None) -> Iterator[Rows]:
        """Rows with since ≤ time < until in blocks of at most `READ_ROWS`, by (time, node)."""
        if self._queries is None:
            return
        for found in self._blocks(self._queries.rows, since_ms, until_ms, nodes):
            yield self._vectors.rows(found)

    def read_scores(self, since_ms: int, until_ms: int, nodes: Sequence[int] | None = None) -> Iterator[Scores]:
        """Scores with since ≤ time < until in blocks of at most `READ_ROWS`, by (time, node)."""
        if self._queries is None:
            return
        for found in self._blocks(self._queries.scores, since_ms, until_ms, nodes):
            yield self._vectors.scores(found)

    def before_scores_of(self, since_ms: int, most: int) -> int:
        """The number of the last change before the first one that scored a row since then, or the last `most` rows.

        See `scored_after`.
        """
        if self._queries is None:
            return 0
        with reading():
            return int(self._connection.execute(self._queries.before_scores, (since_ms, most)).fetchone()[0])

    def scored_after(self, change: int, most: int) -> tuple[int, Scores]:
        """The next scores in the order in which they were made, without contributions, and the last one's number."""
        found = []
        if self._queries is not None:
            with reading():
                found = self._connection.execute(self._queries.inputs, (change, most)).fetchall()
        if not found:
            return change, Scores.empty(len(self.catalogue.feature_names))
        changes, time_ms, node, model, score, x = zip(*found, strict=True)
        vectors = self._vectors.align(model, x)
        nothing = np.broadcast_to(np.array(np.nan, np.float32), vectors.shape)
        return changes[-1], Scores(
            np.array(node, np.int32), np.array(time_ms, np.int64), np.array(score, np.float32), vectors, nothing
        )

    def last_row_ms(self) -> dict[int, int]:
        """The time of each node's newest row, also where the row is no longer here."""
        with reading():
            return dict(
                self._connection.execute("SELECT id, last_row_ms FROM nodes WHERE last_row_ms IS NOT NULL").fetchall()
            )

    def add_label(self, label: Label) -> int:
        """Keep a label; the id that it got."""
        labelling.check(label)
        label = self.scored(label)
        with transaction(self._connection):
            return self._insert_label(label)

    def revise_label(self, label: Label) -> int:
        """Keep a later revision; the id that it got. Raises `Conflict` where it does not follow the newest one."""
        labelling.check(label)
        label = self.scored(label)
        with transaction(self._connection):
            labelling.require_newest(label, next(iter(reversed(self.label_history(label.key))), None))
            return self._insert_label(label)

    def labels(self, since_ms: int, until_ms: int) -> list[Label]:
        """Labels that hold now and touch since ≤ t < until, by start."""
        with reading():
            found = self._connection.execute(READ_LABELS, (since_ms, until_ms)).fetchall()
        return [labelling.from_columns(row) for row in found]

    def label_history(self, key: str) -> list[Label]:
        """All revisions of a label, the one that holds last."""
        with reading():
            found = self._connection.execute(READ_LABEL_HISTORY, (key,)).fetchall()
        return [labelling.from_columns(row) for row in found]

    def add_mute(self, mute: Mute) -> None:
        """Keep an entry; one that is there already stays as it is."""
        mutes.check(mute)
        with transaction(self._connection):
            self._connection.execute(ADD_MUTE, mutes.columns(mute))

    def mutes(self, since_ms: int) -> list[Mute]:
        """The entries that were made since then, in their order; the last `MUTES_READ`."""
        with reading():
            found = self._connection.execute(READ_MUTES, (since_ms, MUTES_READ)).fetchall()
        return [mutes.from_columns(row) for row in reversed(found)]

    def scored_around(self, name: NodeName, start_ms: int, end_ms: int) -> tuple[int | None, int | None]:
        """The times of a node's last score before an interval, and of its first one after it."""
        if self._queries is None:
            return None, None
        with reading():
            before = self._connection.execute(self._queries.score_before, (*name, start_ms)).fetchone()
            after = self._connection.execute(self._queries.score_after, (*name, end_ms)).fetchone()
        return before and before[0], after and after[0]

    def highest_below(self, since_ms: int, until_ms: int, most: int) -> list[Peak]:
        """Of the nodes that were never over the threshold in since ≤ time < until, those that came nearest to it."""
        if self._queries is None:
            return []
        with reading():
            found = self._connection.execute(self._queries.highest_below, (since_ms, until_ms, most)).fetchall()
        return [Peak(NodeName(cluster, name), time_ms, score) for cluster, name, time_ms, score in found]

    def close(self) -> None:
        """Give up the file."""
        self._connection.close()

    def _blocks(
        self, selection: str, since_ms: int, until_ms: int, nodes: Sequence[int] | None
    ) -> Iterator[list[tuple[Any, ...]]]:
        # One JSON parameter, because a list of nodes may be longer than SQLite's limit of parameters.
        chosen = "" if nodes is None else "AND s.node IN (SELECT value FROM json_each(?)) "
        extra = () if nodes is None else (json.dumps([int(node) for node in nodes]),)
        query = (
            f"{selection} WHERE (s.time_ms, s.node) > (?, ?) AND s.time_ms < ? {chosen}"
            "ORDER BY s.time_ms, s.node LIMIT ?"
        )
        last = (since_ms, -1)
        while True:
            with reading():
                found = self._connection.execute(query, (*last, until_ms, *extra, READ_ROWS)).fetchall()
            if found:
                yield found
            if len(found) < READ_ROWS:
                return
            last = found[-1][:2]

    def _features_of_model(self, model: int) -> list[str]:
        with reading():
            found = self._connection.execute("SELECT features FROM models WHERE id = ?", (model,)).fetchone()
        return list(json.loads(found[0])) if found else []

    def _insert_label(self, label: Label) -> int:
        self._connection.execute(ADD_LABEL, labelling.columns(label))
        (id_,) = self._connection.execute(
            "SELECT id FROM labels WHERE digest = ?", (labelling.digest(label),)
        ).fetchone()
        return int(id_)

    def scored(self, label: Label) -> Label:
        """The label with the highest score of its interval, where it has none yet and there is one here."""
        if label.score is not None or self._queries is None:
            return label
        with reading():
            highest = self._connection.execute(
                self._queries.highest_score, (label.start_ms, label.end_ms, *label.name)
            ).fetchone()
        if highest is None:
            return label
        score, version, time_ms, model, x, contribution = highest
        shares = None if contribution is None else np.frombuffer(contribution, "<f4").tolist()
        seen = np.frombuffer(x, "<f4").tolist()
        moment = labelling.moment(time_ms, self._features_of_model(model), seen, shares)
        return labelling.with_score(label, score, version, moment)


def _unpacked(blobs: list[bytes], features: int) -> Float32:
    return np.frombuffer(b"".join(blobs), "<f4").reshape(len(blobs), features)
