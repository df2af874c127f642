"""Compile the service's loops where a checkout has not yet: `python -m tests.compile_loops`.

Every process that starts a service would do it for itself, and several at once take the machine from tests that
measure how soon something comes. Costs half a minute once, two seconds afterwards.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from receiver.settings import Settings
from receiver.web.server import build


def main() -> None:
    """Start and stop a service."""
    with tempfile.TemporaryDirectory(prefix="nodescore-") as folder:
        service = build(Settings.model_validate({"data_dir": Path(folder)}))
        service.start()
        service.stop()


if __name__ == "__main__":
    main()
