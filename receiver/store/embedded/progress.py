"""How far each thing in the embedded file has come: numbers by name in its table `progress`.

A name that was never set is not there; what it counts stands at 0.
"""

from __future__ import annotations

import sqlite3

# How far the journal's samples are in rows.
CONSUMED = "consumed_seq"
# The highest numbers of changes that were given, and those up to which rows, scores and labels were passed on.
LAST_SAMPLE_CHANGE = "last_sample_change"
LAST_SCORE_CHANGE = "last_score_change"
FORWARDED_SAMPLE_CHANGE = "forwarded_sample_change"
FORWARDED_SCORE_CHANGE = "forwarded_score_change"
FORWARDED_LABEL = "forwarded_label"
# What a salvaged file takes over from the damaged one.
PROGRESS = frozenset(
    {
        CONSUMED,
        LAST_SAMPLE_CHANGE,
        LAST_SCORE_CHANGE,
        FORWARDED_SAMPLE_CHANGE,
        FORWARDED_SCORE_CHANGE,
        FORWARDED_LABEL,
    }
)
# The file's version once more, because a changed bit in its header would pass for a newer one, and a checksum of what
# the schema says of our tables, because a changed bit in a column's name would pass for another feature.
FORMAT = "format"
SCHEMA = "schema_checksum"

SET_PROGRESS = (  # [name, value]
    "INSERT INTO progress (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)


def read_progress(connection: sqlite3.Connection) -> dict[str, int]:
    """Every number by its name."""
    return dict(connection.execute("SELECT name, value FROM progress").fetchall())
