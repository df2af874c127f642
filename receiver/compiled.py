"""Loops over bytes and rows that numpy has no operation for, compiled to machine code: the only importer of numba.

In: a plain function over numpy arrays, numbers and named tuples of these. Out: the same function, compiled when it is
first called with such types (some seconds, so the service calls each of its own once before it takes requests), and
read from disk in later processes. It runs without the interpreter's lock. An index outside of its array raises
`IndexError` here too: these loops read what came over the network.

A negative index counts from the end, as ever, so an index that is made from input must be checked to be ≥ 0. Integers
of unequal sign add up to a float: keep to int64, or to uint64 where bits are mixed. No array is made inside (numba
says so when it compiles): the caller gives room, and so knows the bound.

The compiled code is kept beside the source, or in the user's cache, or where `NUMBA_CACHE_DIR` says; where none of
these can be written, every process compiles anew. Its key is the source of its own file: what it calls stands in
the same one, and the constants that it has from elsewhere are ones that do not change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numba

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def compiled(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Decorate a function of arrays so that it is compiled."""
    # Counting references to arrays would take as long as the loops; nothing is made here, so nothing is to be freed.
    options: dict[str, Any] = {"nogil": True, "boundscheck": True, "_nrt": False}
    try:
        machine_code = numba.njit(**options, cache=True)(function)
    except RuntimeError:  # there is no place to keep it
        machine_code = numba.njit(**options)(function)
    return cast("Callable[Parameters, Result]", machine_code)
