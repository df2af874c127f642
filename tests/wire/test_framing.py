"""The chain of names gives what protobuf gives, or leaves it to protobuf."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import DecodeError
from receiver.wire.framing import _chain, frame, parsed
from tests.wire.requests import MARGIN, Series, any_series, series, v1_message


def series_of(body: bytes) -> list[bytes]:
    framing = frame(body)
    return [framing.series(i) for i in range(len(framing.start))]


@given(several=st.lists(any_series(), max_size=6))
def test_any_request_has_the_series_that_protobuf_finds(several: Sequence[Series]) -> None:
    body = v1_message(several)
    expected = parsed(body)
    assert series_of(body) == [expected.series(i) for i in range(len(expected.start))]


@given(several=st.lists(any_series(), min_size=1, max_size=4), data=st.data())
def test_a_damaged_request_has_the_series_that_protobuf_finds(several: Sequence[Series], data: st.DataObject) -> None:
    body = bytearray(v1_message([series("up"), *several]))
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        expected = parsed(bytes(body))
    except DecodeError:
        with pytest.raises(DecodeError):
            frame(bytes(body))
    else:
        assert series_of(bytes(body)) == [expected.series(i) for i in range(len(expected.start))]


@pytest.mark.parametrize("length", [0, 80, 200, 5000])
def test_usual_series_of_any_length_are_found_by_the_chain(length: int) -> None:
    body = v1_message([series("up", zone="z" * length), series("up")])
    framing = _chain(MARGIN + body + MARGIN)
    assert framing is not None
    assert len(framing.start) == 2


def test_a_value_that_spells_a_name_breaks_the_chain_and_not_the_framing() -> None:
    body = v1_message([series("up", zone="\x0a\x08__name__\x12\x02up"), series("up")])
    assert _chain(MARGIN + body + MARGIN) is None
    assert len(series_of(body)) == 2
