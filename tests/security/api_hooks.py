"""What schemathesis is told of the service that it asks: names and times that are there. It loads this file by name.

Three quarters of what it makes up are replaced, by the length of the text, so that the same seed asks the same.
"""

from __future__ import annotations

from typing import Any

import schemathesis
import snappy

NODE = "worker-1"
THERE = {"node": NODE, "cluster": None, "start": "-2m", "since": "-5m", "end": "now", "until": "now", "duration": "10m"}


# What is longer is meant to be too long.
MAX_REPLACED_CHARACTERS = 60


def _partly(given: Any) -> Any:
    if not isinstance(given, dict):
        return given
    return {name: THERE[name] if name in THERE and _is_replaced(value) else value for name, value in given.items()}


def _is_replaced(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_REPLACED_CHARACTERS and len(value) % 4 > 0


@schemathesis.hook
def map_body(_: schemathesis.HookContext, body: Any) -> Any:
    """Of feedback and mutes."""
    return _partly(body)


@schemathesis.hook
def map_query(_: schemathesis.HookContext, query: Any) -> Any:
    """Of scores and labels."""
    return _partly(query)


@schemathesis.hook
def map_path_parameters(_: schemathesis.HookContext, path_parameters: Any) -> Any:
    """Of scores."""
    return _partly(path_parameters)


@schemathesis.serializer("application/x-protobuf")
def remote_write(_: schemathesis.SerializationContext, value: Any) -> Any:
    """Bytes that are compressed, so that they get as far as the message."""
    given = value if isinstance(value, bytes) else str(value).encode()
    return snappy.compress(given) if len(given) % 4 else given
