"""A folder that all processes of one run of the tests share, for what is made once and looked at by many."""

from __future__ import annotations

import os
from pathlib import Path

# The first process of a run sets it, and its workers inherit it; see `tests.conftest`.
VARIABLE = "TESTS_SHARED_FOLDER"


def shared_folder() -> Path:
    """It is gone after the run."""
    return Path(os.environ[VARIABLE])
