"""A provider's keys over time: read again, kept while it is down, and asked for early but never often."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from oddswire.auth.jwks import UnusableKeys
from oddswire.auth.provider_keys import (
    EARLY_SECONDS,
    REFRESH_SECONDS,
    RETRY_SECONDS,
    STALE_SECONDS,
    ProviderKeys,
    UnknownKey,
)
from oddswire.auth.providers import Provider
from oddswire.errors import Refused, Unavailable
from tests.auth.conftest import NOW, HandClock
from tests.auth.identity_provider import SECRET, jwk_set, public, until


class House:
    """A provider that serves `body`, or fails with what it is."""

    def __init__(self) -> None:
        self.body: bytes | Exception = jwk_set(public("ES256", "1"))
        self.asked = 0
        self.open = asyncio.Event()
        self.open.set()

    async def fetch(self, url: str) -> bytes:
        self.asked += 1
        await self.open.wait()
        if isinstance(self.body, Exception):
            raise self.body
        return self.body


DOWN = UnusableKeys("it is down")


@pytest.fixture
def house() -> House:
    return House()


def provider(secret: str | None = None) -> Provider:
    url = None if secret else "https://id.example/keys"
    return Provider("shop", "idp_1", "https://id.example/", "shop-api", "sub", url, secret, NOW)


@pytest.fixture
async def keys(house: House, clock: HandClock) -> AsyncIterator[ProviderKeys]:
    keys = ProviderKeys(provider(), house.fetch, clock)
    yield keys
    await keys.close()


async def tended(keys: ProviderKeys, times: int) -> None:
    """Tend it, and wait until so many answers have come in all."""
    keys.tend()
    await until(lambda: keys.reads + keys.failures >= times)


async def outcome(keys: ProviderKeys, kid: str | None) -> str | None:
    try:
        return (await keys.find(kid, "ES256")).kid
    except (Refused, Unavailable) as fault:
        return fault.code


async def test_keys_are_read_at_once_and_then_every_five_minutes(
    keys: ProviderKeys, house: House, clock: HandClock
) -> None:
    await tended(keys, 1)
    assert (await keys.find("1", "ES256")).kid == "1"
    clock.at += int(REFRESH_SECONDS * 1000) - 1
    keys.tend()
    assert house.asked == 1
    assert keys.age == pytest.approx(REFRESH_SECONDS - 0.001)
    clock.at += 1
    await tended(keys, 2)
    assert (house.asked, keys.age) == (2, 0)


async def test_the_first_token_waits_for_the_first_keys(keys: ProviderKeys, house: House) -> None:
    assert keys.age is None
    house.open.clear()
    waiting = [asyncio.create_task(outcome(keys, "1")) for _ in range(20)]
    await until(lambda: house.asked)
    house.open.set()
    assert await asyncio.gather(*waiting) == ["1"] * 20
    assert house.asked == 1


async def test_a_key_that_is_new_at_the_provider_is_asked_for(
    keys: ProviderKeys, house: House, clock: HandClock
) -> None:
    await tended(keys, 1)
    house.body = jwk_set(public("ES256", "1"), public("ES256", "2", number=1))
    clock.at += int(EARLY_SECONDS * 1000)
    assert await outcome(keys, "2") == "2"
    assert await outcome(keys, "1") == "1"
    assert house.asked == 2


async def test_a_key_that_the_provider_has_taken_away_is_none(
    keys: ProviderKeys, house: House, clock: HandClock
) -> None:
    await tended(keys, 1)
    house.body = jwk_set(public("ES256", "2", number=1))
    clock.at += int(REFRESH_SECONDS * 1000)
    await tended(keys, 2)
    assert await outcome(keys, "1") == "token_invalid"


async def test_tokens_with_made_up_keys_do_not_reach_the_provider(
    keys: ProviderKeys, house: House, clock: HandClock
) -> None:
    await tended(keys, 1)
    for second in range(60):
        codes = await asyncio.gather(*(outcome(keys, f"made up {second} {number}") for number in range(50)))
        assert set(codes) == {"token_invalid"}
        clock.at += 1000
    assert house.asked == 1 + 60 // EARLY_SECONDS - 1


async def test_a_known_key_of_another_algorithm_asks_nobody(keys: ProviderKeys, house: House, clock: HandClock) -> None:
    await tended(keys, 1)
    clock.at += int(EARLY_SECONDS * 1000)
    for kid, algorithm in (("1", "Ed25519"), ("1", "RS256"), ("1", "HS256"), ("2", "HS256"), (None, "HS256")):
        with pytest.raises(Refused):
            await keys.find(kid, algorithm)  # type: ignore[arg-type]
    with pytest.raises(Refused):
        await keys.find("2", None)
    assert house.asked == 1


async def test_known_keys_go_on_while_the_provider_is_down_for_a_day(
    keys: ProviderKeys, house: House, clock: HandClock
) -> None:
    await tended(keys, 1)
    for fault in (DOWN, UnusableKeys("it is slow")):
        house.body = fault
        clock.at += int(REFRESH_SECONDS * 1000)
        await tended(keys, keys.failures + 2)
    for body in (b"<html>", jwk_set(), jwk_set(public("ES256", use="enc"))):
        house.body = body
        clock.at += int(RETRY_SECONDS * 1000)
        await tended(keys, keys.failures + 2)
    assert keys.failures == 5
    assert await outcome(keys, "1") == "1"
    assert keys.age is not None
    clock.at += int((STALE_SECONDS - keys.age) * 1000) - 1
    assert await outcome(keys, "1") == "1"
    clock.at += 1
    assert await outcome(keys, "1") == "provider_unavailable"
    house.body = jwk_set(public("ES256", "1"))
    clock.at += int(EARLY_SECONDS * 1000)
    assert await outcome(keys, "1") == "1"


async def test_a_provider_that_is_down_is_asked_again_soon_and_not_often(
    keys: ProviderKeys, house: House, clock: HandClock
) -> None:
    house.body = DOWN
    await tended(keys, 1)
    for _ in range(60):
        clock.at += 1000
        keys.tend()
        assert await outcome(keys, "1") == "provider_unavailable"
    assert house.asked <= 1 + 60 / EARLY_SECONDS


async def test_a_new_key_while_the_provider_is_down_cannot_be_known(
    keys: ProviderKeys, house: House, clock: HandClock
) -> None:
    await tended(keys, 1)
    house.body = DOWN
    clock.at += int(EARLY_SECONDS * 1000)
    assert await outcome(keys, "2") == "provider_unavailable"
    assert await outcome(keys, "1") == "1"
    with pytest.raises(Refused):
        await keys.find("1", "RS256")


async def test_a_key_that_is_none_of_the_known_is_told_from_one_where_none_is_known(
    keys: ProviderKeys, house: House, clock: HandClock
) -> None:
    house.body = DOWN
    with pytest.raises(Unavailable) as fault:
        await keys.find("2", "ES256")
    assert not isinstance(fault.value, UnknownKey)
    house.body = jwk_set(public("ES256", "1"))
    clock.at += int(RETRY_SECONDS * 1000)
    await tended(keys, 2)
    house.body = DOWN
    clock.at += int(EARLY_SECONDS * 1000)
    with pytest.raises(UnknownKey):
        await keys.find("2", "ES256")


async def test_who_has_to_wait_asks_first_and_may_be_told_not_to(
    keys: ProviderKeys, house: House, clock: HandClock
) -> None:
    def not_now() -> None:
        raise PermissionError

    with pytest.raises(PermissionError):
        await keys.find("1", "ES256", not_now)
    await until(lambda: keys.reads)
    assert (await keys.find("1", "ES256", not_now)).kid == "1"
    with pytest.raises(Refused):
        await keys.find("2", "ES256", not_now)  # asked for a moment ago: there is nothing to wait for
    clock.at += int(EARLY_SECONDS * 1000)
    with pytest.raises(PermissionError):
        await keys.find("2", "ES256", not_now)


async def test_a_token_does_not_wait_longer_than_it_may(
    keys: ProviderKeys, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oddswire.auth.provider_keys.WAIT_SECONDS", 0.05)
    house.open.clear()
    assert await outcome(keys, "1") == "provider_unavailable"
    house.open.set()
    await until(lambda: keys.reads)
    assert await outcome(keys, "1") == "1"


async def test_a_fault_of_ours_is_one_more_failure(keys: ProviderKeys, house: House, clock: HandClock) -> None:
    house.body = RuntimeError("never meant to be")
    await tended(keys, 1)
    assert keys.failures == 1
    house.body = jwk_set(public("ES256", "1"))
    clock.at += int(RETRY_SECONDS * 1000)
    await tended(keys, 2)
    assert await outcome(keys, "1") == "1"


async def test_a_shared_secret_asks_nobody(house: House, clock: HandClock) -> None:
    keys = ProviderKeys(provider(SECRET), house.fetch, clock)
    keys.tend()
    assert (await keys.find("any", "HS256")).algorithm == "HS256"
    with pytest.raises(Refused):
        await keys.find(None, "ES256")
    assert (house.asked, keys.age) == (0, None)
    await keys.close()


async def test_closing_ends_what_is_under_way(keys: ProviderKeys, house: House) -> None:
    house.open.clear()
    waiting = asyncio.create_task(outcome(keys, "1"))
    await until(lambda: house.asked)
    await keys.close()
    assert await waiting == "provider_unavailable"
