"""Every query of the pages in SQL, asked of a database that a service has made its tables in."""

from __future__ import annotations

import psycopg
import pytest

from receiver.catalogue import load
from receiver.store.timescale import TimescaleStore
from tests.docs.pages import PAGES, Block, blocks

QUERIES = [block for page in PAGES for block in blocks(page) if block.language == "sql"]


@pytest.mark.parametrize("block", QUERIES, ids=str)
def test_a_query_is_answered(block: Block, timescale_dsn: str) -> None:
    TimescaleStore.connect(timescale_dsn, load()).close()
    with psycopg.connect(timescale_dsn) as connection:
        assert connection.execute(block.text.encode()).fetchall() == []
