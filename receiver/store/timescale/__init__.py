"""TimescaleDB: where finished rows and scores go on to. The only package that imports psycopg.

Importing it raises `ConfigurationError` where psycopg is not installed; so it is imported where a DSN is configured,
and nowhere else.
"""

from receiver.errors import ConfigurationError

try:
    import psycopg  # noqa: F401
except ImportError as error:
    raise ConfigurationError(
        "a TimescaleDB is configured, but psycopg is not installed: pip install 'nodescore[timescale]'"
    ) from error

from receiver.store.timescale.models import TimescaleModels
from receiver.store.timescale.store import TimescaleStore, probe

__all__ = ["TimescaleModels", "TimescaleStore", "probe"]
