"""Label values that a wanted series must hold: what rules most series of a wanted metric out without parsing.

`node_cpu_seconds_total` has eight modes for each CPU and the catalogue wants one: a series whose bytes do not spell
"idle" anywhere cannot be it. One that does spell it is looked at properly.
"""

from __future__ import annotations

from receiver.catalogue import Catalogue


def needles(catalogue: Catalogue) -> dict[bytes, tuple[bytes, ...]]:
    """Metric name → one value for each of its terms; only metrics of which every term asks for a value."""
    found: dict[bytes, tuple[bytes, ...]] = {}
    for name, indices in catalogue.terms_of_metric.items():
        longest = [max((value for _, value in catalogue.terms[i].match), key=len, default="") for i in indices]
        if all(longest):
            found[name.encode()] = tuple(value.encode() for value in longest)
    return found
