"""What is selected of the embedded file: labels and mutes, and rows and scores of one catalogue's tables."""

# Identifiers in statements come from a Catalogue, which allows only a-z, 0-9 and _; values are always parameters.
# ruff: noqa: S608

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from receiver.catalogue import Catalogue
from receiver.store.embedded.schema import columns_of, quoted

_LABEL = (
    "SELECT l.cluster, l.node, l.start_ms, l.end_ms, l.attack, l.verdict, l.details, l.author, l.created_ms, l.id, "
    "l.score, l.model, CAST(l.moment AS BLOB), l.key, l.revision, l.withdrawn FROM labels l"
)
# Two replicas that edit while TimescaleDB is away may both make the next revision: the later one holds.
READ_LABELS = (  # [since_ms, until_ms]
    f"{_LABEL} WHERE l.end_ms >= ? AND l.start_ms < ? AND NOT l.withdrawn AND NOT EXISTS "
    "(SELECT 1 FROM labels n WHERE n.key = l.key "
    "AND (n.revision, n.created_ms, n.digest) > (l.revision, l.created_ms, l.digest)) ORDER BY l.start_ms, l.id"
)
READ_LABEL_HISTORY = f"{_LABEL} WHERE l.key = ? ORDER BY l.revision, l.created_ms, l.digest"  # [key]
PENDING_LABELS = f"{_LABEL} WHERE l.id > ? ORDER BY l.id LIMIT ?"  # [id, limit]
READ_MUTES = (  # [since_ms, limit] the last ones first
    "SELECT cluster, node, until_ms, reason, author, at_ms FROM mutes WHERE at_ms >= ? "
    "ORDER BY at_ms DESC, digest DESC LIMIT ?"
)


@dataclass(frozen=True, slots=True)
class Queries:
    """The selections of one catalogue's tables, each with the table of its rows named `s`."""

    rows: str  # time_ms, node, model, x, feature…
    scores: str  # time_ms, node, model, score, x, contribution
    highest_score: (
        str  # [since_ms, until_ms (inclusive), cluster, name] score, version, time_ms, model, x, contribution
    )
    score_before: str  # [cluster, name, before_ms] time_ms of the last one
    score_after: str  # [cluster, name, after_ms] time_ms of the first one
    highest_below: str  # [since_ms, until_ms, most] cluster, name, time_ms, score of the nodes never over the threshold
    inputs: str  # [watermark, limit] change, time_ms, node, model, score, x
    pending_samples: str  # [watermark, limit] change, late, time_ms, node, feature…
    pending_scores: str  # [watermark, limit] change, time_ms, node, model, score, x, contribution
    before_scores: str  # [since_ms, most] the number before the first score since then, and of the last `most`
    old_samples: str  # [before_ms, watermark, limit] change: what has been passed on and is older
    old_scores: str  # [before_ms, watermark, limit] change


def queries_of(connection: sqlite3.Connection, catalogue: Catalogue) -> Queries | None:
    """The selections as far as the file has the tables: a column that it does not have yet is NULL."""
    samples, scores = quoted(f"{catalogue.name}_samples"), quoted(f"{catalogue.name}_scores")
    present = columns_of(connection, f"{catalogue.name}_samples")
    if not present:
        return None

    def old(table: str) -> str:
        return f"SELECT change FROM {table} WHERE time_ms < ? AND change <= ? ORDER BY time_ms LIMIT ?"

    # One changed bit makes a text of a vector, which would stop all who read it; cast, it has the same bytes as ever.
    x = "CAST(s.x AS BLOB)"
    vectors = f"{x}, CAST(s.contribution AS BLOB)"
    columns = ", ".join(f"s.{quoted(name)}" if name in present else "NULL" for name in catalogue.feature_names)
    near = (
        f"SELECT time_ms FROM {scores} WHERE node = (SELECT id FROM nodes WHERE cluster = ? AND name = ?) AND time_ms"
    )
    return Queries(
        rows=(
            f"SELECT s.time_ms, s.node, c.model, CAST(c.x AS BLOB), {columns} FROM {samples} s "
            f"LEFT JOIN {scores} c ON c.time_ms = s.time_ms AND c.node = s.node"
        ),
        scores=f"SELECT s.time_ms, s.node, s.model, s.score, {vectors} FROM {scores} s",
        highest_score=(
            f"SELECT s.score, m.version, s.time_ms, s.model, {vectors} FROM {scores} s "
            "JOIN models m ON m.id = s.model WHERE s.time_ms BETWEEN ? AND ? "
            "AND s.node = (SELECT id FROM nodes WHERE cluster = ? AND name = ?) ORDER BY s.score DESC LIMIT 1"
        ),
        score_before=f"{near} < ? ORDER BY time_ms DESC LIMIT 1",
        score_after=f"{near} > ? ORDER BY time_ms LIMIT 1",
        # Of a row with a max(), SQLite gives the other columns too.
        highest_below=(
            f"SELECT n.cluster, n.name, p.time_ms, p.score FROM (SELECT node, time_ms, max(score) AS score "
            f"FROM {scores} WHERE time_ms >= ? AND time_ms < ? GROUP BY node) p JOIN nodes n ON n.id = p.node "
            "WHERE p.score <= 1.0 ORDER BY p.score DESC, n.cluster, n.name LIMIT ?"
        ),
        inputs=(
            f"SELECT s.change, s.time_ms, s.node, s.model, s.score, {x} FROM {scores} s "
            "WHERE s.change > ? ORDER BY s.change LIMIT ?"
        ),
        pending_samples=(
            f"SELECT s.change, s.late, s.time_ms, s.node, {columns} FROM {samples} s "
            "WHERE s.change > ? ORDER BY s.change LIMIT ?"
        ),
        pending_scores=(
            f"SELECT s.change, s.time_ms, s.node, s.model, s.score, {vectors} FROM {scores} s "
            "WHERE s.change > ? ORDER BY s.change LIMIT ?"
        ),
        before_scores=(
            # Where more came since then than are wanted, they are not searched for the first.
            "SELECT CASE WHEN "
            f"(SELECT time_ms FROM {scores} WHERE change > newest - ?2 ORDER BY change LIMIT 1) >= ?1 "
            "THEN newest - ?2 ELSE max(newest - ?2, coalesce("
            f"(SELECT min(change) - 1 FROM {scores} WHERE time_ms >= ?1), newest)) END "
            f"FROM (SELECT coalesce(max(change), 0) AS newest FROM {scores})"
        ),
        old_samples=old(samples),
        old_scores=old(scores),
    )
