"""An app that was off and is on again: nothing of before comes back."""

from functools import partial

import pytest

from oddswire.auth import apps, sessions
from oddswire.auth.authority import Authority
from oddswire.clock import Clock
from oddswire.errors import Refused
from oddswire.store.sqlite import SqliteStore
from tests.auth.conftest import NOW, HandClock


@pytest.fixture
async def demo(authority: Authority, store: SqliteStore) -> Authority:
    for app_id in ("demo", "other"):
        await store.write(partial(apps.create, app_id=app_id, origins=[], key_name="first", now=NOW))
    await authority.refresh()
    return authority


async def enable(store: SqliteStore, app_id: str, clock: Clock) -> bool:
    after: str | None = ""
    while after is not None:
        after = await store.write(partial(sessions.end_some_of_app, app_id=app_id, after=after, now=clock.now()))
    return await store.write(lambda tx: sessions.enable_app(tx, app_id))


async def test_only_new_sign_ins_count(demo: Authority, elsewhere: SqliteStore, clock: HandClock) -> None:
    before = [await demo.sign_in("demo", f"user{number}") for number in range(250)]
    others = await demo.sign_in("other", "user0")
    assert await elsewhere.write(lambda tx: apps.disable(tx, "demo", clock.now()))
    assert not await elsewhere.write(lambda tx: apps.disable(tx, "demo", clock.now()))
    await demo.refresh()
    assert not demo.apps.is_active("demo")
    assert await enable(elsewhere, "demo", clock)
    assert not await enable(elsewhere, "demo", clock)
    # in the very millisecond of the disabling
    after = await demo.sign_in("demo", "user0")
    await demo.refresh()
    assert demo.apps.is_active("demo")
    assert demo.verify_token(after.access_token, "demo").user_id == "user0"
    assert (await demo.renew("demo", after.refresh_token)).user.id == "user0"
    assert demo.verify_token(others.access_token, "other").user_id == "user0"
    for signed in before:
        with pytest.raises(Refused, match="revoked"):
            demo.verify_token(signed.access_token, "demo")
        with pytest.raises(Refused) as refusal:
            await demo.renew("demo", signed.refresh_token)
        assert refusal.value.code == "refresh_token_invalid"


async def test_a_clock_set_back_brings_nothing_back(demo: Authority, store: SqliteStore, clock: HandClock) -> None:
    clock.at = NOW + 60_000
    ahead = await demo.sign_in("demo", "ann")
    clock.at = NOW
    await store.write(lambda tx: apps.disable(tx, "demo", clock.now()))
    await enable(store, "demo", clock)
    await demo.refresh()
    after = await demo.sign_in("demo", "ann")
    assert demo.verify_token(after.access_token, "demo").user_id == "ann"
    with pytest.raises(Refused):
        demo.verify_token(ahead.access_token, "demo")


async def test_the_sessions_of_an_app_that_is_on_are_left_alone(demo: Authority, store: SqliteStore) -> None:
    signed = await demo.sign_in("demo", "ann")
    assert await store.write(lambda tx: sessions.end_some_of_app(tx, "demo", "", NOW)) is None
    assert not await store.write(lambda tx: sessions.enable_app(tx, "demo"))
    assert (await demo.renew("demo", signed.refresh_token)).user.id == "ann"
