"""The embedded file, damaged: what is still in it, read without SQLite, and what the service makes of it.

`Specimen` is a data folder that a service under load has left behind. `intact` finds the journal's records in the bytes
of its files by their magic and checksum: independent of SQLite and of receiver/store, and of the state of any page but
the record's own. `examine` starts a service on a damaged copy.

A record of this load fits into one page (https://www.sqlite.org/fileformat2.html), so its bytes stand together. In
the write-ahead log a record counts where its transaction is whole: where a frame that ends one stands behind it.
"""

from __future__ import annotations

import http.client
import json
import re
import shutil
import sqlite3
import struct
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from receiver.columns import NodeName
from tests.faults import stored
from tests.faults.account import same
from tests.faults.load import ASSEMBLY_DEADLINE_SECONDS, CATALOGUE, DATA_FOLDER, Service, under_load
from tests.faults.oracle import Key, Labels, Rows, Sample, expected_rows
from tests.servers.process import wait_until
from tests.wire.requests import HEADERS, Series, body

PAGE_BYTES = 8192
_WAL_HEADER_BYTES = 32
_FRAME = struct.Struct(">IIII")  # page, size of the database after a commit or 0, two salts; then two checksums
_FRAME_HEADER_BYTES = 24
_RECORD = struct.Struct("<4sIQq")  # magic, CRC-32 of all behind it, samples, received_ms
# Of a specimen: a hundred rows and more, a third of a megabyte.
SAMPLES = 4000
# Several services start at once, on whatever else the machine does.
STORED_SECONDS = ASSEMBLY_DEADLINE_SECONDS + 15
_NEW_NODE = {"cluster": "east", "node": "after", "instance": "10.0.1.1:9100", "job": "node"}

Damage = Callable[[Path], None]


