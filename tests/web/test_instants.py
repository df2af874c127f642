"""Times as people write them."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.web.instants import format_duration, format_instant, parse_duration_ms, parse_instant_ms

NOW_MS = 1_795_161_600_000


@pytest.mark.parametrize(
    ("text", "time_ms"),
    [
        ("now", NOW_MS),
        ("2026-11-20T08:00:00Z", NOW_MS),
        ("2026-11-20T09:00:00+01:00", NOW_MS),
        ("2026-11-20 08:00:00", NOW_MS),
        ("2026-11-20T08:00:00.250Z", NOW_MS + 250),
        ("2026-11-20", NOW_MS - 8 * 3_600_000),
        ("1795161600", NOW_MS),
        ("1795161600.5", NOW_MS + 500),
        ("1795161600250", NOW_MS + 250),
        ("-10m", NOW_MS - 600_000),
        ("-1h30m", NOW_MS - 5_400_000),
        (" -30 ", NOW_MS - 30_000),
    ],
)
def test_an_instant_is_rfc_3339_unix_time_now_or_before_now(text: str, time_ms: int) -> None:
    assert parse_instant_ms(text, NOW_MS) == time_ms


@pytest.mark.parametrize(
    "text", ["", "yesterday", "-", "-10 parsecs", "2026-13-01", "-100000w", "9" * 14, "10m", "nan"]
)
def test_what_is_no_instant_is_refused_with_the_forms_that_are(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time; write it like 2026-11-20T08:00:00Z, or -10m"):
        parse_instant_ms(text, NOW_MS)


@given(st.text())
def test_any_text_is_an_instant_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert 0 <= parse_instant_ms(text, NOW_MS) <= 253_402_300_799_000


@given(st.integers(0, 253_402_300_799_000))
def test_a_formatted_instant_is_read_back(time_ms: int) -> None:
    assert parse_instant_ms(format_instant(time_ms), NOW_MS) == time_ms


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("30", 30_000), ("2.5s", 2_500), ("250ms", 250), ("1d12h", 129_600_000), ("1w", 604_800_000)],
)
def test_a_duration_has_prometheus_units(text: str, milliseconds: int) -> None:
    assert parse_duration_ms(text) == milliseconds


@pytest.mark.parametrize("text", ["", "often", "-1h", "1 parsec", "9" * 400, "99999999999w"])
def test_what_is_no_duration_or_longer_than_all_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration; write it like 30s"):
        parse_duration_ms(text)


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(-5, "0 s"), (59_999, "59 s"), (60_000, "1 min"), (7_200_000, "2 h"), (864_000_000, "10 d")],
)
def test_a_duration_is_shown_in_its_largest_unit(milliseconds: int, text: str) -> None:
    assert format_duration(milliseconds) == text
