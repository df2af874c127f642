"""Checks passwords against bcrypt hashes, beside everything else: a flood of wrong ones keeps no samples waiting.

One thread of low priority hashes, one password at a time. Few may wait for it, and fewer of one address, so that a
sender who has just restarted finds a place beside whoever guesses; who finds none is told to come again
(`Unavailable`). Each check costs what the hash's cost says, whether there is such a user or not. Everything but the
hashing itself runs on the event loop's thread.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import bcrypt

from receiver.errors import Unavailable

# Passwords that wait, at some 0.1 s each: the last one is through before its sender gives up.
MAX_WAITING = 32
MAX_WAITING_OF_ADDRESS = 4
# What bcrypt looks at. A longer password would be taken for each that begins like it.
MAX_PASSWORD_BYTES = 72
# Behind all that the service does.
NICENESS = 10


class Hashing:
    """The thread that hashes, for as long as the service runs."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "password", initializer=_step_back)
        self._waiting: Counter[str] = Counter()

    async def matches(self, password: bytes, hashed: bytes, address: str) -> bool:
        """Whether a password has this hash. Raises `Unavailable` where too many wait."""
        waiting = self._waiting
        if waiting.total() >= MAX_WAITING or waiting[address] >= MAX_WAITING_OF_ADDRESS:
            raise Unavailable("too many passwords are being checked; try again", retry_after_seconds=1)
        waiting[address] += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, _matches, password, hashed)
        finally:
            waiting[address] -= 1
            if not waiting[address]:
                del waiting[address]

    def close(self) -> None:
        """Check nothing any more."""
        self._thread.shutdown(wait=False, cancel_futures=True)


class Passwords:
    """The users of a web configuration with their hashes."""

    def __init__(self, users: Mapping[str, str], key: bytes) -> None:
        self._hashes = {name.encode(): hashed.encode("ascii") for name, hashed in users.items()}
        self._all = list(self._hashes.values())
        self._key = key

    def hash_of(self, user: bytes) -> tuple[bytes, bool]:
        """The hash to check, and whether a match counts: a name that nobody has is checked like one that somebody has.

        It is always the same user's that it is checked like, so that asking twice does not tell.
        """
        if user in self._hashes:
            return self._hashes[user], True
        drawn = int.from_bytes(hashlib.blake2b(user, key=self._key, digest_size=8).digest(), "big")
        return self._all[drawn % len(self._all)], False


def _step_back() -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _matches(password: bytes, hashed: bytes) -> bool:
    """Takes as long for a password that cannot be one."""
    possible = len(password) <= MAX_PASSWORD_BYTES and 0 not in password
    return bcrypt.checkpw(password if possible else b"", hashed) and possible
