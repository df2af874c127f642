"""Certificates of a test's own authority, made by openssl."""

from __future__ import annotations

import socket
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.servers import places

DAYS = "2"


@dataclass(frozen=True)
class Certificate:
    """A certificate with its key, in PEM."""

    file: Path
    key: Path


class Authority:
    """Signs what it is asked to."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self.own = Certificate(folder / f"{name}.crt", folder / f"{name}.key")
        _openssl("req", "-x509", *_new(self.own, f"/CN={name}"), "-days", DAYS)

    def certificate(self, name: str, *sans: str) -> Certificate:
        """For a common name, and alternative names like `IP:127.0.0.1`; under the same file names each time."""
        made = Certificate(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        extension = ["-addext", f"subjectAltName={','.join(sans)}"] if sans else []
        signed_by = ["-CA", self.own.file, "-CAkey", self.own.key]
        _openssl("req", "-x509", *_new(made, f"/CN={name}"), *extension, *signed_by, "-days", DAYS)
        return made


def serial(address: tuple[str, int], tls: ssl.SSLContext) -> str:
    """Of the certificate that a new connection is shown."""
    with socket.create_connection(address) as plain, tls.wrap_socket(plain, server_hostname="127.0.0.1") as one:
        certificate = one.getpeercert()
    assert certificate is not None
    return str(certificate["serialNumber"])


def _new(made: Certificate, subject: str) -> list[object]:
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    return [*curve, "-noenc", "-keyout", made.key, "-out", made.file, "-subj", subject]


def _openssl(*arguments: object) -> None:
    line = [places.path_of("openssl"), *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{line}: {done.stderr}")
