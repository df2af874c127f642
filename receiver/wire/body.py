"""Snappy block → bytes, with both sizes bounded before anything is allocated.

Raises `BodyTooLarge` and `DecodeError`. Costs one pass in C (some 6 GB/s decoded).
"""

from __future__ import annotations

import cramjam
import snappy

from receiver.errors import BodyTooLarge, DecodeError
from receiver.settings import MAX_COMPRESSED_BYTES, MAX_DECODED_BYTES

_FRAMED_MAGIC = b"\xff\x06\x00\x00sNaPpY"


def check_compressed_size(size_bytes: int) -> None:
    """Refuse a body by its length, as far as it is known."""
    if size_bytes > MAX_COMPRESSED_BYTES:
        raise BodyTooLarge(f"the body is over {MAX_COMPRESSED_BYTES} bytes; lower max_samples_per_send")


def decompress(body: bytes) -> bytes:
    """The decoded body."""
    check_compressed_size(len(body))
    if body.startswith(_FRAMED_MAGIC):
        raise DecodeError("the body is framed snappy; remote write uses the block format")
    try:
        # The header of a 20-byte body may claim 4 GiB.
        claimed_bytes = cramjam.snappy.decompress_raw_len(body)
    except cramjam.DecompressionError as error:
        raise DecodeError(f"the body is not a snappy block: {error}") from error
    if claimed_bytes > MAX_DECODED_BYTES:
        raise DecodeError(f"the body claims {claimed_bytes} bytes decoded; the limit is {MAX_DECODED_BYTES}")
    try:
        decoded: bytes = snappy.uncompress(body)
    except snappy.UncompressError as error:
        raise DecodeError(f"the body is not a snappy block: {error.__cause__}") from error
    return decoded
