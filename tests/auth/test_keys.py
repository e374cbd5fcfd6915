"""Signing keys: where each is in its life, and that there is always exactly one that signs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddswire.auth import apps, keys
from oddswire.auth.authority import Authority
from oddswire.auth.keys import LONGEST_TOKEN_LIFE, PUBLISHED_BEFORE, KeyRing, KeyRow, Phase
from oddswire.errors import Conflict, Missing, Refused
from oddswire.store.base import Tx
from oddswire.store.sqlite import SqliteStore
from tests.auth.conftest import NOW, HandClock

HOUR = 3600 * 1000
MINUTE = 60_000


@pytest.fixture
async def demo(authority: Authority, store: SqliteStore) -> Authority:
    await store.write(lambda tx: apps.create(tx, "demo", [], "", NOW))
    await authority.refresh()
    return authority


def row(kid: str, signs_from: int, retired_at: int | None = None) -> KeyRow:
    return KeyRow(kid, "", "Ed25519", signs_from - HOUR, signs_from, retired_at)


def phases(rows: list[KeyRow], now: int) -> dict[str, str]:
    return {life.row.kid: life.phase.value for life in keys.lives(rows, now)}


DAY = LONGEST_TOKEN_LIFE
TABLE = {
    "alone": ([row("a", 0)], 5, {"a": "signing"}),
    "published": ([row("a", 0), row("b", HOUR)], HOUR - 1, {"a": "signing", "b": "next"}),
    "its turn": ([row("a", 0), row("b", HOUR)], HOUR, {"a": "verifying", "b": "signing"}),
    "almost dead": ([row("a", 0), row("b", HOUR)], HOUR + DAY + MINUTE - 1, {"a": "verifying", "b": "signing"}),
    "dead": ([row("a", 0), row("b", HOUR)], HOUR + DAY + MINUTE, {"a": "expired", "b": "signing"}),
    "three": ([row("a", 0), row("b", 1), row("c", 2)], 1, {"a": "verifying", "b": "signing", "c": "next"}),
    "retired": ([row("a", 0, 7), row("b", 5)], 8, {"a": "retired", "b": "signing"}),
    "the one that signed is retired": ([row("a", 0), row("b", 5, 7)], 8, {"a": "verifying", "b": "retired"}),
    "retired before its turn": ([row("a", 0), row("b", 9, 7)], 10, {"a": "signing", "b": "retired"}),
    "none": ([], 5, {}),
}


@pytest.mark.parametrize(("rows", "now", "expected"), TABLE.values(), ids=TABLE)
def test_where_a_key_is_in_its_life(rows: list[KeyRow], now: int, expected: dict[str, str]) -> None:
    assert phases(rows, now) == expected


@given(
    begins=st.lists(st.integers(0, 3 * DAY), min_size=1, max_size=5, unique=True),
    now=st.integers(0, 6 * DAY),
)
def test_one_key_signs_from_the_first_on_and_a_token_outlives_no_key(begins: list[int], now: int) -> None:
    rows = [row(str(begin), begin) for begin in begins]
    found = phases(rows, now)
    assert list(found.values()).count("signing") == (now >= min(begins))
    # whichever key signed at a moment is there for as long as the longest token it could have signed
    signed_by = [begin for begin in begins if begin <= now - DAY]
    if signed_by:
        assert found[str(max(signed_by))] in ("signing", "verifying")


async def test_a_rotation_signs_nobody_out(demo: Authority, store: SqliteStore, clock: HandClock) -> None:
    before = (await demo.sign_in("demo", "ann")).access_token
    made = await store.write(lambda tx: keys.rotate(tx, clock.now()))
    await demo.refresh()
    assert [key["kid"] for key in demo.jwks()["keys"]][1] == made.kid
    with pytest.raises(Conflict, match=made.kid):
        await store.write(lambda tx: keys.rotate(tx, clock.now()))
    clock.at += PUBLISHED_BEFORE - 1
    between = (await demo.sign_in("demo", "bob")).access_token
    clock.at += 1
    after = (await demo.sign_in("demo", "eve")).access_token
    assert demo.verify_token(between, "demo").key_id != demo.verify_token(after, "demo").key_id == made.kid
    with pytest.raises(Refused, match="expired"):
        demo.verify_token(before, "demo")
    clock.at += LONGEST_TOKEN_LIFE + MINUTE
    assert [key["kid"] for key in demo.jwks()["keys"]] == [made.kid]
    await demo.sweep()
    assert [stored.kid for stored in await store.read(keys.load)] == [made.kid]


async def test_a_retired_key_counts_for_nothing_and_another_takes_its_place(
    demo: Authority, store: SqliteStore, clock: HandClock
) -> None:
    signed = await demo.sign_in("demo", "ann")
    identity = demo.verify_token(signed.access_token, "demo")
    heard: list[bool] = []
    demo.on_changed(lambda: heard.append(demo.holds(identity)))
    made = await store.write(lambda tx: keys.retire(tx, identity.key_id, clock.now()))
    await demo.refresh()
    assert made is not None
    assert heard == [False]
    with pytest.raises(Refused) as caught:
        demo.verify_token(signed.access_token, "demo")
    assert caught.value.code == "token_invalid"
    assert [key["kid"] for key in demo.jwks()["keys"]] == [made.kid]
    again = await demo.renew("demo", signed.refresh_token)
    assert demo.verify_token(again.access_token, "demo").key_id == made.kid
    assert [stored.private_jwk for stored in await store.read(keys.load) if stored.kid == identity.key_id] == [""]
    with pytest.raises(Missing):
        await store.write(lambda tx: keys.retire(tx, identity.key_id, clock.now()))


async def test_a_key_that_waits_or_verifies_is_retired_without_another(
    demo: Authority, store: SqliteStore, clock: HandClock
) -> None:
    waiting = await store.write(lambda tx: keys.rotate(tx, NOW))
    assert await store.write(lambda tx: keys.retire(tx, waiting.kid, NOW)) is None
    await store.write(lambda tx: keys.rotate(tx, NOW))
    clock.at += PUBLISHED_BEFORE
    (old,) = [life.row for life in keys.lives(await store.read(keys.load), clock.at) if life.phase is Phase.VERIFYING]
    assert await store.write(lambda tx: keys.retire(tx, old.kid, clock.at)) is None


async def test_no_key_has_a_name_that_a_command_takes_for_an_option(store: SqliteStore) -> None:
    def unit(tx: Tx) -> list[str]:
        for turn in range(300):
            made = keys.rotate(tx, turn)
            keys.retire(tx, made.kid, turn)
        return [row.kid for row in keys.load(tx)]

    assert [kid for kid in await store.write(unit) if kid.startswith("-")] == []


def test_a_key_of_another_algorithm_is_not_used() -> None:
    ring = KeyRing([KeyRow("k", "{}", "HS256", 0, 0, None)])
    assert not ring.takes("k", 1)
    with pytest.raises(LookupError):
        ring.signing(1)