@dataclass(frozen=True)
class Specimen:
    """A data folder with its embedded file, and what the service had acknowledged."""

    folder: Path
    rows: Rows
    labels: dict[int, Labels]  # of the service's series ids

    @property
    def file(self) -> Path:
        """The embedded file."""
        return self.folder / "nodescore.sqlite"

    def pages_of(self, table: str, kind: str = "leaf") -> list[int]:
        """The numbers of a table's pages, from 1."""
        with closing(sqlite3.connect(f"{self.file.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            found = connection.execute(
                "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = ? ORDER BY pageno", (table, kind)
            ).fetchall()
        return [page for (page,) in found]


def left_behind(folder: Path, seed: int, killed: bool) -> Specimen:
    """What a service leaves that was stopped, or killed under load: then with its write-ahead log beside the file."""
    with under_load(folder, seed) as load:
        load.go_on(SAMPLES)
        if killed:
            load.service.kill()
            load.sender.close()
        else:
            load.finish("", 0)
        acknowledged = list(load.ledger.samples())
    return Specimen(load.service.data_dir, _rows_of_whole_scrapes(acknowledged), _labels(load.service.data_dir))


def _rows_of_whole_scrapes(acknowledged: list[Sample]) -> Rows:
    """Of a scrape that was cut in two by the kill the service makes a row too, with what its features allow."""
    names = {sample.labels: CATALOGUE.entity_of(dict(sample.labels)) for sample in acknowledged}
    sizes = Counter((names[sample.labels], sample.time_ms) for sample in acknowledged)
    whole = Counter[object]()
    for (name, _), size in sizes.items():
        whole[name] = max(size, whole[name])
    rows = expected_rows(acknowledged, CATALOGUE)
    return {
        key: values
        for key, values in rows.items()
        if sizes[NodeName(key.cluster, key.node), key.time_ms] == whole[NodeName(key.cluster, key.node)]
    }


def copied_back(specimen: Specimen, folder: Path) -> Specimen:
    """The same with its log copied back into the file, as by any program that has looked at it."""
    copy = replace(specimen, folder=shutil.copytree(specimen.folder, folder / DATA_FOLDER))
    with closing(sqlite3.connect(copy.file)) as connection:  # the last one that closes does it
        connection.execute("SELECT * FROM progress").fetchall()
    return copy


def _labels(folder: Path) -> dict[int, Labels]:
    """Read from a copy, because reading would copy the log back."""
    with tempfile.TemporaryDirectory() as other:
        copy = shutil.copytree(folder, Path(other) / "copy")
        with closing(sqlite3.connect(copy / "nodescore.sqlite")) as connection:
            found = connection.execute("SELECT id, labels FROM series").fetchall()
    return {id_: tuple((name, value) for name, value in json.loads(labels)) for id_, labels in found}


def intact(specimen: Specimen, folder: Path) -> Rows:
    """The rows all of whose samples are in records that are intact in this folder's files, and their series' labels."""
    contents = list(_contents(folder))
    before = b"".join(_contents(specimen.folder))
    named = {id_: labels for id_, labels in specimen.labels.items() if _cell_of(labels, before) in b"".join(contents)}
    samples = {
        Sample(named[series], time_ms, value)
        for content in contents
        for series, time_ms, value in _records(content)
        if series in named
    }
    rows = expected_rows(samples, CATALOGUE)
    return {key: values for key, values in rows.items() if specimen.rows.get(key) == values}


def _cell_of(labels: Labels, content: bytes) -> bytes:
    """The stored labels of a series, with the id before them and the checksum behind."""
    text = json.dumps(labels, ensure_ascii=False, separators=(",", ":")).encode()
    begin = content.index(text)
    return content[begin - 8 : begin + len(text) + 4]


def _contents(folder: Path) -> Iterator[bytes]:
    """The pages of the file, and of the log as far as they are committed."""
    yield (folder / "nodescore.sqlite").read_bytes()
    log = folder / "nodescore.sqlite-wal"
    content = log.read_bytes() if log.exists() else b""
    pages: list[bytes] = []
    step = _FRAME_HEADER_BYTES + PAGE_BYTES
    for start in range(_WAL_HEADER_BYTES, len(content) - step + 1, step):
        _, committed, *_ = _FRAME.unpack_from(content, start)
        pages.append(content[start + _FRAME_HEADER_BYTES : start + step])
        if committed:
            yield from pages
            pages.clear()


def _records(content: bytes) -> Iterator[tuple[int, int, float]]:
    """(series, time_ms, value) of every record whose checksum is right."""
    for match in re.finditer(b"NSJ1", content):
        start = match.start()
        if len(content) - start < _RECORD.size:
            continue
        _, checksum, count, _ = _RECORD.unpack_from(content, start)
        end = start + _RECORD.size + 20 * count
        if count > PAGE_BYTES or zlib.crc32(content[start + 8 : end]) != checksum:
            continue
        columns = content[start + _RECORD.size : end]
        yield from zip(
            struct.unpack(f"<{count}i", columns[16 * count :]),
            struct.unpack(f"<{count}q", columns[: 8 * count]),
            struct.unpack(f"<{count}d", columns[8 * count : 16 * count]),
            strict=True,
        )


def examine(specimen: Specimen, damage: Damage, folder: Path) -> list[str]:
    """Start a service on a damaged copy in `folder`; all that is not as it must be."""
    data = shutil.copytree(specimen.folder, folder / DATA_FOLDER)
    damage(data)
    must_have = intact(specimen, data)
    service = Service(folder, environment={"NODESCORE_ASSEMBLY_DEADLINE_SECONDS": str(ASSEMBLY_DEADLINE_SECONDS)})
    try:
        service.start()
    except RuntimeError as error:
        return [f"does not start: {str(error).splitlines()[-1]}"]
    try:
        return _faults_of(service, specimen, must_have)
    finally:
        service.kill()
        shutil.rmtree(folder / DATA_FOLDER)


def _faults_of(service: Service, specimen: Specimen, must_have: Rows) -> list[str]:
    now_ms = time.time_ns() // 1_000_000
    status = _send_new_row(service, now_ms)
    if status != 204:
        return [f"answers {status} to a request: {service.state()}"]

    def missing() -> set[Key]:
        found = _found(service)
        return {key for key, values in must_have.items() if not (key in found and same(values, found[key]))}

    try:
        wait_until(lambda: not missing(), "the rows of intact records", STORED_SECONDS)
    except TimeoutError:
        return [f"{len(missing())} of {len(must_have)} rows of intact records are not there, or have other values"]
    faults = []
    lost = len(specimen.rows.keys() - _found(service).keys())
    counted = [line for line in service.metrics().splitlines() if re.match(r"nodescore_\w*damaged\w* [^0]", line)]
    if lost and not counted:
        faults.append(f"{lost} rows are lost, and nothing is counted")
    if lost and "WARNING" not in service.log.read_text():
        faults.append(f"{lost} rows are lost, and the log does not say so")
    return faults


def _found(service: Service) -> Rows:
    """The rows that can be read; none where the damage does not let them be read."""
    try:
        return dict(stored.embedded(service.embedded_path, CATALOGUE))
    except sqlite3.Error:
        return {}


def _send_new_row(service: Service, now_ms: int) -> int:
    connection = http.client.HTTPConnection(service.address, timeout=10)
    series = Series(sorted({"__name__": "node_load1", **_NEW_NODE}.items()), [(1.0, now_ms)])
    with closing(connection):
        connection.request("POST", "/api/v1/write", body(1, [series]), HEADERS[1])
        return connection.getresponse().status


def truncated(name: str, share: float) -> Damage:
    """Cut a file off after this share of its bytes."""

    def damage(folder: Path) -> None:
        path = folder / name
        with path.open("r+b") as file:
            file.truncate(int(path.stat().st_size * share))

    return damage


def flipped(name: str, *places: int) -> Damage:
    """Flip one bit, which one depends on the place, of the bytes at these places."""

    def damage(folder: Path) -> None:
        with (folder / name).open("r+b") as file:
            for place in places:
                file.seek(place)
                (byte,) = file.read(1)
                file.seek(place)
                file.write(bytes([byte ^ 1 << place % 8]))

    return damage


def erased(name: str, place: int, size: int) -> Damage:
    """Put zeros there, as a disk may that has lost a sector."""

    def damage(folder: Path) -> None:
        with (folder / name).open("r+b") as file:
            file.seek(place)
            file.write(bytes(size))

    return damage
