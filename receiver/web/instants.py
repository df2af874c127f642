"""Times and durations as people write them, to milliseconds and back.

An instant is RFC 3339 (`2026-11-20T08:00:00Z`; no zone means UTC), Unix seconds, Unix milliseconds in 13 digits, as
Grafana's links have them, `now`, or a time before now (`-10m`, `-1h30m`). Raises `ValueError` with a line that names
the text and the forms.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

# Times are added to it, not divided by 1000: a float would lose the millisecond.
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhdw]))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")
# The years 1970 to 9999: what a datetime can say. No duration is longer.
_LATEST_MS = 253_402_300_799_000


def parse_duration_ms(text: str) -> int:
    """`10m`, `1h30m`, `2.5s`, or plain seconds; the units are Prometheus's (ms, s, m, h, d, w)."""
    text = text.strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        text += "s"
    milliseconds = sum(float(number) * _UNITS_MS[unit] for number, unit in _PART.findall(text))
    if not _DURATION.fullmatch(text) or milliseconds > _LATEST_MS:
        raise ValueError(f"{text!r} is not a duration; write it like 30s, 10m, 1h30m or 7d")
    return round(milliseconds)


def parse_instant_ms(text: str, now_ms: int) -> int:
    """Unix milliseconds of an instant."""
    text = text.strip()
    try:
        if text == "now":
            return now_ms
        if text.startswith("-"):
            time_ms = now_ms - parse_duration_ms(text[1:])
        elif re.fullmatch(r"\d{1,12}(\.\d+)?", text):
            time_ms = round(float(text) * 1000)
        elif re.fullmatch(r"\d{13}", text):
            time_ms = int(text)
        else:
            moment = datetime.fromisoformat(text)
            time_ms = ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // timedelta(milliseconds=1)
        if not 0 <= time_ms <= _LATEST_MS:
            raise ValueError
    except ValueError:
        raise ValueError(
            f"{text!r} is not a time; write it like 2026-11-20T08:00:00Z, or -10m for ten minutes ago"
        ) from None
    return time_ms


def format_instant(time_ms: int) -> str:
    """RFC 3339 in UTC, with milliseconds where they are not zero."""
    moment = _EPOCH + timedelta(milliseconds=time_ms)
    return moment.isoformat(timespec="milliseconds" if time_ms % 1000 else "seconds").replace("+00:00", "Z")


def format_duration(milliseconds: int) -> str:
    """`3 s`, `12 min`, `2 h`, `5 d`: the largest unit that fits."""
    for unit, name in (("d", "d"), ("h", "h"), ("m", "min")):
        if milliseconds >= _UNITS_MS[unit]:
            return f"{milliseconds // _UNITS_MS[unit]} {name}"
    return f"{max(milliseconds, 0) // 1000} s"
