"""What is selected of a catalogue's tables: rows and scores block by block, and what is asked of single scores."""

# Identifiers in statements come from a Catalogue, which allows only a-z, 0-9 and _; values are always parameters.
# ruff: noqa: S608

from __future__ import annotations

from dataclasses import dataclass

from receiver.store.timescale.schema import Tables, at, milliseconds

# Behind a selection of rows named s: the next block by (time, node). The first condition is for the planner, which
# does not know that a comparison of pairs leaves out chunks.
READ_BLOCK = (
    f"WHERE s.time >= {at('%(last_ms)s')} AND (s.time, s.node) > ({at('%(last_ms)s')}, %(last_node)s) "
    f"AND s.time < {at('%(until_ms)s')} AND (%(nodes)s::integer[] IS NULL OR s.node = ANY(%(nodes)s::integer[])) "
    "ORDER BY s.time, s.node LIMIT %(limit)s"
)


@dataclass(frozen=True, slots=True)
class Queries:
    """The selections of one catalogue's tables; in brackets their parameters."""

    rows: str  # time in ms, node, model, x, feature…; bounded by READ_BLOCK
    scores: str  # time in ms, node, model, score, x, contribution; bounded by READ_BLOCK
    highest_score: (
        str  # [since_ms, until_ms (inclusive), cluster, name] score, version, time_ms, features, x, contribution
    )
    score_before: str  # [cluster, name, before_ms] time_ms of the last one
    score_after: str  # [cluster, name, after_ms] time_ms of the first one
    highest_below: str  # [since_ms, until_ms, most] cluster, name, time_ms, score of the nodes never over the threshold


def queries_of(tables: Tables) -> Queries:
    """The selections of these tables."""
    samples, scores = tables.samples, tables.scores
    near = (
        f"SELECT {milliseconds('time')} FROM {scores} "
        "WHERE node = (SELECT id FROM nodes WHERE cluster = %s AND name = %s) AND time"
    )
    return Queries(
        rows=(
            f"SELECT {milliseconds('s.time')}, s.node, c.model, c.x, "
            f"{', '.join(f's.{name}' for name in tables.features)} "
            f"FROM {samples} s LEFT JOIN {scores} c ON c.time = s.time AND c.node = s.node "
            # Known from the rows' own bound, but not to the planner, which would join from the first score on.
            f"AND c.time >= {at('%(last_ms)s')}"
        ),
        scores=(f"SELECT {milliseconds('s.time')}, s.node, s.model, s.score, s.x, s.contribution FROM {scores} s"),
        highest_score=(
            f"SELECT s.score, m.version, {milliseconds('s.time')}, m.features, s.x, s.contribution FROM {scores} s "
            "JOIN nodes n ON n.id = s.node JOIN models m ON m.id = s.model "
            f"WHERE s.time BETWEEN {at()} AND {at()} AND n.cluster = %s AND n.name = %s "
            "ORDER BY s.score DESC NULLS LAST LIMIT 1"
        ),
        score_before=f"{near} < {at()} ORDER BY time DESC LIMIT 1",
        score_after=f"{near} > {at()} ORDER BY time LIMIT 1",
        highest_below=(
            f"SELECT n.cluster, n.name, {milliseconds('p.time')}, p.score FROM (SELECT DISTINCT ON (node) "
            f"node, time, score FROM {scores} WHERE time >= {at()} AND time < {at()} "
            "ORDER BY node, score DESC NULLS LAST) p JOIN nodes n ON n.id = p.node WHERE p.score <= 1.0 "
            "ORDER BY p.score DESC, n.cluster, n.name LIMIT %s"
        ),
    )
