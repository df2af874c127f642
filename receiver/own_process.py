"""A command of Nodescore as a process of its own, beside the service that starts it.

What is long and heavy would have requests wait for the interpreter; another process, below the service's priority,
shares the machine's cores only. It reads what the service's settings name, whatever they came from; a DSN goes to it
by its environment, which only the same user can read.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import receiver
from receiver.settings import ENVIRONMENT_PREFIX, Settings

NICENESS = 10
# What stands there comes first on the process's path: the package that runs here, and none of its name.
FOLDER = Path(receiver.__file__).parent.parent


def command(name: str, arguments: Sequence[str] = ()) -> list[str]:
    """The program and its arguments, to be run in `FOLDER`."""
    return [sys.executable, "-m", "receiver", name, *arguments]


def environment(settings: Settings) -> dict[str, str]:
    """The environment of this process, with the settings that say where to read."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ENVIRONMENT_PREFIX)}
    said = {
        "data_dir": str(settings.data_dir.resolve()),
        "store": settings.store.get_secret_value() if settings.store else None,
        "catalogue": str(settings.catalogue.resolve()),
        "variables": json.dumps(settings.variables),
    }
    named = {f"{ENVIRONMENT_PREFIX}{name.upper()}": value for name, value in said.items() if value is not None}
    return kept | named | {"PYTHONIOENCODING": "utf-8"}
