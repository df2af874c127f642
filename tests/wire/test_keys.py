"""A table of byte strings finds exactly what was put in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from receiver.wire.keys import Keys
from receiver.wire.lookup import UNKNOWN

ANY_KEYS = st.lists(st.binary(max_size=40), unique=True, max_size=200)


def filled(several: list[bytes]) -> Keys:
    keys = Keys()
    for number, key in enumerate(several):
        keys.add(key, number)
    return keys


@given(several=ANY_KEYS)
def test_each_key_has_its_number(several: list[bytes]) -> None:
    keys = filled(several)
    assert [keys.find(key) for key in several] == list(range(len(several)))


@given(several=ANY_KEYS, other=st.binary(max_size=40))
def test_another_key_is_unknown(several: list[bytes], other: bytes) -> None:
    keys = filled(several)
    others = {other, *(key + b"\0" for key in several), *(key[1:] for key in several)} - set(several)
    assert {keys.find(key) for key in others} <= {UNKNOWN}


@given(several=ANY_KEYS)
def test_all_keys_come_back_in_order(several: list[bytes]) -> None:
    assert list(filled(several).items()) == [(key, number) for number, key in enumerate(several)]


def test_a_table_grows_with_its_keys() -> None:
    several = [b"%d" % number * 9 for number in range(5000)]
    keys = filled(several)
    assert len(keys) == 5000
    assert all(keys.find(key) == number for number, key in enumerate(several))
