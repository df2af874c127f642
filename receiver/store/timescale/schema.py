"""The tables of TimescaleDB: made, migrated, and the statements that depend on the catalogue.

    nodes          id, cluster, name
    models         id, version, features: the order of the vectors of this model's scores
    labels         revisions, as in the embedded file, with times as timestamptz; labels_now: those that hold
    states         node, model, time, state: what the detector knew of a node after its row at that time, for the
                   replica that has the node next
    model_versions catalogue, version, sha256, card, parent, what it was trained on, measures, and the file
    mutes          entries that say until when a node's alerts stay quiet, as in the embedded file
    activations    the log of which version was in use from when on; its last entry is the active one
    shadowings     the log of which version scored beside it
    node_samples   time, node, and one double precision column a feature: the raw values, NULL where missing
    node_scores    time, node, model, score, and x and contribution as real[]
    node_dataset   a view: time, cluster, node, the features, and attack (0 or 1), the paper's form of the data

The last three are named after the catalogue, here `node`; the first two of them are hypertables. Where several
labels cover a row, the one created last says what it was.
"""

# Identifiers in statements come from a Catalogue, which allows only a-z, 0-9 and _; values are always parameters.
# ruff: noqa: S608

from __future__ import annotations

from dataclasses import dataclass

from receiver.catalogue import Catalogue

# Any fixed number, the same in all versions: services that start together migrate one after the other.
ADVISORY_LOCK = 0x4E536372
# Of one that trains a model.
TRAINING_LOCK = ADVISORY_LOCK + 1
# 5,000 nodes every 10 s are 43 million rows and 10 GB a day; retention drops whole chunks.
CHUNK_INTERVAL = "1 day"
# Later than the oldest sample that the service takes (2 days), so that late pieces meet uncompressed chunks.
COMPRESS_AFTER = "7 days"

# What brings a database from version n to n + 1 stands at n.
MIGRATIONS = (
    """
    CREATE TABLE nodes (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, cluster text NOT NULL, name text NOT NULL,
        UNIQUE (cluster, name)
    );
    CREATE TABLE models (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, version text NOT NULL, features text[] NOT NULL,
        UNIQUE (version, features)
    );
    CREATE TABLE labels (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, digest text NOT NULL UNIQUE,
        cluster text NOT NULL, node text NOT NULL, start_time timestamptz NOT NULL, end_time timestamptz NOT NULL,
        attack boolean NOT NULL, verdict text, details text NOT NULL, author text NOT NULL,
        created timestamptz NOT NULL, score real, model text
    );
    CREATE INDEX labels_node_time ON labels (cluster, node, start_time);
    """,
    """
    CREATE TABLE states (
        node integer PRIMARY KEY, model text NOT NULL, time timestamptz NOT NULL, state bytea NOT NULL
    );
    """,
    # The models' files are as good as random: to compress them would only take time.
    """
    CREATE TABLE model_versions (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, catalogue text NOT NULL, version text NOT NULL,
        sha256 text NOT NULL, card json NOT NULL, parent text NOT NULL, trained_from timestamptz,
        trained_until timestamptz, labels json NOT NULL, measures json NOT NULL, created timestamptz NOT NULL,
        model bytea NOT NULL, UNIQUE (catalogue, version), UNIQUE (catalogue, sha256)
    );
    ALTER TABLE model_versions ALTER COLUMN model SET STORAGE EXTERNAL;
    CREATE TABLE activations (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, catalogue text NOT NULL, version text NOT NULL,
        before text NOT NULL, at timestamptz NOT NULL, by text NOT NULL, reason text NOT NULL, rollback boolean NOT NULL
    );
    CREATE INDEX activations_catalogue ON activations (catalogue, id);
    """,
    # A row of labels is a revision: the newest one of a key holds.
    """
    ALTER TABLE labels ADD COLUMN moment text, ADD COLUMN key text, ADD COLUMN revision integer NOT NULL DEFAULT 1,
        ADD COLUMN withdrawn boolean NOT NULL DEFAULT false;
    UPDATE labels SET key = substr(digest, 1, 32);
    ALTER TABLE labels ALTER COLUMN key SET NOT NULL;
    CREATE INDEX labels_key ON labels (key, revision);
    CREATE VIEW labels_now AS SELECT * FROM labels l WHERE NOT withdrawn AND NOT EXISTS (
        SELECT FROM labels n WHERE n.key = l.key
        AND (n.revision, n.created, n.digest) > (l.revision, l.created, l.digest)
    );
    """,
    """
    CREATE TABLE mutes (
        digest text PRIMARY KEY, cluster text NOT NULL, node text NOT NULL, until timestamptz NOT NULL,
        reason text NOT NULL, author text NOT NULL, at timestamptz NOT NULL
    );
    CREATE INDEX mutes_at ON mutes (at);
    """,
    """
    CREATE TABLE shadowings (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, catalogue text NOT NULL, version text NOT NULL,
        at timestamptz NOT NULL, by text NOT NULL, reason text NOT NULL
    );
    CREATE INDEX shadowings_catalogue ON shadowings (catalogue, id);
    """,
)

