"""What a web configuration file may say: exporter-toolkit's format, and a section `nodescore` of our own.

`File` takes what the YAML says and raises pydantic's `ValidationError`, which names the key and what to do. Paths and
tokens are as they were written; `receiver.web.access.file` finds them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StrictStr, field_validator, model_validator

from receiver.web.access.roles import Roles

# So that any name fits where authors stand, with its kind before it.
MAX_NAME_CHARACTERS = 180
# A second of a core for each password that is not known yet; every step doubles it. The usual cost is 10 to 12.
MAX_BCRYPT_COST = 14
BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
VISIBLE = re.compile(r"[\x20-\x7e]*")


# Those that exporter-toolkit lets a file set, with the values that it takes where it takes few.
HEADERS: Mapping[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}

Name = Annotated[StrictStr, Field(min_length=1, max_length=MAX_NAME_CHARACTERS)]


class Strict(BaseModel):
    """Frozen, and without unknown keys; what it says of a fault has no value in it."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class TlsServer(Strict):
    """`tls_server_config`."""

    cert_file: Path
    key_file: Path
    client_auth_type: Literal["NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"] = "NoClientCert"
    client_ca_file: Path | None = None
    client_allowed_sans: tuple[StrictStr, ...] = ()
    min_version: Literal["TLS12", "TLS13"] = "TLS12"
    max_version: Literal["TLS12", "TLS13"] = "TLS13"
    cipher_suites: tuple[StrictStr, ...] = ()
    prefer_server_cipher_suites: bool = True

    @field_validator("client_auth_type", mode="before")
    @classmethod
    def _is_verified(cls, kind: object) -> object:
        if kind in ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert"):
            raise ValueError(
                "is insecure, because it verifies nothing: use VerifyClientCertIfGiven or RequireAndVerifyClientCert"
            )
        return kind

    @model_validator(mode="after")
    def _fits(self) -> TlsServer:
        verifies = self.client_auth_type != "NoClientCert"
        if verifies and self.client_ca_file is None:
            raise ValueError("client_auth_type verifies certificates, so it needs a client_ca_file")
        if self.client_ca_file is not None and not verifies:
            raise ValueError("client_ca_file has no use without a client_auth_type that verifies certificates")
        if self.client_allowed_sans and self.client_auth_type != "RequireAndVerifyClientCert":
            raise ValueError("client_allowed_sans needs client_auth_type RequireAndVerifyClientCert")
        if self.min_version > self.max_version:
            raise ValueError("min_version is above max_version")
        return self


class HttpServer(Strict):
    """`http_server_config`."""

    http2: Literal[False] = False
    headers: dict[StrictStr, StrictStr] = {}

    @field_validator("http2", mode="before")
    @classmethod
    def _is_off(cls, on: object) -> object:
        if on is True:
            raise ValueError("HTTP/2 is not supported: leave it out, or say false")
        return on

    @field_validator("headers")
    @classmethod
    def _may_be_set(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if name not in HEADERS:
                raise ValueError(f"only these headers can be set: {', '.join(HEADERS)}")
            if HEADERS[name] and value not in HEADERS[name]:
                raise ValueError(f"{name} can be {' or '.join(HEADERS[name])}")
            if not VISIBLE.fullmatch(value):
                raise ValueError(f"{name} has a character that no header can have")
        return {name: value for name, value in headers.items() if value}


class TokenSource(Strict):
    """Where a bearer token is to be read; it never stands in the file itself."""

    file: Path | None = None
    environment: StrictStr | None = None

    @model_validator(mode="after")
    def _is_one(self) -> TokenSource:
        if (self.file is None) == (self.environment is None):
            raise ValueError("needs either file or environment, the name of a variable")
        return self


class Permissions(Strict):
    """Who may do what; who is not named may do nothing."""

    users: dict[Name, Roles] = {}
    tokens: dict[Name, Roles] = {}
    certificates: dict[Name, Roles] = {}


class Own(Strict):
    """`nodescore`: what exporter-toolkit does not have."""

    bearer_tokens: dict[Name, TokenSource] = {}
    permissions: Permissions | None = None


class File(Strict):
    """The whole of a file, as it was written."""

    tls_server_config: TlsServer | None = None
    http_server_config: HttpServer = HttpServer()
    basic_auth_users: dict[Name, SecretStr] = {}
    nodescore: Own = Own()

    @field_validator("basic_auth_users")
    @classmethod
    def _are_hashes(cls, users: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, secret in users.items():
            if ":" in name or not name.isprintable():
                raise ValueError("the name of a user can have no colon and no control character")
            found = BCRYPT.fullmatch(secret.get_secret_value())
            if not found:
                raise ValueError(f"user {name}: not a bcrypt hash; `nodescore password-hash` makes one")
            if int(found[1]) > MAX_BCRYPT_COST:
                raise ValueError(f"user {name}: a cost over {MAX_BCRYPT_COST} takes over a second for each password")
        return users

    @model_validator(mode="after")
    def _names_exist(self) -> File:
        granted = self.nodescore.permissions or Permissions()
        if unknown := sorted(granted.users.keys() - self.basic_auth_users.keys()):
            raise ValueError(f"permissions.users: not in basic_auth_users: {', '.join(unknown)}")
        if unknown := sorted(granted.tokens.keys() - self.nodescore.bearer_tokens.keys()):
            raise ValueError(f"permissions.tokens: not in bearer_tokens: {', '.join(unknown)}")
        verifies = self.tls_server_config is not None and self.tls_server_config.client_auth_type != "NoClientCert"
        if granted.certificates and not verifies:
            raise ValueError("permissions.certificates: needs a client_auth_type that verifies certificates")
        return self
