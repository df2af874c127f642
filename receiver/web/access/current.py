"""The web configuration that holds now, and how it is read anew.

`Access.load` raises `WebConfigError` at the start. From then on another file, certificate, key or token is looked for
every few seconds (`poll`) and on demand (`reload`): what is good takes over for the requests and connections that come
next, and drops none; what is bad is refused, logged and counted, and what held before goes on. Both may be called from
any thread. One who polls costs a `stat` of each file.
"""

from __future__ import annotations

import logging
import os
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from receiver.exposition import Metrics
from receiver.web.access.credentials import Credentials
from receiver.web.access.file import WebConfig, WebConfigError, read
from receiver.web.access.passwords import Hashing
from receiver.web.access.tls import context

log = logging.getLogger(__name__)

Mark = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for a request; replaced as one."""

    credentials: Credentials
    asks: bool
    """Whether anybody has to say who they are."""
    allowed_sans: frozenset[str]
    """Names of which a certificate must have one; empty where any will do."""
    headers: tuple[tuple[bytes, bytes], ...]
    """Set on every answer."""


class Access:
    """The rules of one file, and the TLS of its connections."""

    def __init__(self, path: Path, metrics: Metrics, environment: Mapping[str, str] = os.environ) -> None:
        """Read it for the first time; raises `WebConfigError`."""
        self.metrics = metrics
        self._path = path
        self._environment = environment
        self._hashing = Hashing()
        self._lock = threading.Lock()
        self._marks = {path: _mark(path)}
        config = self._read()
        self.rules = _rules(config, self._hashing)
        self.tls = None if config.tls is None else context(config.tls, path)
        self.summary = summary(config)

    @property
    def lets_everybody(self) -> bool:
        """Whether nobody has to show or say anything."""
        return not self.rules.asks and (self.tls is None or self.tls.verify_mode != ssl.CERT_REQUIRED)

    def reload(self) -> str:
        """Read it anew; the line to answer. Raises `WebConfigError`, and then what held before still does."""
        with self._lock:
            self._marks = {file: _mark(file) for file in self._marks}
            try:
                self._take(self._read())
            except WebConfigError as error:
                self.metrics.web_config_failures.inc()
                log.error("%s; what held before still does", error)
                raise
            log.info("web configuration %s: %s", self._path, self.summary)
            return f"web configuration: {self.summary}"

    def poll(self) -> None:
        """Read it anew if a file has changed; a bad one is not tried again until it changes again."""
        if any(_mark(file) != mark for file, mark in self._marks.items()):
            try:
                self.reload()
            except WebConfigError:
                return  # said already

    def close(self) -> None:
        """Check no password any more."""
        self._hashing.close()

    def _read(self) -> WebConfig:
        config = read(self._path, self._environment)
        # Of files that were there before, the mark is from before they were read: what has changed since is seen.
        self._marks = {file: self._marks.get(file) or _mark(file) for file in config.files}
        return config

    def _take(self, config: WebConfig) -> None:
        if (config.tls is None) != (self.tls is None):
            raise WebConfigError(f"web configuration {self._path}: TLS is begun or ended by a restart only")
        renewed = None if config.tls is None else context(config.tls, self._path)
        rules = _rules(config, self._hashing)
        self.tls, self.rules = renewed, rules
        self.summary = summary(config)


def check(path: Path, environment: Mapping[str, str] = os.environ) -> str:
    """One line about a file that can be used; raises `WebConfigError`."""
    config = read(path, environment)
    if config.tls is not None:
        context(config.tls, path)
    return summary(config)


def summary(config: WebConfig) -> str:
    """How many of what, and no name."""
    kinds = (("user", len(config.users)), ("bearer token", len(config.tokens)))
    known = [f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in kinds if count]
    granted = config.permissions
    if granted is not None and granted.certificates:
        known.append(f"{len(granted.certificates)} certificate names")
    if granted is not None:
        known.append("permissions")
    return ", ".join(["no TLS" if config.tls is None else "TLS", *(known or ["everybody may do everything"])])


def _rules(config: WebConfig, hashing: Hashing) -> Rules:
    return Rules(
        credentials=Credentials(config, hashing),
        asks=bool(config.users or config.tokens or config.permissions is not None),
        allowed_sans=frozenset(() if config.tls is None else config.tls.client_allowed_sans),
        headers=tuple((name.lower().encode("ascii"), value.encode("ascii")) for name, value in config.headers.items()),
    )


def _mark(file: Path) -> Mark:
    """What changes with a file's content; Kubernetes swaps whole folders behind links, which `stat` follows."""
    try:
        found = file.stat()
    except OSError:
        return ()
    return (found.st_mtime_ns, found.st_size, found.st_ino)
