"""The recorded sessions that ship with the project, and how a session is written: one pair of files each.

`session-SEED.parquet` has the columns of `nodescore export --inputs` (time, node, features as float32, attack);
`session-SEED.episodes.csv` has a line for each attack. Times are Unix milliseconds. Nodes of different sessions have
different names. Raises `DataError` where a file is not what it should be.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from models.table import Table, read
from receiver.columns import Bool
from receiver.errors import DataError

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Attacked:
    """An episode as it was: a node was attacked from start to end, both included."""

    node: str
    kind: str
    strength: float  # in the kind's unit, see models.scenarios.attacks
    start_ms: int
    end_ms: int
    seed: int  # of the session


@dataclass(frozen=True)
class Recordings:
    """The sessions of one catalogue, and how far back rates look: so long rows speak of an attack that is over."""

    folders: tuple[Path, ...]
    rates_seconds: int = 0
    restarts_seconds: int = 0

    def until_ms(self, attack: Attacked) -> int:
        """Of when the last row is that the attack has a part in."""
        return attack.end_ms + 1000 * (self.restarts_seconds if attack.kind == "crash-loop" else self.rates_seconds)


APPLICATIONS, PODS = DATA / "applications", DATA / "pods"
# Nodes of the same catalogue as `DATA`, whose work no shipped model knows: none learns from them.
UNFAMILIAR = DATA / "unfamiliar"
# By the catalogue's name; `models.scenarios.applications` has the rules that say how far back rates look. Each recorded
# application is one pod as well, a busy one: it has a network and a control group of its own.
BY_RULES = Recordings((APPLICATIONS,), rates_seconds=60, restarts_seconds=300)
RECORDINGS = {
    "node": Recordings((DATA,)),
    "application": BY_RULES,
    "pod": replace(BY_RULES, folders=(APPLICATIONS, PODS)),
}


def sessions(folder: Path = DATA) -> list[Path]:
    """The tables, by name; each may be read with `models.table.read`."""
    return sorted(folder.glob("session-*.parquet"))


def episodes_path(session: Path) -> Path:
    """The episodes of a session's table."""
    return session.with_suffix(".episodes.csv")


def episodes(session: Path) -> list[Attacked]:
    """The episodes of a session, by start."""
    path = episodes_path(session)
    kinds = {field.name: field.type for field in fields(Attacked)}
    convert = {"str": str, "int": int, "float": float}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [
                Attacked(**{name: convert[str(kinds[name])](text) for name, text in line.items()})
                for line in csv.DictReader(file)
            ]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as episodes: {error!r}") from None


def attacked_rows(table: Table, found: Sequence[Attacked]) -> Bool:
    """Which rows of a table lie in an episode of their node [R]."""
    inside = np.zeros(len(table), np.bool_)
    for episode in found:
        numbers = [number for number, name in enumerate(table.nodes) if name.node == episode.node]
        inside |= np.isin(table.node, numbers) & (table.time_ms >= episode.start_ms) & (table.time_ms <= episode.end_ms)
    return inside


def forget(folder: Path, seed: int) -> None:
    """Remove a session, if it is there."""
    path = folder / f"session-{seed}.parquet"
    path.unlink(missing_ok=True)
    episodes_path(path).unlink(missing_ok=True)


def write(exported: Path, found: Sequence[Attacked], folder: Path, seed: int) -> Path:
    """Make a session of what `nodescore export --inputs` wrote, features as float32; its table's path."""
    table = parquet.read_table(exported)
    for index, field in enumerate(table.schema):
        if pa.types.is_float64(field.type):
            table = table.set_column(index, field.name, table.column(index).cast(pa.float32()))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"session-{seed}.parquet"
    parquet.write_table(table, path, compression="zstd", compression_level=19)
    with episodes_path(path).open("w", encoding="utf-8", newline="") as file:
        lines = csv.DictWriter(file, [field.name for field in fields(Attacked)], lineterminator="\n")
        lines.writeheader()
        lines.writerows(asdict(one) for one in sorted(found, key=lambda one: (one.start_ms, one.node)))
    marked = read(path)
    if marked.attack is None or (marked.attack != attacked_rows(marked, found)).any():
        raise DataError(f"{path}: its column attack is not what its episodes say")
    return path
