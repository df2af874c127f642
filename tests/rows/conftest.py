"""The bench of a test."""

from __future__ import annotations

import pytest

from tests.rows.bench import Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()
