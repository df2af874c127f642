"""Whether a file can be written, asked before the work whose result it shall hold.

Tells a folder that is missing, read-only or full before minutes of reading and fitting, not after them. Raises
`DataError`. Costs a file without a name, in the same folder.
"""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from receiver.errors import DataError


def check_file(path: Path) -> None:
    """Refuse a path where no file can be put; one that is there already stays as it is."""
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror or error}") from None


def make_folder(path: Path) -> None:
    """Make a folder that files will be put into, and those above it, where they are not there."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{path}: cannot be made: {error.strerror or error}") from None
