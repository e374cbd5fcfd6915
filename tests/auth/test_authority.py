import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec
import pytest
from joserfc import jws
from joserfc.jwk import OKPKey

from oddswire.auth import apps, keys, sessions
from oddswire.auth.authority import Authority
from oddswire.auth.keys import LONGEST_TOKEN_LIFE
from oddswire.errors import Missing, Refused
from oddswire.store.base import Revoked
from oddswire.store.sqlite import SqliteStore
from tests.auth.conftest import NOW, HandClock


@pytest.fixture
async def demo(authority: Authority, store: SqliteStore) -> Authority:
    await store.write(lambda tx: apps.create(tx, "demo", [], "", NOW))
    await authority.refresh()
    return authority


def refusal(call: Callable[[], object]) -> str | None:
    try:
        call()
    except Refused as refused:
        return refused.code
    return None


async def watched(authority: Authority, until: Callable[[], bool]) -> None:
    """Let it watch until something has come about, at most 5 s."""
    task = asyncio.create_task(authority.watch())
    try:
        async with asyncio.timeout(5):
            while not until():
                await asyncio.sleep(0.005)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_the_first_start_makes_a_key_and_later_ones_keep_it(store: SqliteStore, clock: HandClock) -> None:
    kids = []
    for _ in range(2):
        authority = Authority(store, clock)
        await authority.start()
        kids.append([key["kid"] for key in authority.jwks()["keys"]])
    assert kids[0] == kids[1]
    assert len(kids[0]) == 1


async def test_who_signs_in_gets_tokens_that_work_also_after_a_restart(
    demo: Authority, store: SqliteStore, clock: HandClock
) -> None:
    signed_in = await demo.sign_in("demo", "ann", "phone")
    assert (signed_in.expires_in, signed_in.user.id) == (3600, "ann")
    identity = demo.verify_token(signed_in.access_token, "demo")
    assert (identity.app_id, identity.user_id) == ("demo", "ann")
    assert identity.expires_at - identity.issued_at == 3_600_000
    again = Authority(store, clock)
    await again.start()
    assert again.verify_token(signed_in.access_token, "demo") == identity


async def test_renewing_gives_a_new_access_token_of_the_same_session(demo: Authority, clock: HandClock) -> None:
    first = await demo.sign_in("demo", "ann")
    for _ in range(3):
        clock.at += 3_600_000
        with pytest.raises(Refused, match="token_expired"):
            demo.verify_token(first.access_token, "demo")
        renewed = await demo.renew("demo", first.refresh_token)
        assert renewed.refresh_token == first.refresh_token
        assert renewed.access_token != first.access_token
        first = renewed
    identity = demo.verify_token(first.access_token, "demo")
    (session,) = await demo.list_sessions(identity)
    assert (session.session_id, session.used_at) == (identity.session_id, clock.at)


async def test_renewing_twice_in_an_hour_writes_nothing(demo: Authority, store: SqliteStore, clock: HandClock) -> None:
    signed_in = await demo.sign_in("demo", "ann")
    units = store.units
    clock.at += sessions.SLIDE_EVERY - 1
    await demo.renew("demo", signed_in.refresh_token)
    assert store.units == units


async def test_once_a_sign_out_has_returned_nothing_of_the_session_is_taken(demo: Authority) -> None:
    signed_in, other = await demo.sign_in("demo", "ann"), await demo.sign_in("demo", "ann")
    heard: list[str] = []
    demo.revocations.on_revoked(lambda rows: heard.extend(row.subject for row in rows))
    identity = demo.verify_token(signed_in.access_token, "demo")
    await demo.sign_out(identity)
    assert heard == [identity.session_id]
    assert refusal(lambda: demo.verify_token(signed_in.access_token, "demo")) == "session_revoked"
    with pytest.raises(Refused):
        await demo.renew("demo", signed_in.refresh_token)
    with pytest.raises(Missing):
        await demo.sign_out(identity)
    assert demo.verify_token(other.access_token, "demo").user_id == "ann"


async def test_a_user_whose_sessions_were_all_ended_may_sign_in_in_the_same_millisecond(demo: Authority) -> None:
    before = await demo.sign_in("demo", "ann")
    assert await demo.revoke_user("demo", "ann", "me") == 1
    after = await demo.sign_in("demo", "ann")
    assert refusal(lambda: demo.verify_token(before.access_token, "demo")) == "session_revoked"
    assert demo.verify_token(after.access_token, "demo").user_id == "ann"
    assert await demo.revoke_user("demo", "nobody", "me") == 0


