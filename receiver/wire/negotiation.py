"""Request headers → protocol version.

Raises `UnsupportedMedia` before a byte of the body is looked at. The schema is chosen by Content-Type alone; a
header that is missing means version 1 and snappy, as the reference receiver has it.
"""

from __future__ import annotations

from collections.abc import Mapping

from receiver.errors import UnsupportedMedia

V1_MESSAGE = "prometheus.WriteRequest"
V2_MESSAGE = "io.prometheus.write.v2.Request"
_VERSIONS = {V1_MESSAGE: 1, V2_MESSAGE: 2}


def version_of(headers: Mapping[str, str]) -> int:
    """1 or 2; `headers` has lower-case names."""
    content_type = headers.get("content-type", "").strip()
    if not content_type:
        return 1
    media, *parameters = (part.strip() for part in content_type.split(";"))
    if media.lower() != "application/x-protobuf":
        raise UnsupportedMedia(f"Content-Type {media!r} is not supported; send application/x-protobuf")
    for parameter in parameters:
        name, _, value = (part.strip() for part in parameter.partition("="))
        if name.lower() == "proto":
            message = value.strip('"')
            if message not in _VERSIONS:
                known = " or ".join(_VERSIONS)
                raise UnsupportedMedia(f"Content-Type names the message {message!r}; known are {known}")
            return _VERSIONS[message]
    return 1


def check_encoding(headers: Mapping[str, str]) -> None:
    """Refuse what is not snappy; `headers` has lower-case names."""
    encoding = headers.get("content-encoding", "snappy").strip().lower() or "snappy"
    if encoding != "snappy":
        raise UnsupportedMedia(f"Content-Encoding {encoding!r} is not supported; send snappy (block format)")
