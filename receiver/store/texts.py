"""What every store takes as a text: of bounded length, writable as UTF-8, and without NUL, which Postgres refuses.

`check` raises `DataError`.
"""

from __future__ import annotations

from receiver.errors import DataError


def check(name: str, text: str, most: int) -> None:
    """Refuse a text that a store may not take; `name` says whose it is."""
    if len(text) > most:
        raise DataError(f"{name} has {len(text)} characters; {most} are allowed")
    if "\x00" in text or any(0xD800 <= ord(character) <= 0xDFFF for character in text):
        raise DataError(f"{name} has a NUL or half of a surrogate pair, which is no text")
