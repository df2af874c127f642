"""A recorded body, moved in time, so that it can be sent again as of now.

In: a compressed body with its headers. Out: the same with every sample, histogram and exemplar `delta_ms` later;
staleness markers and all else as they were. Raises `RequestError`. For `replay` and `demo`: parses in full.
"""

from __future__ import annotations

from collections.abc import Mapping

import snappy
from google.protobuf.message import DecodeError as ProtobufDecodeError

from receiver.errors import DecodeError
from receiver.wire.body import decompress
from receiver.wire.negotiation import version_of
from receiver.wire.remote_write_v1_pb2 import WriteRequest
from receiver.wire.remote_write_v2_pb2 import Request


def shift(body: bytes, headers: Mapping[str, str], delta_ms: int) -> bytes:
    """The body `delta_ms` later; `headers` has lower-case names."""
    request = WriteRequest() if version_of(headers) == 1 else Request()
    try:
        request.ParseFromString(decompress(body))
    except ProtobufDecodeError as error:
        raise DecodeError(f"the recorded body is not a {request.DESCRIPTOR.full_name}: {error}") from error
    for series in request.timeseries:
        for one in (*series.samples, *series.histograms, *series.exemplars):
            one.timestamp += delta_ms
    return bytes(snappy.compress(request.SerializeToString()))