CREATE_VERSION = "CREATE TABLE IF NOT EXISTS nodescore_schema (version integer NOT NULL)"


def at(parameter: str = "%s") -> str:
    """A timestamptz from Unix milliseconds, exactly."""
    return f"(timestamptz 'epoch' + {parameter} * interval '1 millisecond')"


def milliseconds(column: str) -> str:
    """Unix milliseconds from a timestamptz, exactly."""
    return f"(extract(epoch FROM {column}) * 1000)::bigint"


_WANTED_NODES = "unnest(%s::text[], %s::text[]) WITH ORDINALITY AS w (cluster, name, place)"
# [clusters, names]. ON CONFLICT alone would use up an id for each node that is known already.
ADD_NODES = (
    f"INSERT INTO nodes (cluster, name) SELECT cluster, name FROM {_WANTED_NODES} "
    "WHERE NOT EXISTS (SELECT FROM nodes n WHERE n.cluster = w.cluster AND n.name = w.name) "
    "ORDER BY place ON CONFLICT DO NOTHING"
)
FIND_NODES = f"SELECT n.id FROM {_WANTED_NODES} JOIN nodes n USING (cluster, name) ORDER BY w.place"

# [model version, nodes, times in ms, states]. Of two replicas' states the newer one stays.
SAVE_STATES = (
    f"INSERT INTO states AS t (node, model, time, state) SELECT w.node, %s, {at('w.time_ms')}, w.state "
    "FROM unnest(%s::integer[], %s::bigint[], %s::bytea[]) AS w (node, time_ms, state) ORDER BY w.node "
    "ON CONFLICT (node) DO UPDATE SET model = EXCLUDED.model, time = EXCLUDED.time, state = EXCLUDED.state "
    "WHERE EXCLUDED.time > t.time"
)
# [model version, nodes]
LOAD_STATES = (
    f"SELECT node, {milliseconds('time')}, state FROM states "
    "WHERE model = %s AND node = ANY(%s::integer[]) ORDER BY node"
)

# [the columns of `labelling.columns`]
ADD_LABEL = (
    "INSERT INTO labels (digest, cluster, node, start_time, end_time, attack, verdict, details, author, created, "
    "score, model, moment, key, revision, withdrawn) "
    f"VALUES (%s, %s, %s, {at()}, {at()}, %s, %s, %s, %s, {at()}, %s, %s, %s, %s, %s, %s) "
    "ON CONFLICT (digest) DO NOTHING"
)
_LABEL = (
    f"SELECT cluster, node, {milliseconds('start_time')}, {milliseconds('end_time')}, attack, verdict, details, "
    f"author, {milliseconds('created')}, id, score, model, moment, key, revision, withdrawn FROM"
)
# [since_ms, until_ms]
READ_LABELS = f"{_LABEL} labels_now WHERE end_time >= {at()} AND start_time < {at()} ORDER BY start_time, id"
READ_LABEL_HISTORY = f"{_LABEL} labels WHERE key = %s ORDER BY revision, created, digest"  # [key]
LOCK_LABEL = "SELECT pg_advisory_xact_lock(hashtext(%s))"  # [key] until the transaction's end
# [the columns of `mutes.columns`]
ADD_MUTE = (
    "INSERT INTO mutes (digest, cluster, node, until, reason, author, at) "
    f"VALUES (%s, %s, %s, {at()}, %s, %s, {at()}) ON CONFLICT (digest) DO NOTHING"
)
# [since_ms, limit] the last ones first
READ_MUTES = (
    f"SELECT cluster, node, {milliseconds('until')}, reason, author, {milliseconds('at')} FROM mutes "
    f"WHERE at >= {at()} ORDER BY at DESC, digest DESC LIMIT %s"
)

