"""TLS as the web configuration file has it.

`context` makes a `ssl.SSLContext` of the files that `tls_server_config` names, and raises `WebConfigError` where they
do not fit together. `names_of` says who showed a certificate.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from receiver.web.access.file import WebConfigError
from receiver.web.access.format import TlsServer

VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
VERIFIES = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
# Go's names, which the format uses, of the suites of TLS 1.2 that keep what was said secret when the key gets known
# later. TLS 1.3 has three, all good, and lets nobody choose.
SUITES = {
    f"TLS_ECDHE_{key}_WITH_{go}": f"ECDHE-{key}-{openssl}"
    for key in ("ECDSA", "RSA")
    for go, openssl in (
        ("AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
        ("AES_256_GCM_SHA384", "AES256-GCM-SHA384"),
        ("CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"),
    )
}
SUITES_13 = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}


def context(tls: TlsServer, of: Path) -> ssl.SSLContext:
    """A server's context, of this web configuration; raises `WebConfigError`."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version, made.maximum_version = VERSIONS[tls.min_version], VERSIONS[tls.max_version]
    made.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    if not tls.prefer_server_cipher_suites:
        made.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if unknown := [name for name in tls.cipher_suites if name not in SUITES and name not in SUITES_13]:
        raise WebConfigError(
            f"web configuration {of}: tls_server_config.cipher_suites: not supported: {', '.join(unknown)}"
        )
    if suites := [SUITES[name] for name in tls.cipher_suites if name in SUITES]:
        made.set_ciphers(":".join(suites))
    try:
        # A key with a pass phrase is refused; OpenSSL would ask the terminal for it.
        made.load_cert_chain(tls.cert_file, tls.key_file, password=_no_password)
    except (OSError, ssl.SSLError, _PassphraseError) as error:
        files = f"cert_file {tls.cert_file}, key_file {tls.key_file}"
        raise WebConfigError(f"web configuration {of}: {files}: {_reason(error)}") from None
    if tls.client_ca_file is not None:
        try:
            made.load_verify_locations(tls.client_ca_file)
        except (OSError, ssl.SSLError) as error:
            ca = f"client_ca_file {tls.client_ca_file}"
            raise WebConfigError(f"web configuration {of}: {ca}: {_reason(error)}") from None
    made.verify_mode = VERIFIES[tls.client_auth_type]
    return made


def names_of(certificate: Mapping[str, Any] | None) -> frozenset[str]:
    """The subject alternative names of a verified certificate, and `CN=…` for its common name."""
    if not certificate:
        return frozenset()
    subject = [part for group in certificate.get("subject", ()) for part in group]
    common = [f"CN={value}" for kind, value in subject if kind == "commonName"]
    return frozenset([*common, *(_plain(kind, name) for kind, name in certificate.get("subjectAltName", ()))])


def _plain(kind: str, name: str) -> str:
    """An IPv6 address as people write it."""
    return str(ipaddress.ip_address(name.strip())) if kind == "IP Address" else name


class _PassphraseError(Exception):
    """The key has one."""


def _no_password() -> str:
    raise _PassphraseError("the key has a pass phrase, which nobody is there to type: store it without one")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not in PEM format").lower().replace("_", " ")
    return getattr(error, "strerror", None) or str(error)
