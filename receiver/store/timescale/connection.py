"""A connection to a database, and its errors in words that may be logged.

`connect` raises `ConfigurationError` for what is no DSN, and where the schema is not taken; it and what runs under
`translated` raise `StoreUnavailable` for all that psycopg raises, in one line that contains none of the DSN's secrets.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from receiver.errors import ConfigurationError, StoreUnavailable

# What a DSN may override. A server that is gone without a word must not hold the outbox for the kernel's two hours.
CONNECTION_DEFAULTS = {
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
    "application_name": "nodescore",
}
# Longer than any of our statements needs; what waits longer waits for a lock that nobody gives back.
PATIENCE_SECONDS = 60
# By which the server, whose clock ends a statement first, may be late with saying so.
SILENCE_SECONDS = 5


class _Patient(psycopg.Connection[Any]):
    """Gives up a server that says nothing, though its kernel, or a proxy, acknowledges what it is sent."""

    longest_seconds: float = PATIENCE_SECONDS + SILENCE_SECONDS

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        """As psycopg's, which has no limit."""
        return super().wait(self._limited(gen), *args, **kwargs)

    def _limited(self, gen: Any) -> Generator[Any, Any, Any]:
        try:
            event, heard = next(gen), monotonic()
            while True:
                ready = yield event  # nothing, ten times a second, while nothing comes
                if ready:
                    heard = monotonic()
                elif monotonic() - heard > self.longest_seconds:
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"the server has said nothing for {self.longest_seconds:g} s")
                event = gen.send(ready)
        except StopIteration as end:
            return end.value


def connect(
    dsn: str, schema: str | None, patience_seconds: int = PATIENCE_SECONDS
) -> tuple[psycopg.Connection[Any], list[str]]:
    """A connection, and what of its DSN must not be shown.

    Names are looked for in `schema` first, whether it is there yet or not; where None, in the DSN's own.
    """
    try:
        longest = min(patience_seconds, int(CONNECTION_DEFAULTS["connect_timeout"]))
        options = (
            CONNECTION_DEFAULTS
            | {"connect_timeout": str(longest)}
            | {k: str(v) for k, v in conninfo_to_dict(dsn).items() if v is not None}
        )
    except psycopg.ProgrammingError:
        # The text of this error repeats parts of the DSN, and which parts are secret is what was not understood.
        raise ConfigurationError("setting store: not a DSN like postgresql://user@host:5432/database") from None
    if schema is not None:
        # At the connection's start, for all of its life; what the DSN says of it wins, and is looked at below.
        options["options"] = f"-csearch_path={schema},public {options.get('options', '')}"
    secrets = [options[name] for name in ("password", "sslpassword") if options.get(name)]
    with translated(secrets):
        # Not prepared, so that a pooler that changes servers between transactions can stand in between.
        connection = _Patient.connect(make_conninfo(**options), prepare_threshold=None, autocommit=True)
        connection.longest_seconds = patience_seconds + SILENCE_SECONDS
        connection.execute("SELECT set_config('statement_timeout', %s, false)", (f"{patience_seconds}s",))
        if schema is not None:
            _check_search_path(connection, schema)
    return connection, secrets


def _check_search_path(connection: psycopg.Connection[Any], schema: str) -> None:
    """Refuse a pooler that drops options, and a DSN that says otherwise: the tables would be another catalogue's."""
    (search_path,) = connection.execute("SELECT current_setting('search_path')").fetchall()[0]
    if search_path.split(",")[0].strip() != schema:
        connection.close()
        raise ConfigurationError(
            f"TimescaleDB: search_path is {search_path}, and must begin with {schema}; behind a pooler, "
            f"give the user of these tables that search_path (ALTER ROLE … SET search_path = {schema}, public)"
        )


@contextmanager
def translated(secrets: Sequence[str]) -> Iterator[None]:
    """Turns what psycopg raises into `StoreUnavailable`, with one line of text and without secrets."""
    try:
        yield
    except psycopg.Error as error:
        text = " ".join(str(error).split()) or type(error).__name__
        for secret in secrets:
            text = text.replace(secret, "***")
        # Not `from error`: its text would be logged with the traceback.
        raise StoreUnavailable(f"TimescaleDB: {text}") from None
