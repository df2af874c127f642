"""The tables of TimescaleDB: how they are made and migrated, and what is asked of those that all catalogues share.

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

Those of nodes stand where the DSN leads, in `public` mostly. Each other catalogue has all of these tables in a schema
of its own, so that services of several catalogues may share a database.
"""

# Identifiers in statements come from a Catalogue, which allows only a-z, 0-9 and _; values are always parameters.
# ruff: noqa: S608

from __future__ import annotations

from dataclasses import dataclass

from receiver.catalogue import Catalogue

# Any fixed number, the same in all versions: services that start together migrate one after the other.
ADVISORY_LOCK = 0x4E536372
# Of one that trains a model, beside the catalogue's name.
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


def schema_of(catalogue: Catalogue) -> str | None:
    """The schema of a catalogue's tables; None where the DSN says it. Needs no quotes."""
    return None if catalogue.name == "node" else f"nodescore_{catalogue.name}"


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
FORGET_STATES = f"DELETE FROM states WHERE time < {at()}"  # [before_ms]
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

DROP_CHUNKS = f"SELECT drop_chunks(%s, older_than => {at()})"  # [table, time_ms]
REMOVE_RETENTION = "SELECT remove_retention_policy(%s, if_exists => true)"  # [table]
ADD_RETENTION = "SELECT add_retention_policy(%s, drop_after => make_interval(secs => %s))"  # [table, seconds]


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of one catalogue; all names are quoted."""

    samples: str
    scores: str
    features: tuple[str, ...]  # the columns of samples
    view: str
    samples_in: str  # of one connection, and empty at the start of a transaction: what is to be merged
    scores_in: str
    create: str
    create_view: str
    create_staging: str
    compress: str  # where the licence has it


def tables_of(catalogue: Catalogue) -> Tables:
    """The tables for this catalogue's features."""
    samples, scores = f'"{catalogue.name}_samples"', f'"{catalogue.name}_scores"'
    samples_in, scores_in = f'"{catalogue.name}_samples_in"', f'"{catalogue.name}_scores_in"'
    view = f'"{catalogue.name}_dataset"'
    names = tuple(f'"{name}"' for name in catalogue.feature_names)
    return Tables(
        samples=samples,
        scores=scores,
        features=names,
        view=view,
        samples_in=samples_in,
        scores_in=scores_in,
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
        create_staging=f"""
            CREATE TEMP TABLE IF NOT EXISTS {samples_in} (
                node integer, time timestamptz, {", ".join(f"{name} double precision" for name in names)}, part integer
            ) ON COMMIT DELETE ROWS;
            CREATE TEMP TABLE IF NOT EXISTS {scores_in} (
                node integer, time timestamptz, model integer, score real, x real[], contribution real[]
            ) ON COMMIT DELETE ROWS;
        """,
        compress="".join(map(_compression, (samples, scores))),
    )


def _compression(table: str) -> str:
    return f"""
        ALTER TABLE {table} SET (
            timescaledb.compress, timescaledb.compress_segmentby = 'node', timescaledb.compress_orderby = 'time'
        );
        SELECT add_compression_policy('{table}', compress_after => interval '{COMPRESS_AFTER}', if_not_exists => true);
    """
