"""What is written to the tables of the embedded file, and deleted from them."""

# Identifiers in statements come from a Catalogue, which allows only a-z, 0-9 and _; values are always parameters.
# ruff: noqa: S608

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from receiver.catalogue import Catalogue
from receiver.store.embedded.schema import quoted

ADD_LABEL = (  # [the columns of `labelling.columns`]
    "INSERT INTO labels (digest, cluster, node, start_ms, end_ms, attack, verdict, details, author, created_ms, "
    "score, model, moment, key, revision, withdrawn) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (digest) DO NOTHING"
)
ADD_MUTE = (  # [the columns of `mutes.columns`]
    "INSERT INTO mutes (digest, cluster, node, until_ms, reason, author, at_ms) VALUES (?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (digest) DO NOTHING"
)

# Rows of one INSERT where there are so many: a statement of its own for each row costs half as much again.
STATEMENT_ROWS = 8


@dataclass(frozen=True, slots=True)
class Insert:
    """One INSERT, for one row's parameters, and for those of `STATEMENT_ROWS` rows one after the other."""

    one: str
    several: str

    def run(self, connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows, in order."""
        together = len(rows) - len(rows) % STATEMENT_ROWS
        groups = (rows[start : start + STATEMENT_ROWS] for start in range(0, together, STATEMENT_ROWS))
        if together:
            connection.executemany(self.several, (tuple(chain.from_iterable(group)) for group in groups))
        if together < len(rows):
            connection.executemany(self.one, rows[together:])


@dataclass(frozen=True, slots=True)
class Statements:
    """What is written to one catalogue's tables, and deleted; in brackets the parameters."""

    upsert_row: Insert  # [change, time_ms, node, feature…] a value wins over the stored one
    upsert_fill: Insert  # [change, time_ms, node, feature…] a value is taken where none is stored
    insert_score: Insert  # [change, time_ms, node, model, score, x, contribution] a stored score stays
    newest_changes: str  # [] the highest numbers in use, of samples and of scores
    delete_samples: str  # [before_ms, limit] the oldest
    delete_scores: str  # [before_ms, limit]
    delete_sample: str  # [change]
    delete_score: str  # [change]
    only_named: str  # [] ids of nodes of which there is neither row, score, state, label nor mute; not of the last one


def statements_of(catalogue: Catalogue) -> Statements:
    """The statements for this catalogue's tables."""
    samples, scores = quoted(f"{catalogue.name}_samples"), quoted(f"{catalogue.name}_scores")
    names = [quoted(name) for name in catalogue.feature_names]
    stored = [f"{samples}.{name}" for name in names]
    new_first = [f"COALESCE(excluded.{name}, {old})" for name, old in zip(names, stored, strict=True)]
    old_first = [f"COALESCE({old}, excluded.{name})" for name, old in zip(names, stored, strict=True)]

    def insert(table: str, columns: list[str], values: str, conflict: str) -> Insert:
        into = f"INSERT INTO {table} ({', '.join(columns)}) VALUES"
        one, several = (f"{into} {', '.join([values] * rows)} {conflict}" for rows in (1, STATEMENT_ROWS))
        return Insert(one, several)

    def upsert(late: int, merged: list[str], assignments: list[str], changed_if: str) -> Insert:
        # A row that stays as it is keeps its number, so that it is not passed on again.
        assigned = ", ".join([*assignments, *(f"{name} = {value}" for name, value in zip(names, merged, strict=True))])
        return insert(
            samples,
            ["change", "time_ms", "node", "late", *names],
            f"(?, ?, ?, {late}, {', '.join('?' * len(names))})",
            f"ON CONFLICT (time_ms, node) DO UPDATE SET {assigned} "
            f"WHERE {changed_if} ({', '.join(merged)}) IS NOT ({', '.join(stored)})",
        )

    def delete(table: str) -> str:
        oldest = f"SELECT change FROM {table} WHERE time_ms < ? ORDER BY time_ms LIMIT ?"
        return f"DELETE FROM {table} WHERE change IN ({oldest})"

    return Statements(
        upsert_row=upsert(0, new_first, ["change = excluded.change", "late = 0"], f"{samples}.late OR"),
        upsert_fill=upsert(1, old_first, ["change = excluded.change"], ""),
        insert_score=insert(
            scores,
            ["change", "time_ms", "node", "model", "score", "x", "contribution"],
            "(?, ?, ?, ?, ?, ?, ?)",
            "ON CONFLICT (time_ms, node) DO NOTHING",
        ),
        newest_changes=f"SELECT (SELECT MAX(change) FROM {samples}), (SELECT MAX(change) FROM {scores})",
        delete_samples=delete(samples),
        delete_scores=delete(scores),
        delete_sample=f"DELETE FROM {samples} WHERE change = ?",
        delete_score=f"DELETE FROM {scores} WHERE change = ?",
        # A node has no row that is newer than its last, so that one look at the oldest of all tells.
        only_named=(
            "SELECT id FROM nodes WHERE id < (SELECT MAX(id) FROM nodes) "
            f"AND last_row_ms < COALESCE((SELECT MIN(oldest) FROM (SELECT MIN(time_ms) AS oldest FROM {samples} "
            f"UNION ALL SELECT MIN(time_ms) FROM {scores})), {2**63 - 1}) AND id NOT IN (SELECT node FROM states) "
            "AND (cluster, name) NOT IN (SELECT cluster, node FROM labels UNION SELECT cluster, node FROM mutes)"
        ),
    )
