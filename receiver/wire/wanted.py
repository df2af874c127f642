"""What a catalogue asks for, as the arrays that a scan reads: metric names, and values that their series must hold.

`node_cpu_seconds_total` has eight modes for each CPU and the catalogue wants one: a series none of whose labels is
"idle" cannot be it, and is passed over without parsing. One that has such a label is looked at properly.
"""

from __future__ import annotations

import numpy as np

from receiver.catalogue import Catalogue
from receiver.wire.fields import Wanted
from receiver.wire.keys import Keys
from receiver.wire.lookup import WORD_BYTES, words_of


def wanted_of(catalogue: Catalogue) -> Wanted:
    """The names and needles of this catalogue."""
    names = Keys()
    first_needle, spans = [0], []
    text = bytearray(WORD_BYTES)
    for number, (name, terms) in enumerate(catalogue.terms_of_metric.items()):
        names.add(name.encode(), number)
        for needle in _needles(catalogue, terms):
            spans.append((len(text), len(text) + len(needle)))
            text += needle
        first_needle.append(len(spans))
    return Wanted(
        names.table,
        np.array(first_needle, np.int64),
        np.array(spans, np.int64).reshape(-1, 2),
        words_of(bytes(text) + bytes(WORD_BYTES)),
    )


def _needles(catalogue: Catalogue, terms: tuple[int, ...]) -> list[bytes]:
    """For each of a metric's terms the longest value that it asks for; none where a term asks for none."""
    longest = [max((value for _, value in catalogue.terms[i].match), key=len, default="") for i in terms]
    return [value.encode() for value in longest] if all(longest) else []
