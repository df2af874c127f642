"""A service behind the gate of a web configuration, on a real uvicorn."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx

from receiver.service import Service
from receiver.web.access import Access
from receiver.web.room import Limits
from receiver.web.server import config
from tests.web.sender import Sender
from tests.web.served import served
from tests.web.service import HeldService, fleet

# Of the password "secret", at the least cost that there is.
HASH = "$2b$04$9si7dbVjaBDg5paZ5NdwAeLmHtUxHxur1RdwdFnbSai0wCWmd6ukW"
PASSWORD = "secret"
TOKEN = "0123456789abcdef0123456789abcdef"
ONE_USER = f'basic_auth_users: {{ann: "{HASH}"}}'
EVERY_ROLE = f"""
basic_auth_users: {{write: &hash "{HASH}", look: *hash, label: *hash, activate: *hash, nothing: *hash}}
nodescore:
  bearer_tokens: {{prometheus: {{environment: TOKEN}}}}
  permissions:
    users: {{write: [write], look: [look], label: [label], activate: [activate]}}
    tokens: {{prometheus: [write, look]}}
"""


@dataclass(frozen=True)
class Guarded:
    """Where it answers, and what it goes by."""

    url: str
    address: tuple[str, int]
    access: Access
    file: Path
    service: HeldService
    client: httpx.Client
    stack: ExitStack

    def ask(self, method: str, path: str, user: str = "", password: str = PASSWORD, **options: Any) -> httpx.Response:
        auth = (user, password) if user else None
        return self.client.request(method, self.url + path, auth=auth, **options)

    def sender(self) -> Sender:
        one = Sender(self.address)
        self.stack.callback(one.socket.close)
        return one

    def metric(self, line: str) -> float:
        return float(self.service.exposition.render("")[0].decode().split(f"\n{line} ")[1].split("\n")[0])


@contextmanager
def guarded_by(
    text: str,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    service: HeldService | None = None,
    tls: ssl.SSLContext | None = None,
    limits: Limits | None = None,
) -> Iterator[Guarded]:
    """Held scores behind the gate that a web configuration makes; its client speaks TLS where it is given one."""
    file = folder / "web.yml"
    file.write_text(text, encoding="utf-8")
    held = service or fleet(3)
    access = Access(file, held.exposition.metrics, environment or {})
    # Of the worker, which is all that remote write needs, there is none: nothing whole is sent.
    with ExitStack() as stack:
        stack.callback(access.close)
        address = stack.enter_context(served(config(cast("Service", held), limits or Limits(), access), tls))
        client = stack.enter_context(httpx.Client(timeout=30, verify=tls or True))
        url = f"{'http' if tls is None else 'https'}://{address[0]}:{address[1]}"
        yield Guarded(url, address, access, file, held, client, stack)
