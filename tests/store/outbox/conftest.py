"""An outbox between two embedded files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.store.outbox.pair import Pair


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """A source and a target."""
    with closing(Pair(tmp_path)) as made:
        yield made
