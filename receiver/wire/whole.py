"""One series, parsed and checked in full: what the fast paths fall back to, and what tests compare them with.

In: labels and the message of one series. Out: which series it is; into the collector its counts, or its fault. Costs
some 5 µs a series; a kept series passes here once in its life, an unusual one each time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

from receiver.errors import LimitReached
from receiver.settings import MAX_LABEL_BYTES, MAX_LABELS
from receiver.wire import histogram
from receiver.wire.batch import Collector
from receiver.wire.known import KnownSeries
from receiver.wire.numbers import Series

# Enough of a series to find it by, in an error text.
_SHOWN_CHARACTERS = 200


def take(
    series: Series, labels: Sequence[tuple[str, str]], known: KnownSeries, out: Collector
) -> tuple[int, int] | None:
    """Check one series and count all but its samples; id or `UNWANTED`, and replica, or None where it is refused."""
    fault = label_fault(labels)
    if fault:
        out.refuse("labels", f"series {shown(labels)}: {fault}")
        return None
    fault = histogram.fault(series) if series.histograms else ""
    if fault:
        out.refuse("histogram", f"series {shown(labels)}: histogram: {fault}")
        return None
    by_name = {name: value for name, value in labels if value}
    if by_name["__name__"] in known.table.catalogue.terms_of_metric:
        fault = kept_fault(labels)
        if fault:
            out.refuse("labels", f"series {shown(labels)}: {fault}")
            return None
    try:
        series_id = known.table.resolve(by_name)
        replica = known.replicas.number_of(*known.table.catalogue.replica_of(by_name))
    except LimitReached as limit:
        out.refuse("limit", f"series {shown(labels)}: {limit}")
        return None
    out.histograms += len(series.histograms)
    out.exemplars += len(series.exemplars)
    return series_id, replica


def label_fault(labels: Iterable[tuple[str, str]]) -> str:
    """What is wrong with a label set, wanted or not; "" where nothing is."""
    seen: set[str] = set()
    named = False
    for name, value in labels:
        if not name:
            return "a label has no name"
        if name in seen:
            return f"label {_cut(name)!r} stands twice"
        seen.add(name)
        named = named or (name == "__name__" and value != "")
    return "" if named else "it has no metric name (label __name__)"


def kept_fault(labels: Sequence[tuple[str, str]]) -> str:
    """What keeps a wanted label set out of the store; "" where nothing does."""
    if len(labels) > MAX_LABELS:
        return f"{len(labels)} labels; the limit is {MAX_LABELS}"
    text = "".join(chain.from_iterable(labels))
    size_bytes = len(text.encode())
    if size_bytes > MAX_LABEL_BYTES:
        return f"{size_bytes} bytes of labels; the limit is {MAX_LABEL_BYTES}"
    if "\0" in text:
        name = next(name for name, value in labels if "\0" in name + value)
        return f"label {_cut(name)!r} holds a NUL character"
    return ""


def shown(labels: Sequence[tuple[str, str]]) -> str:
    """A label set as PromQL writes it, cut to a readable length."""
    name = next((value for label, value in labels if label == "__name__"), "")
    # A label has a character at the least: no more of them would be shown.
    rest = ", ".join(
        f"{_cut(label)}={_cut(value)!r}" for label, value in labels[:_SHOWN_CHARACTERS] if label != "__name__"
    )
    text = f"{_cut(name)}{{{rest}}}"
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"


def _cut(text: str) -> str:
    return text[:_SHOWN_CHARACTERS]
