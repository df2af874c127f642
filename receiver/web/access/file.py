"""Reads the web configuration file, and what it names.

`read` takes a path and gives a `WebConfig`, with the paths in it made relative to the file's folder and the bearer
tokens read from their files and variables. It raises `WebConfigError`, which names the file, the key and what to do,
and never a value: any value may be a secret. Keys that we do not know or do not support are refused rather than
ignored, and so is a key that stands there twice. Opens no certificate; `receiver.web.access.tls` does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import SecretStr, ValidationError

from receiver.errors import ConfigurationError
from receiver.web.access.format import File, Permissions, Strict, TlsServer, TokenSource

# Some hundred users; a file that is larger is another file.
MAX_FILE_BYTES = 1024 * 1024
# What `openssl rand -hex 16` gives. A shorter token could be guessed, because checking one costs next to nothing.
MIN_TOKEN_CHARACTERS = 32
MAX_TOKEN_CHARACTERS = 1024
# RFC 6750's token68, which is what fits into a header as it is.
TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
# Of the format, and not of ours: what to do instead.
UNSUPPORTED = {
    "tls_server_config.cert": "name a file with cert_file",
    "tls_server_config.key": "name a file with key_file",
    "tls_server_config.client_ca": "name a file with client_ca_file",
    "tls_server_config.curve_preferences": "leave it out; OpenSSL's order holds",
    "rate_limit": "leave it out; connections and requests have limits of their own",
}


class WebConfigError(ConfigurationError):
    """A web configuration file, or a file that it names, that cannot be used."""


class WebConfig(Strict):
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
        given = File.model_validate(_parse(path))
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
