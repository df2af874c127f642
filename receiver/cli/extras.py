"""Commands that need more than serving does: what is missing is told with the extra that has it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from receiver.errors import DataError


@contextmanager
def needing(extra: str, modules: Collection[str]) -> Iterator[None]:
    """Raise `DataError` in place of the import error of one of these top-level modules, which `extra` installs."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in modules:
            raise
        raise DataError(f"this command needs the extra: pip install 'nodescore[{extra}]' ({error})") from None
