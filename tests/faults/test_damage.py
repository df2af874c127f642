"""A damaged embedded file: the service starts, uses every intact record, and counts and names what was lost."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults.conftest import DEFAULT_SEED
from tests.faults.damage import PAGE_BYTES, Damage, Specimen, examine, flipped, left_behind, truncated

FILE, LOG = "nodescore.sqlite", "nodescore.sqlite-wal"
PLACES = 3  # of each kind of damage

SALVAGE = "nothing is salvaged yet from a file, or behind a place in its log, that SQLite itself gives up"
not_yet = pytest.mark.xfail(raises=AssertionError, reason=SALVAGE)
TABLES = ("series", "nodes", "progress", "models", "states", "node_samples", "node_scores")


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Specimen:
    """Everything is in rows, and in the file."""
    return left_behind(tmp_path_factory.mktemp("stopped"), DEFAULT_SEED, killed=False, log=False)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Specimen:
    """The last rows are open; the log has not been copied back."""
    return left_behind(tmp_path_factory.mktemp("killed"), DEFAULT_SEED, killed=True, log=True)


@pytest.fixture(scope="module")
def killed_and_copied(tmp_path_factory: pytest.TempPathFactory) -> Specimen:
    """The last rows are open; the log has been copied back."""
    return left_behind(tmp_path_factory.mktemp("copied"), DEFAULT_SEED, killed=True, log=False)


def complaints(specimen: Specimen, damages: dict[str, Damage], folder: Path) -> list[str]:
    found = []
    for number, (what, damage) in enumerate(damages.items()):
        case = folder / str(number)
        case.mkdir()
        found += [f"{what}: {fault}" for fault in examine(specimen, damage, case)]
    return found


def test_what_is_whole_is_used_as_a_whole(
    stopped: Specimen, killed: Specimen, killed_and_copied: Specimen, tmp_path: Path
) -> None:
    for number, specimen in enumerate((stopped, killed, killed_and_copied)):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert complaints(specimen, {"nothing": lambda _: None}, folder) == []


def test_flipped_bits_in_records(killed_and_copied: Specimen, tmp_path: Path, seed: int) -> None:
    choose = random.Random(seed)
    pages = killed_and_copied.pages_of("journal")
    # In the lower half of a page, which is full of cells: the header and the pointers to them stand in the upper.
    places = [
        (page - 1) * PAGE_BYTES + choose.randrange(PAGE_BYTES // 2, PAGE_BYTES) for page in choose.sample(pages, 4)
    ]
    damages: dict[str, Damage] = {f"bit at {place}": flipped(FILE, place) for place in places}
    damages["all of these"] = flipped(FILE, *places)
    assert complaints(killed_and_copied, damages, tmp_path) == []


@pytest.mark.parametrize("table", ["journal", *(pytest.param(table, marks=not_yet) for table in TABLES)])
def test_a_page_that_is_none(killed_and_copied: Specimen, tmp_path: Path, seed: int, table: str) -> None:
    page = random.Random(seed).choice(killed_and_copied.pages_of(table))
    damages = {f"page {page} of {table}": flipped(FILE, (page - 1) * PAGE_BYTES)}
    assert complaints(killed_and_copied, damages, tmp_path) == []


# Magic, write version, size of the file, type of the page, its cells.
@pytest.mark.parametrize("place", [pytest.param(place, marks=not_yet) for place in (3, 18, 28, 100, 103)])
def test_a_first_page_that_is_none(killed_and_copied: Specimen, tmp_path: Path, place: int) -> None:
    assert complaints(killed_and_copied, {f"bit at {place}": flipped(FILE, place)}, tmp_path) == []


@not_yet
def test_the_file_cut_off(stopped: Specimen, killed_and_copied: Specimen, tmp_path: Path, seed: int) -> None:
    choose = random.Random(seed)
    for specimen in (stopped, killed_and_copied):
        folder = tmp_path / specimen.folder.parent.name
        folder.mkdir()
        shares = [0.0, *(choose.random() for _ in range(PLACES))]
        assert complaints(specimen, {f"cut at {share:.3f}": truncated(FILE, share) for share in shares}, folder) == []


@not_yet
def test_flipped_bits_in_the_log(killed: Specimen, tmp_path: Path, seed: int) -> None:
    choose = random.Random(seed)
    size = (killed.folder / LOG).stat().st_size
    damages: dict[str, Damage] = {
        f"bit at {place}": flipped(LOG, place)
        for place in (4, 16, *(choose.randrange(32, size) for _ in range(PLACES)))
    }
    assert complaints(killed, damages, tmp_path) == []


@not_yet
def test_the_log_cut_off(killed: Specimen, tmp_path: Path, seed: int) -> None:
    choose = random.Random(seed)
    shares = [choose.random() for _ in range(PLACES)]
    assert complaints(killed, {f"cut at {share:.3f}": truncated(LOG, share) for share in shares}, tmp_path) == []
