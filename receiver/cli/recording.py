"""Recorded remote-write requests, and sending them again.

A recording is a text file of JSON lines, gzipped where its name ends in .gz; each line is a request:

    {"headers": {NAME: VALUE, …}, "body_base64": …,     as it arrived
     "at_ms": …,                                        when it arrived, Unix ms; needed to play it in time
     "event": …}                                        what happened then, for the person who watches; optional

Of the headers those are read that say what the body is and who sent it. All others, credentials among them, are of a
connection that is no more.

Raises `DataError` that names the line, `Unavailable` where the receiver does not answer for a minute, and
`ConfigurationError` where its certificate is not trusted.
"""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import ssl
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

from receiver.cli.options import write_url
from receiver.errors import ConfigurationError, DataError, Unavailable

HEADERS = ("content-type", "content-encoding", "x-prometheus-remote-write-version", "user-agent")
REQUEST_TIMEOUT_SECONDS = 30.0  # Prometheus's own remote_timeout
GIVE_UP_SECONDS = 60.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 5.0


@dataclass(frozen=True, slots=True)
class Recorded:
    """One request."""

    headers: dict[str, str]  # names in lower case
    body: bytes
    at_ms: int | None
    event: str


def read(path: Path) -> list[Recorded]:
    """All requests of a file, in order of arrival."""
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        lines = content.decode("utf-8").splitlines()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"recording {path}: cannot be read: {error}") from None
    requests = [_request(line, f"recording {path}: line {i}") for i, line in enumerate(lines, 1) if line.strip()]
    if not requests:
        raise DataError(f"recording {path}: holds no request")
    return requests


def _request(line: str, where: str) -> Recorded:
    try:
        fields = json.loads(line)
        given = {str(name).lower(): str(value) for name, value in fields["headers"].items()}
        headers = {name: given[name] for name in HEADERS if name in given}
        body = base64.b64decode(fields["body_base64"], validate=True)
        at_ms = None if fields.get("at_ms") is None else int(fields["at_ms"])
        return Recorded(headers, body, at_ms, str(fields.get("event", "")))
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise DataError(f'{where}: is not {{"headers": {{…}}, "body_base64": "…"}}: {error!r}') from None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the receiver said."""

    status: int
    text: str


class Sender:
    """A connection to a receiver that sends as Prometheus does: 5xx and lost connections again, after a pause."""

    def __init__(self, url: str) -> None:
        parts = write_url(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname or "", parts.port, timeout=REQUEST_TIMEOUT_SECONDS)
        self._path = parts.path
        self.url = f"{parts.scheme}://{parts.netloc}{parts.path}"

    def send(self, headers: dict[str, str], body: bytes) -> Answer:
        """Send until it is answered with something other than 5xx; a certificate that is not trusted ends it."""
        give_up = time.monotonic() + GIVE_UP_SECONDS
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                self._connection.request("POST", self._path, body, headers)
                response = self._connection.getresponse()
                answer = Answer(response.status, response.read().decode("utf-8", "replace").strip())
                fault = f"{answer.status} {answer.text}"
                wanted = response.headers.get("retry-after", "")
                if answer.status < 500:
                    return answer
            except ssl.SSLCertVerificationError as error:
                trust = "SSL_CERT_FILE names the file of the authority that is to be trusted"
                raise ConfigurationError(
                    f"{self.url}: its certificate is not trusted: {error.verify_message}; {trust}"
                ) from None
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                fault, wanted = str(error) or type(error).__name__, ""
            if time.monotonic() + pause > give_up:
                raise Unavailable(f"{self.url} did not take a request for {GIVE_UP_SECONDS:.0f} s: {fault}")
            time.sleep(min(float(wanted) if wanted.isdigit() else pause, LONGEST_PAUSE_SECONDS))
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def close(self) -> None:
        """Give up the connection."""
        self._connection.close()