# Behind a selection of rows named s: the next block by (time, node). The first condition is for the planner, which
# does not know that a comparison of pairs leaves out chunks.
READ_BLOCK = (
    f"WHERE s.time >= {at('%(last_ms)s')} AND (s.time, s.node) > ({at('%(last_ms)s')}, %(last_node)s) "
    f"AND s.time < {at('%(until_ms)s')} AND (%(nodes)s::integer[] IS NULL OR s.node = ANY(%(nodes)s::integer[])) "
    "ORDER BY s.time, s.node LIMIT %(limit)s"
)

DROP_CHUNKS = f"SELECT drop_chunks(%s, older_than => {at()})"  # [table, time_ms]
REMOVE_RETENTION = "SELECT remove_retention_policy(%s, if_exists => true)"  # [table]
ADD_RETENTION = "SELECT add_retention_policy(%s, drop_after => make_interval(secs => %s))"  # [table, seconds]


@dataclass(frozen=True, slots=True)
class Statements:
    """The statements of one catalogue; in brackets their parameters."""

    samples: str  # quoted names of the tables
    scores: str
    view: str
    create: str
    create_view: str
    add_samples: str  # COPY of rows that are not stored yet
    add_scores: str
    staging: str  # the tables of the next two, which are empty at the start of a transaction
    stage_samples: str  # COPY of rows with their part, for a merge
    stage_scores: str
    merge_rows: str  # [part] a value wins over the stored one
    merge_fills: str  # [part] a value is taken where none is stored
    merge_scores: str  # [] a stored score stays
    read_rows: str  # time in ms, node, model, x, feature…; bounded by READ_BLOCK
    read_scores: str  # time in ms, node, model, score, x, contribution; bounded by READ_BLOCK
    highest_score: (
        str  # [since_ms, until_ms (inclusive), cluster, name] score, version, time_ms, features, x, contribution
    )
    score_before: str  # [cluster, name, before_ms] time_ms of the last one
    score_after: str  # [cluster, name, after_ms] time_ms of the first one
    highest_below: str  # [since_ms, until_ms, most] cluster, name, time_ms, score of the nodes never over the threshold
    compress: str  # where the licence has it


