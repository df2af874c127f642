"""Loops over bytes and rows that numpy has no operation for, compiled to machine code: the only importer of numba.

In: a plain function over numpy arrays, numbers and named tuples of these. Out: the same function, compiled when it is
first called with such types (some seconds, so the service calls each of its own once before it takes requests), and
read from disk in later processes. It runs without the interpreter's lock. An index outside of its array raises
`IndexError` here too: these loops read what came over the network.

A negative index counts from the end, as ever, so an index that is made from input must be checked to be ≥ 0. Integers
of unequal sign add up to a float: keep to int64, or to uint64 where bits are mixed.

The compiled code is kept beside the source, or in the user's cache, or where `NUMBA_CACHE_DIR` says; where none of
these can be written, every process compiles anew. Its key is the source of its own file: what it calls should stand
in the same one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def compiled(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Decorate a function of arrays so that it is compiled."""
    try:
        machine_code = numba.njit(nogil=True, boundscheck=True, cache=True)(function)
    except RuntimeError:  # there is no place to keep it
        machine_code = numba.njit(nogil=True, boundscheck=True)(function)
    return cast("Callable[Parameters, Result]", machine_code)
