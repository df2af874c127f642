"""The web configuration file: exporter-toolkit's format, and a section `nodescore` of our own.

`read` takes a path and gives a `WebConfig`, with the paths in it made relative to the file's folder and the bearer
tokens read from their files and variables. It raises `WebConfigError`, which names the file, the key and what to do,
and never a value: any value may be a secret. Keys that we do not know or do not support are refused rather than
ignored, and so is a key that stands there twice. Opens no certificate; `receiver.web.access.tls` does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StrictStr,
    ValidationError,
    field_validator,
    model_validator,
)

from receiver.errors import ConfigurationError
from receiver.web.access.roles import Role

# So that any name fits where authors stand, with its kind before it.
MAX_NAME_CHARACTERS = 180
# Some hundred users; a file that is larger is another file.
MAX_FILE_BYTES = 1024 * 1024
# What `openssl rand -hex 16` gives. A shorter token could be guessed, because checking one costs next to nothing.
MIN_TOKEN_CHARACTERS = 32
MAX_TOKEN_CHARACTERS = 1024
# A second of a core for each password that is not known yet; every step doubles it. The usual cost is 10 to 12.
MAX_BCRYPT_COST = 14
BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
# RFC 6750's token68, which is what fits into a header as it is.
TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
VISIBLE = re.compile(r"[\x20-\x7e]*")

# Those that exporter-toolkit lets a file set, with the values that it takes where it takes few.
HEADERS: Mapping[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
# Of the format, and not of ours: what to do instead.
UNSUPPORTED = {
    "tls_server_config.cert": "name a file with cert_file",
    "tls_server_config.key": "name a file with key_file",
    "tls_server_config.client_ca": "name a file with client_ca_file",
    "tls_server_config.curve_preferences": "leave it out; OpenSSL's order holds",
    "rate_limit": "leave it out; connections and requests have limits of their own",
}


Name = Annotated[StrictStr, Field(min_length=1, max_length=MAX_NAME_CHARACTERS)]


class WebConfigError(ConfigurationError):
    """A web configuration file, or a file that it names, that cannot be used."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class TlsServer(_Strict):
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


class HttpServer(_Strict):
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


class TokenSource(_Strict):
    """Where a bearer token is to be read; it never stands in the file itself."""

    file: Path | None = None
    environment: StrictStr | None = None

    @model_validator(mode="after")
    def _is_one(self) -> TokenSource:
        if (self.file is None) == (self.environment is None):
            raise ValueError("needs either file or environment, the name of a variable")
        return self


Roles = frozenset[Role]
ALL_ROLES: Roles = frozenset(("write", "look", "label", "activate"))


class Permissions(_Strict):
    """Who may do what; who is not named may do nothing."""

    users: dict[Name, Roles] = {}
    tokens: dict[Name, Roles] = {}
    certificates: dict[Name, Roles] = {}


class Own(_Strict):
    """`nodescore`: what exporter-toolkit does not have."""

    bearer_tokens: dict[Name, TokenSource] = {}
    permissions: Permissions | None = None


class _File(_Strict):
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
    def _names_exist(self) -> _File:
        granted = self.nodescore.permissions or Permissions()
        if unknown := sorted(granted.users.keys() - self.basic_auth_users.keys()):
            raise ValueError(f"permissions.users: not in basic_auth_users: {', '.join(unknown)}")
        if unknown := sorted(granted.tokens.keys() - self.nodescore.bearer_tokens.keys()):
            raise ValueError(f"permissions.tokens: not in bearer_tokens: {', '.join(unknown)}")
        verifies = self.tls_server_config is not None and self.tls_server_config.client_auth_type != "NoClientCert"
        if granted.certificates and not verifies:
            raise ValueError("permissions.certificates: needs a client_auth_type that verifies certificates")
        return self


class WebConfig(_Strict):
    """A file as it is used. `permissions` is None where the file has none: then who is known may do everything."""

    tls: TlsServer | None
    headers: dict[str, str]
    users: dict[str, SecretStr]
    tokens: dict[str, SecretStr]
    permissions: Permissions | None
    files: tuple[Path, ...]
    """This file and all that it names, which another content of may make another configuration."""