async def test_a_restart_still_knows_what_was_revoked(demo: Authority, store: SqliteStore, clock: HandClock) -> None:
    signed_in = await demo.sign_in("demo", "ann")
    await demo.sign_out(demo.verify_token(signed_in.access_token, "demo"))
    again = Authority(store, clock)
    await again.start()
    assert refusal(lambda: again.verify_token(signed_in.access_token, "demo")) == "session_revoked"


async def test_a_revocation_rings_and_a_watcher_hears_it(demo: Authority, store: SqliteStore) -> None:
    signed_in = await demo.sign_in("demo", "ann")
    identity = demo.verify_token(signed_in.access_token, "demo")
    bells: list[object] = []
    store.on_bells(bells.extend)
    await store.write(lambda tx: sessions.revoke(tx, "demo", "ann", identity.session_id, NOW))
    assert bells == [Revoked(1)]
    await watched(demo, lambda: demo.revocations.is_revoked(identity))


OTHER_PROCESS: list[tuple[str, Callable[[SqliteStore], Awaitable[object]], Callable[[Authority, str], bool]]] = [
    (
        "makes an app",
        lambda store: store.write(lambda tx: apps.create(tx, "new", [], "", NOW)),
        lambda authority, token: refusal(lambda: authority.apps.get("new")) is None,
    ),
    (
        "switches an app off",
        lambda store: store.write(lambda tx: apps.disable(tx, "demo", NOW)),
        lambda authority, token: (
            refusal(lambda: authority.apps.get("demo")) == "unknown_app"
            and refusal(lambda: authority.verify_token(token, "demo")) == "session_revoked"
        ),
    ),
    (
        "ends a user's sessions",
        lambda store: store.write(lambda tx: sessions.revoke_all(tx, "demo", "ann", NOW)),
        lambda authority, token: refusal(lambda: authority.verify_token(token, "demo")) == "session_revoked",
    ),
]


@pytest.mark.parametrize(("act", "seen"), [case[1:] for case in OTHER_PROCESS], ids=[case[0] for case in OTHER_PROCESS])
async def test_what_another_process_does_is_seen(
    demo: Authority,
    elsewhere: SqliteStore,
    act: Callable[[SqliteStore], Awaitable[object]],
    seen: Callable[[Authority, str], bool],
) -> None:
    token = (await demo.sign_in("demo", "ann")).access_token
    assert not seen(demo, token)
    await act(elsewhere)
    await watched(demo, lambda: seen(demo, token))


async def test_api_keys(demo: Authority, store: SqliteStore) -> None:
    app, key = await store.write(lambda tx: apps.create(tx, "bot", [], "", NOW))
    assert await demo.verify_api_key("bot", key) == app
    assert await demo.verify_api_key(None, key) == app
    with pytest.raises(Refused):
        await demo.verify_api_key("demo", key)


async def test_only_public_halves_are_published(demo: Authority, store: SqliteStore) -> None:
    (row,) = await store.read(keys.load)
    (public,) = demo.jwks()["keys"]
    assert public["kid"] == row.kid
    assert '"d"' in row.private_jwk
    assert "d" not in public


async def test_a_younger_key_of_another_process_is_published_and_waits(
    demo: Authority, store: SqliteStore, elsewhere: SqliteStore
) -> None:
    (old,) = await store.read(keys.load)
    key = OKPKey.generate_key("Ed25519", private=True)
    jwk = msgspec.json.encode(key.as_dict(private=True)).decode()
    values = key.thumbprint(), jwk, "Ed25519", NOW, NOW + 1_000
    await elsewhere.write(lambda tx: tx.run("signing_keys.insert", *values))
    await watched(demo, lambda: len(demo.jwks()["keys"]) == 2)
    token = (await demo.sign_in("demo", "ann")).access_token
    assert demo.verify_token(token, "demo").user_id == "ann"
    assert jws.extract_compact(token.encode()).headers()["kid"] == old.kid


async def test_the_sweep_takes_expired_rows_and_what_is_remembered_of_them(
    demo: Authority, store: SqliteStore, clock: HandClock
) -> None:
    tokens = [(await demo.sign_in("demo", "ann")).access_token for _ in range(2)]
    identities = [demo.verify_token(token, "demo") for token in tokens]
    for identity in identities:
        await demo.sign_out(identity)
    clock.at += LONGEST_TOKEN_LIFE
    await demo.sweep()
    assert all(demo.revocations.is_revoked(identity) for identity in identities)
    clock.at += sessions.IDLE_LIFE
    await demo.sweep()
    assert not any(demo.revocations.is_revoked(identity) for identity in identities)
    assert await store.read(lambda tx: tx.one(int, "revocations.newest")) == 2
    assert await demo.list_sessions(identities[0]) == []
