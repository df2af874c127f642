"""Loops over bytes and rows that numpy has no operation for, compiled to machine code: the only importer of numba.

In: a plain function over numpy arrays, numbers and named tuples of these. Out: the same function, compiled when it is
first called with such types (some seconds, so the service calls each of its own once before it takes requests), and
read from disk in later processes. It runs without the interpreter's lock. An index outside of its array raises
`IndexError` here too: these loops read what came over the network.

A negative index counts from the end, as ever, so an index that is made from input must be checked to be ≥ 0. Integers
of unequal sign add up to a float: keep to int64, or to uint64 where bits are mixed. No array is made inside (numba
says so when it compiles): the caller gives room, and so knows the bound.

Compiled code is kept in a folder named after the sources that it was compiled from, as Python keeps its own: under
`NUMBA_CACHE_DIR` where that is set, else beside the source, else in the user's cache. Where none of these can be
written, every process compiles anew. A container image brings what was compiled beside the source, and must not write
there: `NUMBA_CACHE_DIR` then starts with a copy of it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numba

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def compiled(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Decorate a function of arrays so that it is compiled."""
    # Counting references to arrays would take as long as the loops; nothing is made here, so nothing is to be freed.
    options: dict[str, Any] = {"nogil": True, "boundscheck": True, "_nrt": False, "no_cfunc_wrapper": True}
    machine_code = numba.njit(**options, cache=bool(_CONFIG.CACHE_DIR))(function)
    return cast("Callable[Parameters, Result]", machine_code)


_BESIDE_THE_SOURCE = Path(__file__).parent / "__pycache__"


def _cache_folder(shipped: Path = _BESIDE_THE_SOURCE) -> str:
    """The first place that can be written, begun with what is shipped; "" where there is none."""
    # numba would look at one file's text, but a function has others compiled into it.
    digest = blake2b(digest_size=8)
    for source in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    name = f"nodescore-{digest.hexdigest()}"
    for place in _places():
        folder = place / name
        try:
            if not folder.exists() and (shipped / name).is_dir():
                _copy(shipped / name, folder)
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError:
            continue
        return str(folder)
    return ""


def _copy(whole: Path, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as partial:
        copy = shutil.copytree(whole, Path(partial) / folder.name)
        with suppress(OSError):  # another process was first
            copy.rename(folder)


def _places() -> Iterator[Path]:
    given = os.environ.get("NUMBA_CACHE_DIR")
    if given:
        yield Path(given)
    else:
        yield _BESIDE_THE_SOURCE
        if "HOME" in os.environ:
            yield Path(os.environ["HOME"]) / ".cache"


# Set before the first function is decorated.
_CONFIG: Any = numba.config
_CONFIG.CACHE_DIR = _cache_folder()
