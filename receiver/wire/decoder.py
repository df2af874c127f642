"""One request → one batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from receiver.columns import Int32, Samples
from receiver.errors import DecodeError
from receiver.series import SeriesTable
from receiver.settings import MAX_ROWS_PER_REQUEST
from receiver.wire import histogram, remote_write_v1_pb2, remote_write_v2_pb2, v1, v2
from receiver.wire.batch import Batch, Collector, TimeWindow
from receiver.wire.body import decompress
from receiver.wire.known import KnownSeries
from receiver.wire.negotiation import check_encoding, version_of
from receiver.wire.numbers import samples_of


class Decoder:
    """Takes requests apart for one table of known series."""

    def __init__(self, table: SeriesTable, max_sample_age_seconds: float) -> None:
        self.known = KnownSeries(table)
        self._table = table
        self.max_sample_age_seconds = max_sample_age_seconds
        self._warm_up()

    def decode(self, body: bytes, headers: Mapping[str, str], now_ms: int) -> Batch:
        """Kept samples and an account of the rest; `headers` has lower-case names. Raises `RequestError`."""
        version = version_of(headers)
        check_encoding(headers)
        decoded = decompress(body)
        out = Collector(version, TimeWindow.around(now_ms, self.max_sample_age_seconds), self.known.replicas, now_ms)
        (v1 if version == 1 else v2).decode(decoded, self.known, out)
        batch = out.batch()
        if len(batch.samples) > MAX_ROWS_PER_REQUEST:
            rows = _rows_of(batch.samples, self._table.target)
            if rows > MAX_ROWS_PER_REQUEST:
                raise DecodeError(f"the request has samples of {rows} rows; the limit is {MAX_ROWS_PER_REQUEST}")
        return batch

    def _warm_up(self) -> None:
        """Go once through all loops, so that they are compiled before a sender waits."""
        labels = [remote_write_v1_pb2.Label(name="__name__", value="warm_up")]
        request = remote_write_v1_pb2.WriteRequest(timeseries=[remote_write_v1_pb2.TimeSeries(labels=labels)])
        symbols = ["", "__name__", "warm_up"]
        references = remote_write_v2_pb2.TimeSeries(labels_refs=[1, 2])
        request_v2 = remote_write_v2_pb2.Request(symbols=symbols, timeseries=[references])
        out = Collector(1, TimeWindow(0, 0), self.known.replicas, 0)
        v1.decode(request.SerializeToString(), self.known, out)
        v2.decode(request_v2.SerializeToString(), self.known, out)
        self.known.keys.find(b"warm_up")
        samples_of(references)
        histogram.fault(references)

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


def _rows_of(samples: Samples, target_of: Int32) -> int:
    """How many moments of how many targets these are."""
    target, time_ms = target_of[samples.series], samples.time_ms
    order = np.lexsort((time_ms, target))
    differs = (np.diff(target[order]) != 0) | (np.diff(time_ms[order]) != 0)
    return 1 + int(np.count_nonzero(differs))
