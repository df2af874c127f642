"""One request → one batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from receiver.series import SeriesTable
from receiver.wire import v1, v2
from receiver.wire.batch import Batch, Collector, TimeWindow
from receiver.wire.body import decompress
from receiver.wire.known import KnownSeries
from receiver.wire.negotiation import check_encoding, version_of


class Decoder:
    """Takes requests apart for one table of known series."""

    def __init__(self, table: SeriesTable, max_sample_age_seconds: float) -> None:
        self.known = KnownSeries(table)
        self.max_sample_age_seconds = max_sample_age_seconds
        for version in (v1, v2):  # compiled now, rather than while a sender waits
            version.decode(b"", self.known, Collector(1, TimeWindow(0, 0), self.known.replicas, 0))

    def decode(self, body: bytes, headers: Mapping[str, str], now_ms: int) -> Batch:
        """Kept samples and an account of the rest; `headers` has lower-case names. Raises `RequestError`."""
        version = version_of(headers)
        check_encoding(headers)
        decoded = decompress(body)
        out = Collector(version, TimeWindow.around(now_ms, self.max_sample_age_seconds), self.known.replicas, now_ms)
        (v1 if version == 1 else v2).decode(decoded, self.known, out)
        return out.batch()

    def forget(self, gone: Iterable[int]) -> None:
        """Drop what is remembered of these series' labels."""
        self.known.forget(gone)

    def decode_whole(self, body: bytes, headers: Mapping[str, str], now_ms: int) -> Batch:
        """The reference for tests: the same by parsing every series in full."""
        version = version_of(headers)
        check_encoding(headers)
        decoded = decompress(body)
        out = Collector(version, TimeWindow.around(now_ms, self.max_sample_age_seconds), self.known.replicas, now_ms)
        (v1 if version == 1 else v2).decode_whole(decoded, self.known, out)
        return out.batch()