def statements_of(catalogue: Catalogue) -> Statements:
    """The statements for this catalogue's tables."""
    samples, scores = f'"{catalogue.name}_samples"', f'"{catalogue.name}_scores"'
    samples_in, scores_in = f'"{catalogue.name}_samples_in"', f'"{catalogue.name}_scores_in"'
    view = f'"{catalogue.name}_dataset"'
    names = [f'"{name}"' for name in catalogue.feature_names]
    columns = ", ".join(names)
    samples_columns, scores_columns = f"node, time, {columns}", "node, time, model, score, x, contribution"

    def merge(first: str, second: str) -> str:
        merged = {name: f"COALESCE({first}.{name}, {second}.{name})" for name in names}
        changed = f"({', '.join(merged.values())}) IS DISTINCT FROM ({', '.join(f't.{name}' for name in names)})"
        return (
            f"INSERT INTO {samples} AS t ({samples_columns}) SELECT {samples_columns} FROM {samples_in} "
            "WHERE part = %s ORDER BY time, node ON CONFLICT (time, node) DO UPDATE SET "
            f"{', '.join(f'{name} = {value}' for name, value in merged.items())} WHERE {changed}"
        )

    near = (
        f"SELECT {milliseconds('time')} FROM {scores} "
        "WHERE node = (SELECT id FROM nodes WHERE cluster = %s AND name = %s) AND time"
    )
    return Statements(
        samples=samples,
        scores=scores,
        view=view,
        create=f"""
            CREATE TABLE IF NOT EXISTS {samples} (
                time timestamptz NOT NULL, node integer NOT NULL,
                PRIMARY KEY (time, node)
            );
            CREATE TABLE IF NOT EXISTS {scores} (
                time timestamptz NOT NULL, node integer NOT NULL, model integer NOT NULL,
                score real, x real[] NOT NULL, contribution real[],
                PRIMARY KEY (time, node)
            );
            SELECT create_hypertable(
                '{samples}', 'time', chunk_time_interval => interval '{CHUNK_INTERVAL}',
                create_default_indexes => false, if_not_exists => true
            );
            SELECT create_hypertable(
                '{scores}', 'time', chunk_time_interval => interval '{CHUNK_INTERVAL}',
                create_default_indexes => false, if_not_exists => true
            );
            CREATE INDEX IF NOT EXISTS "{catalogue.name}_samples_node_time" ON {samples} (node, time);
            CREATE INDEX IF NOT EXISTS "{catalogue.name}_scores_node_time" ON {scores} (node, time);
            ALTER TABLE {samples} {", ".join(f"ADD COLUMN IF NOT EXISTS {name} double precision" for name in names)};
        """,
        create_view=(
            f"CREATE OR REPLACE VIEW {view} AS SELECT s.time, n.cluster, n.name AS node, "
            f"{', '.join(f's.{name}' for name in names)}, COALESCE((SELECT l.attack FROM labels_now l "
            "WHERE l.cluster = n.cluster AND l.node = n.name AND s.time BETWEEN l.start_time AND l.end_time "
            f"ORDER BY l.created DESC, l.id DESC LIMIT 1), false)::integer AS attack "
            f"FROM {samples} s JOIN nodes n ON n.id = s.node"
        ),
        staging=f"""
            CREATE TEMP TABLE IF NOT EXISTS {samples_in} (
                node integer, time timestamptz, {", ".join(f"{name} double precision" for name in names)}, part integer
            ) ON COMMIT DELETE ROWS;
            CREATE TEMP TABLE IF NOT EXISTS {scores_in} (
                node integer, time timestamptz, model integer, score real, x real[], contribution real[]
            ) ON COMMIT DELETE ROWS;
        """,
        add_samples=f"COPY {samples} ({samples_columns}) FROM STDIN (FORMAT binary)",
        add_scores=f"COPY {scores} ({scores_columns}) FROM STDIN (FORMAT binary)",
        stage_samples=f"COPY {samples_in} ({samples_columns}, part) FROM STDIN (FORMAT binary)",
        stage_scores=f"COPY {scores_in} ({scores_columns}) FROM STDIN (FORMAT binary)",
        merge_rows=merge("EXCLUDED", "t"),
        merge_fills=merge("t", "EXCLUDED"),
        merge_scores=(
            f"INSERT INTO {scores} ({scores_columns}) SELECT {scores_columns} "
            f"FROM {scores_in} ORDER BY time, node ON CONFLICT (time, node) DO NOTHING"
        ),
        read_rows=(
            f"SELECT {milliseconds('s.time')}, s.node, c.model, c.x, "
            f"{', '.join(f's.{name}' for name in names)} "
            f"FROM {samples} s LEFT JOIN {scores} c ON c.time = s.time AND c.node = s.node "
            # Known from the rows' own bound, but not to the planner, which would join from the first score on.
            f"AND c.time >= {at('%(last_ms)s')}"
        ),
        read_scores=(f"SELECT {milliseconds('s.time')}, s.node, s.model, s.score, s.x, s.contribution FROM {scores} s"),
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
        compress="".join(
            f"""
            ALTER TABLE {table} SET (
                timescaledb.compress, timescaledb.compress_segmentby = 'node', timescaledb.compress_orderby = 'time'
            );
            SELECT add_compression_policy(
                '{table}', compress_after => interval '{COMPRESS_AFTER}', if_not_exists => true
            );
            """
            for table in (samples, scores)
        ),
    )
