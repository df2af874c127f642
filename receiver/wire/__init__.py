"""HTTP body → columns. The only place that knows protobuf and snappy.

    negotiation       headers → version                   415
    body              snappy, sizes bounded               413, 400
    v1, v2            the two messages                    400
    scan_v1, scan_v2  the loops over their bytes, compiled, with what they share in fields
    lookup, keys      byte strings that were met before
    wanted, known     what a catalogue asks for, and the series that were met before
    findings          what a scan found → the batch; what it set aside is parsed
    whole             one series, parsed and checked in full
    numbers           the samples of a parsed series; histogram checks its histograms
    batch             what comes out
    shift             a recorded body, moved in time

`Decoder.decode` gives a `Batch` or raises a `RequestError`, whatever the bytes are.
"""

from receiver.wire.batch import Batch, Fault, TimeWindow, Written
from receiver.wire.decoder import Decoder
from receiver.wire.negotiation import check_encoding, version_of
from receiver.wire.shift import shift

__all__ = ["Batch", "Decoder", "Fault", "TimeWindow", "Written", "check_encoding", "shift", "version_of"]
