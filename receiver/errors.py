"""Every error that Nodescore raises on purpose, in one tree.

    NodescoreError                      500
    ├── RequestError                    400   the sender must not send this again
    │   ├── DecodeError                 400   the body is not the message it claims to be
    │   ├── LimitReached                400   a series, node or replica that would be one too many
    │   ├── NotFound                    404   there is no such node or label
    │   ├── Conflict                    409   what it changes is no longer as it was
    │   ├── BodyTooLarge                413
    │   ├── UnsupportedMedia            415
    │   └── NoData                      422   nothing was scored at the time that it names
    ├── Unavailable                     503   the sender shall try again, after `retry_after_seconds`
    │   └── StoreUnavailable            503   the disk or the database does not take our data now
    ├── StoreDamaged                    –     the embedded file has to be salvaged; ends the service
    └── ConfigurationError              –     the operator has to change something; ends the command
        ├── CatalogueError
        ├── ModelError
        └── DataError                         a table given to train, score, evaluate or export

One handler (`receiver.web.app`) turns the first two branches into answers, one (`receiver.cli`) turns the
last into a line on standard error and exit status 2. Permanent faults never answer 5xx, because Prometheus
retries those for ever; overload never answers 429, because Prometheus drops the batch on it.
"""

from __future__ import annotations

from typing import ClassVar


class NodescoreError(Exception):
    """Base of all errors that are raised on purpose; its text is written for the person who reads it."""

    http_status: ClassVar[int] = 500


class RequestError(NodescoreError):
    """The request can never succeed as it is."""

    http_status = 400


class DecodeError(RequestError):
    """The body is not valid snappy, or not the message that its Content-Type names."""


class LimitReached(RequestError):
    """A series, node or replica that would be one too many."""


class NotFound(RequestError):
    """There is no such node or label."""

    http_status = 404


class Conflict(RequestError):
    """What the request changes has been changed by somebody else meanwhile; its text says to what."""

    http_status = 409


class BodyTooLarge(RequestError):
    """The body is over the limit."""

    http_status = 413


class UnsupportedMedia(RequestError):
    """A Content-Type or Content-Encoding that the endpoint does not take."""

    http_status = 415


class NoData(RequestError):
    """Nothing was scored at the time that the request names; its text says when something was."""

    http_status = 422


class Unavailable(NodescoreError):
    """The request is fine, but cannot be taken now."""

    http_status = 503

    def __init__(self, message: str, retry_after_seconds: int = 5) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class StoreUnavailable(Unavailable):
    """A store did not take, or did not give, data: disk full, database down, file locked."""


class StoreDamaged(NodescoreError):
    """SQLite gives the embedded file up. A service that starts on it salvages what can be read."""


class ConfigurationError(NodescoreError):
    """A setting, file or argument that the operator has to change."""


class CatalogueError(ConfigurationError):
    """The feature catalogue contradicts itself or its format."""


class ModelError(ConfigurationError):
    """A model file that breaks the contract of `receiver.detector` or does not fit the catalogue."""


class DataError(ConfigurationError):
    """A table that cannot be used: a missing column, an unreadable time, no rows."""
