"""Is a native histogram consistent? The checks of Prometheus's `histogram.Validate`, for either version's message.

In: a v1 or v2 `Histogram`. Out: what is wrong with it, or "". Costs one pass over its buckets.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from receiver.wire import remote_write_v1_pb2 as v1_pb2
from receiver.wire import remote_write_v2_pb2 as v2_pb2

# Exponential schemas that Prometheus knows, and its mark for custom bucket bounds.
MIN_SCHEMA, MAX_SCHEMA = -4, 52
CUSTOM_BUCKETS_SCHEMA = -53


Histogram = v1_pb2.Histogram | v2_pb2.Histogram
_Span = v1_pb2.BucketSpan | v2_pb2.BucketSpan


def fault(histogram: Histogram) -> str:
    """What is wrong with a histogram, in a few words; "" where nothing is."""
    schema = histogram.schema
    if schema == CUSTOM_BUCKETS_SCHEMA:
        bounds = list(histogram.custom_values)
        if any(not low < high for low, high in itertools.pairwise(bounds)):
            return "custom bucket bounds do not rise"
        if histogram.negative_spans or histogram.negative_deltas or histogram.negative_counts:
            return "custom buckets cannot be negative"
    elif not MIN_SCHEMA <= schema <= MAX_SCHEMA:
        return f"schema {schema} is unknown"
    is_float = histogram.WhichOneof("count") == "count_float"
    sides: tuple[tuple[str, Sequence[_Span], Sequence[int], Sequence[float]], ...] = (
        ("negative", histogram.negative_spans, histogram.negative_deltas, histogram.negative_counts),
        ("positive", histogram.positive_spans, histogram.positive_deltas, histogram.positive_counts),
    )
    total: float = histogram.zero_count_float if is_float else histogram.zero_count_int
    for side, spans, deltas, counts in sides:
        buckets: list[float] = list(counts) if is_float else list(itertools.accumulate(deltas))
        if any(span.offset < 0 for span in spans[1:]):
            return f"a {side} span overlaps the one before it"
        if sum(span.length for span in spans) != len(buckets):
            return f"the {side} spans do not cover its {len(buckets)} buckets"
        if any(bucket < 0 for bucket in buckets):
            return f"a {side} bucket has a negative count"
        total += sum(buckets)
    if is_float:
        return "" if histogram.count_float >= 0 else "its count is negative"
    # Observations of NaN are in the count but in no bucket.
    if total != histogram.count_int and not (math.isnan(histogram.sum) and total < histogram.count_int):
        return f"its buckets add up to {total:.0f}, its count is {histogram.count_int}"
    return ""
