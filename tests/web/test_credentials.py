"""What checking a password costs, and whom."""

from __future__ import annotations

import asyncio
import base64
import gc
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import Unavailable
from receiver.web.access.credentials import MAX_REFUSED, Credentials, Principal
from receiver.web.access.file import WebConfig
from receiver.web.access.passwords import MAX_WAITING, MAX_WAITING_OF_ADDRESS, Hashing
from tests.web.guarded import HASH, PASSWORD


class CountingHashing(Hashing):
    """Remembers what it was given to check."""

    def __init__(self) -> None:
        super().__init__()
        self.checked: list[tuple[bytes, bytes]] = []

    async def matches(self, password: bytes, hashed: bytes, address: str) -> bool:
        self.checked.append((password, hashed))
        return await super().matches(password, hashed, address)


@pytest.fixture
def hashing() -> Iterator[CountingHashing]:
    one = CountingHashing()
    yield one
    one.close()


def credentials(hashing: Hashing, **users: str) -> Credentials:
    given = WebConfig.model_validate(
        {"tls": None, "headers": {}, "users": users or {"ann": HASH}, "tokens": {}, "permissions": None, "files": ()}
    )
    return Credentials(given, hashing)


def header(user: str, password: str) -> bytes:
    return b"Basic " + base64.b64encode(f"{user}:{password}".encode())


def test_a_header_is_hashed_once_however_many_send_it_at_once_and_again(hashing: CountingHashing) -> None:
    known = credentials(hashing)

    async def ask() -> list[Principal | None]:
        found: list[Principal | None] = []
        for _ in range(3):
            for password in (PASSWORD, "wrong"):
                one = header("ann", password)
                found += await asyncio.gather(*(known.of_header(one, f"10.0.0.{last}") for last in range(50)))
        return found

    found = asyncio.run(ask())
    assert [one.name for one in found if one is not None] == ["ann"] * 150
    assert len(found) == 300
    assert hashing.checked == [(PASSWORD.encode(), HASH.encode()), (b"wrong", HASH.encode())]


def test_a_name_that_nobody_has_costs_what_one_costs_that_somebody_has(hashing: CountingHashing) -> None:
    costs = {f"user{cost}": HASH.replace("$04$", f"${cost:02}$") for cost in (4, 5, 6)}
    known = credentials(hashing, **costs)
    names = [f"nobody{number}" for number in range(30)]

    async def ask(password: str) -> None:
        for name in names:
            assert await known.of_header(header(name, password), "") is None

    for password in (PASSWORD, "x" * 100, "a\0b"):
        asyncio.run(ask(password))
    drawn = [hashed for _, hashed in hashing.checked]
    assert set(drawn) == {hashed.encode() for hashed in costs.values()}
    assert drawn[:30] == drawn[30:60] == drawn[60:]  # asked again, a name is checked against the same


def test_only_so_many_wait_of_one_address_and_of_all(hashing: CountingHashing) -> None:
    known = credentials(hashing, ann=HASH.replace("$04$", "$08$"))

    async def ask(addresses: list[str]) -> int:
        asked = [known.of_header(header("ann", f"{n} of {len(addresses)}"), one) for n, one in enumerate(addresses)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert all(answer is None or isinstance(answer, Unavailable) for answer in answers)
        return sum(answer is None for answer in answers)

    assert asyncio.run(ask(["10.0.0.1"] * 20)) == MAX_WAITING_OF_ADDRESS
    assert asyncio.run(ask([f"10.0.0.{last}" for last in range(60)])) == MAX_WAITING


def test_who_hangs_up_leaves_the_check_to_the_others(hashing: CountingHashing) -> None:
    known = credentials(hashing)

    async def ask() -> Principal | None:
        first, second = (asyncio.ensure_future(known.of_header(header("ann", PASSWORD), "")) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        with suppress(asyncio.CancelledError):
            await first
        return await second

    found = asyncio.run(ask())
    gc.collect()
    assert (found is not None, len(hashing.checked)) == (True, 1)


def test_wrong_headers_are_remembered_within_bounds(hashing: CountingHashing) -> None:
    known = credentials(hashing)

    async def ask() -> None:
        for number in [*range(MAX_REFUSED + 1), 0, MAX_REFUSED]:
            await known.of_header(header("ann", str(number)), "")

    asyncio.run(ask())
    assert len(hashing.checked) == MAX_REFUSED + 2  # the first was forgotten, the last was not


@given(st.binary() | st.binary().map(lambda some: b"Basic " + base64.b64encode(some)))
def test_any_bytes_are_somebody_or_nobody(some: bytes) -> None:
    hashing = Hashing()
    assert asyncio.run(credentials(hashing).of_header(some, "")) is None
    hashing.close()
