"""A damaged embedded file: the service starts, uses every intact record, and counts and names what was lost."""

from __future__ import annotations

import json
import random
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.conftest import DEFAULT_SEED
from tests.faults.damage import (
    PAGE_BYTES,
    Damage,
    Specimen,
    copied_back,
    erased,
    examine,
    flipped,
    left_behind,
    truncated,
)

FILE, LOG = "nodescore.sqlite", "nodescore.sqlite-wal"
# Of which a page each is damaged at once.
TABLES = (("journal", "series", "nodes", "progress"), ("models", "states", "node_samples", "node_scores"))
# Magic, size of the file, type of the page. Bits at any place: tests/store/test_salvage_any.py.
FIRST_PAGE = (3, 28, 100)
# Services that are examined at once: each waits most of the time, for the deadline of its rows.
AT_ONCE = 4


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Specimen:
    """Everything is in rows, and in the file."""
    return left_behind(tmp_path_factory.mktemp("stopped"), DEFAULT_SEED, killed=False)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Specimen:
    """The last rows are open; the log has not been copied back."""
    return left_behind(tmp_path_factory.mktemp("killed"), DEFAULT_SEED, killed=True)


@pytest.fixture(scope="module")
def killed_and_copied(killed: Specimen, tmp_path_factory: pytest.TempPathFactory) -> Specimen:
    """The last rows are open; the log has been copied back."""
    return copied_back(killed, tmp_path_factory.mktemp("copied"))


def complaints(damages: dict[str, tuple[Specimen, Damage]], folder: Path) -> list[str]:
    def case(number: int, what: str) -> list[str]:
        place = folder / str(number)
        place.mkdir()
        return [f"{what}: {fault}" for fault in examine(*damages[what], place)]

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return [fault for found in threads.map(case, range(len(damages)), damages) for fault in found]


def test_what_is_whole_is_used_as_a_whole(
    stopped: Specimen, killed: Specimen, killed_and_copied: Specimen, tmp_path: Path
) -> None:
    specimens = {"stopped": stopped, "killed": killed, "killed and copied": killed_and_copied}
    assert complaints({name: (specimen, lambda _: None) for name, specimen in specimens.items()}, tmp_path) == []


def test_flipped_bits_in_records(killed_and_copied: Specimen, tmp_path: Path, seed: int) -> None:
    choose = random.Random(seed)
    pages = killed_and_copied.pages_of("journal")
    # In the lower half of a page, which is full of cells: the header and the pointers to them stand in the upper.
    places = [
        (page - 1) * PAGE_BYTES + choose.randrange(PAGE_BYTES // 2, PAGE_BYTES) for page in choose.sample(pages, 3)
    ]
    damages = {f"bit at {place}": (killed_and_copied, flipped(FILE, place)) for place in places[:1]}
    damages["several bits"] = killed_and_copied, flipped(FILE, *places)
    assert complaints(damages, tmp_path) == []


def test_pages_that_are_none(killed_and_copied: Specimen, tmp_path: Path, seed: int) -> None:
    choose = random.Random(seed)
    damages = {}
    for tables in TABLES:
        pages = [choose.choice(killed_and_copied.pages_of(table)) for table in tables]
        damages[f"pages {pages} of {tables}"] = (
            killed_and_copied,
            flipped(FILE, *((page - 1) * PAGE_BYTES for page in pages)),
        )
    assert complaints(damages, tmp_path) == []


def test_a_page_of_zeros(killed_and_copied: Specimen, tmp_path: Path, seed: int) -> None:
    choose = random.Random(seed)
    pages = {table: choose.choice(killed_and_copied.pages_of(table)) for table in ("journal", "node_samples")}
    damages = {
        f"page {page} of {table}": (killed_and_copied, erased(FILE, (page - 1) * PAGE_BYTES, PAGE_BYTES))
        for table, page in pages.items()
    }
    assert complaints(damages, tmp_path) == []


def test_a_first_page_that_is_none(killed_and_copied: Specimen, tmp_path: Path) -> None:
    damages = {f"bit at {place}": (killed_and_copied, flipped(FILE, place)) for place in FIRST_PAGE}
    assert complaints(damages, tmp_path) == []


def test_the_file_cut_off(
    stopped: Specimen, killed: Specimen, killed_and_copied: Specimen, tmp_path: Path, seed: int
) -> None:
    choose = random.Random(seed)
    damages = {
        f"{name}, cut at {share:.3f}": (specimen, truncated(FILE, share))
        for name, specimen, share in (
            ("stopped", stopped, 0.0),
            ("killed", killed, 0.0),
            ("killed", killed, choose.random()),
            ("killed and copied", killed_and_copied, choose.random()),
        )
    }
    assert complaints(damages, tmp_path) == []


def test_flipped_bits_in_the_log(killed: Specimen, tmp_path: Path, seed: int) -> None:
    choose = random.Random(seed)
    size = (killed.folder / LOG).stat().st_size
    places = (4, 16, *(choose.randrange(32, size) for _ in range(2)))
    assert complaints({f"bit at {place}": (killed, flipped(LOG, place)) for place in places}, tmp_path) == []


def test_the_log_cut_off(killed: Specimen, tmp_path: Path, seed: int) -> None:
    choose = random.Random(seed)
    shares = (0.0, choose.random(), choose.random())
    assert complaints({f"cut at {share:.3f}": (killed, truncated(LOG, share)) for share in shares}, tmp_path) == []


def test_the_labels_of_a_series_in_the_log(killed: Specimen, tmp_path: Path, seed: int) -> None:
    # Its samples are in intact records, and nothing says whose they are.
    labels = random.Random(seed).choice(list(killed.labels.values()))
    text = json.dumps(labels, ensure_ascii=False, separators=(",", ":")).encode()
    places = [match.start() + 20 for match in re.finditer(re.escape(text), (killed.folder / LOG).read_bytes())]
    assert complaints({f"labels of {labels}": (killed, flipped(LOG, *places))}, tmp_path) == []
