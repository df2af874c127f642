"""Who a request is from, by its Authorization header or the certificate of its connection.

A header that was found right once is known by a keyed hash of its bytes, so that a sender costs a hash and a look-up in
a dict, and no time tells anything of what is right. Bearer tokens are kept as such hashes from the start. A password
that is not known yet is checked by `receiver.web.access.passwords`; many requests with the same header wait for one
check. Headers of any bytes give a principal or none, and nothing else; only the waiting may be refused (`Unavailable`).

Of one web configuration: another one begins with nothing known.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from receiver.web.access.file import WebConfig
from receiver.web.access.format import Permissions
from receiver.web.access.passwords import Hashing, Passwords
from receiver.web.access.roles import ALL_ROLES, Roles

# A name and a password, or a token, of 1,024 characters each.
MAX_HEADER_BYTES = 4096
# Spellings of right headers, and wrong headers that are sent again and again.
MAX_ACCEPTED = 4096
MAX_REFUSED = 256


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who is known."""

    kind: Literal["user", "token", "certificate"]
    name: str
    roles: Roles

    @property
    def author(self) -> str:
        """How labels and activations name them; a user's name has no colon."""
        return self.name if self.kind == "user" else f"{self.kind}:{self.name}"


class Credentials:
    """All that a web configuration lets in."""

    def __init__(self, config: WebConfig, hashing: Hashing) -> None:
        self._key = secrets.token_bytes(32)
        self._hashing = hashing
        self._passwords = Passwords({name: one.get_secret_value() for name, one in config.users.items()}, self._key)
        granted = config.permissions
        self._users = {name.encode(): Principal("user", name, _roles(granted, "users", name)) for name in config.users}
        self._tokens = {
            self._digest(token.get_secret_value().encode("ascii")): Principal(
                "token", name, _roles(granted, "tokens", name)
            )
            for name, token in config.tokens.items()
        }
        self._certificates = {} if granted is None else granted.certificates
        self._accepted: dict[bytes, Principal] = {}
        self._refused: OrderedDict[bytes, None] = OrderedDict()
        self._checks: dict[bytes, asyncio.Task[Principal | None]] = {}
        challenges = [b'Basic realm="Nodescore", charset="UTF-8"'] if self._users else []
        self.challenges = challenges if challenges and not self._tokens else [*challenges, b'Bearer realm="Nodescore"']

    def of_certificate(self, names: Iterable[str]) -> Principal | None:
        """Who showed a certificate with these names: all that is granted to any of them."""
        known = sorted(name for name in names if name in self._certificates)
        if not known:
            return None
        return Principal("certificate", known[0], frozenset().union(*(self._certificates[name] for name in known)))

    async def of_header(self, header: bytes, address: str) -> Principal | None:
        """Whose credentials an Authorization header has. Raises `Unavailable` where a password cannot be checked."""
        if len(header) > MAX_HEADER_BYTES:
            return None
        digest = self._digest(header)
        found = self._accepted.get(digest)
        if found is not None or digest in self._refused:
            return found
        scheme, _, value = header.partition(b" ")
        value = value.strip(b" ")
        if scheme.lower() == b"bearer":
            found = self._tokens.get(self._digest(value))
            if found is not None:
                self._accept(digest, found)
            return found
        if scheme.lower() != b"basic" or not self._users:
            return None
        return await self._checked(digest, value, address)

    async def _checked(self, digest: bytes, value: bytes, address: str) -> Principal | None:
        check = self._checks.get(digest)
        if check is None:
            check = asyncio.get_running_loop().create_task(self._check(digest, value, address))
            self._checks[digest] = check
            check.add_done_callback(lambda done: self._forget(digest, done))
        # A sender that hangs up must not end the check for the others.
        return await asyncio.shield(check)

    async def _check(self, digest: bytes, value: bytes, address: str) -> Principal | None:
        try:
            user, colon, password = base64.b64decode(value, validate=True).partition(b":")
        except binascii.Error:
            return None
        if not colon:
            return None
        hashed, counts = self._passwords.hash_of(user)
        if await self._hashing.matches(password, hashed, address) and counts:
            self._accept(digest, self._users[user])
            return self._users[user]
        self._refused[digest] = None
        if len(self._refused) > MAX_REFUSED:
            self._refused.popitem(last=False)
        return None

    def _forget(self, digest: bytes, done: asyncio.Task[Principal | None]) -> None:
        del self._checks[digest]
        if not done.cancelled():
            done.exception()  # where all who waited for it have gone, nobody else looks at it

    def _accept(self, digest: bytes, principal: Principal) -> None:
        if len(self._accepted) >= MAX_ACCEPTED:
            self._accepted.clear()
        self._accepted[digest] = principal

    def _digest(self, secret: bytes) -> bytes:
        return hashlib.blake2b(secret, key=self._key, digest_size=32).digest()


def _roles(granted: Permissions | None, kind: Literal["users", "tokens"], name: str) -> Roles:
    """What is granted; everything where the file grants nothing to anybody in particular."""
    return ALL_ROLES if granted is None else getattr(granted, kind).get(name, frozenset())