def read(path: Path, environment: Mapping[str, str]) -> WebConfig:
    """The configuration in a file; raises `WebConfigError`."""
    try:
        given = _File.model_validate(_parse(path))
    except ValidationError as error:
        faults = (_fault(one["loc"], one["msg"]) for one in error.errors(include_input=False, include_url=False))
        raise WebConfigError(f"web configuration {path}: {'; '.join(faults)}") from None
    tls = given.tls_server_config
    named: list[Path] = []
    if tls is not None:
        places = {
            key: path.parent / place
            for key, place in (
                ("cert_file", tls.cert_file),
                ("key_file", tls.key_file),
                ("client_ca_file", tls.client_ca_file),
            )
            if place is not None
        }
        tls = tls.model_copy(update=places)
        named += places.values()
    sources = given.nodescore.bearer_tokens
    named += [path.parent / source.file for source in sources.values() if source.file is not None]
    return WebConfig(
        tls=tls,
        headers=given.http_server_config.headers,
        users=given.basic_auth_users,
        tokens={name: _token(path, name, source, environment) for name, source in sources.items()},
        permissions=given.nodescore.permissions,
        files=(path, *named),
    )


class _Loader(yaml.SafeLoader):
    """Safe, and strict about keys."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.value in seen:
            raise yaml.constructor.ConstructorError(
                problem="a key twice, or one that is no text", problem_mark=key.start_mark
            )
        seen.add(key.value)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def _parse(path: Path) -> object:
    """What the YAML says; an empty file says nothing."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise WebConfigError(f"web configuration {path}: {error.strerror}") from None
    if len(content) > MAX_FILE_BYTES:
        raise WebConfigError(f"web configuration {path}: has more than {MAX_FILE_BYTES} bytes")
    try:
        found = yaml.load(content, _Loader)  # noqa: S506  a SafeLoader
    except yaml.MarkedYAMLError as error:
        # Without the line itself, which YAML's own text quotes.
        mark = error.problem_mark or error.context_mark
        where = "" if mark is None else f" in line {mark.line + 1}, column {mark.column + 1}"
        raise WebConfigError(f"web configuration {path}: not YAML{where}: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise WebConfigError(f"web configuration {path}: not YAML, or not UTF-8") from None
    return {} if found is None else found


def _token(path: Path, name: str, source: TokenSource, environment: Mapping[str, str]) -> SecretStr:
    where = f"web configuration {path}: nodescore.bearer_tokens.{name}"
    if source.file is None:
        variable = source.environment or ""
        if variable not in environment:
            raise WebConfigError(f"{where}: the variable {variable} is not set")
        text = environment[variable]
    else:
        try:
            with (path.parent / source.file).open("rb") as file:
                text = file.read(MAX_TOKEN_CHARACTERS + 2).decode("ascii")
        except OSError as error:
            raise WebConfigError(f"{where}: {path.parent / source.file}: {error.strerror}") from None
        except UnicodeDecodeError:
            text = ""
    token = text.strip()
    if not (MIN_TOKEN_CHARACTERS <= len(token) <= MAX_TOKEN_CHARACTERS and TOKEN.fullmatch(token)):
        raise WebConfigError(
            f"{where}: a token has {MIN_TOKEN_CHARACTERS} to {MAX_TOKEN_CHARACTERS} letters, digits or ._~+/-; "
            "`openssl rand -hex 32` makes one"
        )
    return SecretStr(token)


def _fault(where: tuple[int | str, ...], message: str) -> str:
    key = ".".join(str(part) for part in where if part != "[key]")
    if message == "Extra inputs are not permitted":
        instead = UNSUPPORTED.get(key)
        return f"{key} is not supported: {instead}" if instead else f"there is no key {key}"
    return f"{key}: {message.removeprefix('Value error, ')}".removeprefix(": ")
