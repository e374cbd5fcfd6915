"""An app's identity provider as it is set, and its tokens beside ours: taken, revoked, refused once it is removed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from oddswire.auth import apps, providers, sessions
from oddswire.auth.authority import Authority
from oddswire.auth.identity import Identity
from oddswire.auth.keys import LONGEST_TOKEN_LIFE
from oddswire.auth.outside import Outside
from oddswire.auth.provider_keys import EARLY_SECONDS
from oddswire.auth.providers import Provider
from oddswire.errors import InvalidInput, Missing, Refused, Unavailable
from oddswire.store.sqlite import SqliteStore
from tests.auth.conftest import NOW, HandClock
from tests.auth.identity_provider import AUDIENCE, ISSUER, SECRET, jwk_set, public, token, until

URL = "https://id.example/keys"
IAT = NOW // 1000


class House:
    """What the provider serves."""

    def __init__(self) -> None:
        self.body = jwk_set(public("Ed25519"))
        self.asked = 0

    async def fetch(self, url: str) -> bytes:
        assert url == URL
        self.asked += 1
        return self.body


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
async def shop(store: SqliteStore, clock: HandClock, house: House) -> AsyncIterator[Authority]:
    """An authority that knows an app `shop` with a provider, and one `plain` without."""
    authority = Authority(store, clock, fetch=house.fetch)
    await authority.start()
    for app_id in ("plain", "shop"):
        await store.write(lambda tx, app_id=app_id: apps.create(tx, app_id, [], "", NOW))  # type: ignore[misc]
    await put(store)
    await authority.refresh()
    yield authority
    await authority.close()


async def put(store: SqliteStore, app_id: str = "shop", secret: str | None = None, issuer: str = ISSUER) -> Provider:
    url = None if secret else URL
    return await store.write(
        lambda tx: providers.put(tx, app_id, issuer, AUDIENCE, "sub", NOW, jwks_url=url, secret=secret)
    )


async def refusal(call: Awaitable[Identity]) -> str | None:
    try:
        await call
    except (Refused, Unavailable) as fault:
        return fault.code
    return None


# ---- as it is set


async def test_what_is_set_is_shown_and_removed(shop: Authority, store: SqliteStore) -> None:
    found = await store.read(lambda tx: providers.get(tx, "shop"))
    assert (found.issuer, found.audience, found.claim, found.jwks_url) == (ISSUER, AUDIENCE, "sub", URL)
    await store.write(lambda tx: providers.remove(tx, "shop"))
    for call in (providers.get, providers.remove):
        with pytest.raises(Missing, match="no identity provider"):
            await store.write(lambda tx, call=call: call(tx, "shop"))  # type: ignore[misc]
        with pytest.raises(Missing, match="no app"):
            await store.write(lambda tx, call=call: call(tx, "nobody"))  # type: ignore[misc]


async def test_another_setting_takes_the_place_of_the_first(shop: Authority, store: SqliteStore) -> None:
    first = await store.read(lambda tx: providers.get(tx, "shop"))
    second = await put(store, secret=SECRET)
    assert await store.read(providers.load) == [second]
    assert (second.jwks_url, second.secret) == (None, SECRET)
    assert second.provider_id != first.provider_id
    assert SECRET not in repr(second)


WRONG: dict[str, tuple[dict[str, str | None], str]] = {
    "our own issuer": ({"issuer": "oddswire"}, "issuer"),
    "no issuer": ({"issuer": ""}, "issuer"),
    "a long issuer": ({"issuer": "i" * 513}, "issuer"),
    "an issuer with a line end": ({"issuer": "https://id.example\n"}, "issuer"),
    "an issuer with a space after it": ({"issuer": "https://id.example "}, "issuer"),
    "no audience": ({"audience": ""}, "audience"),
    "no claim": ({"claim": ""}, "claim"),
    "a long claim": ({"claim": "c" * 129}, "claim"),
    "plain http": ({"jwks_url": "http://id.example/keys"}, "jwks-url"),
    "a short secret": ({"jwks_url": None, "secret": "x" * 31}, "shared-secret"),
    "no secret": ({"jwks_url": None, "secret": ""}, "shared-secret"),
    "a long secret": ({"jwks_url": None, "secret": "x" * 513}, "shared-secret"),
}


@pytest.mark.parametrize(("changes", "path"), WRONG.values(), ids=WRONG)
async def test_settings_that_are_refused(
    shop: Authority, store: SqliteStore, changes: dict[str, str | None], path: str
) -> None:
    wanted: dict[str, str | None] = {"issuer": ISSUER, "audience": AUDIENCE, "claim": "sub", "jwks_url": URL, **changes}
    before = await store.read(providers.load)
    with pytest.raises(InvalidInput) as refused:
        await store.write(lambda tx: providers.put(tx, "shop", now=NOW, **wanted))  # type: ignore[arg-type]
    assert refused.value.path == path
    assert "xxx" not in refused.value.detail
    assert await store.read(providers.load) == before


async def test_both_kinds_of_key_are_a_fault_of_the_caller(shop: Authority, store: SqliteStore) -> None:
    with pytest.raises(ValueError, match="or"):
        await store.write(lambda tx: providers.put(tx, "shop", ISSUER, AUDIENCE, "sub", NOW))
    with pytest.raises(Missing):
        await put(store, "nobody")


# ---- its tokens beside ours


async def test_ours_and_the_provider_s_are_told_apart(shop: Authority) -> None:
    ours = await shop.identify((await shop.sign_in("shop", "ann")).access_token, "shop")
    theirs = await shop.identify(token(NOW), "shop")
    assert (ours.app_id, ours.user_id) == (theirs.app_id, theirs.user_id) == ("shop", "ann")
    assert (ours.is_outside, theirs.is_outside) == (False, True)


async def test_a_provider_is_of_one_app(shop: Authority) -> None:
    assert await refusal(shop.identify(token(NOW), "plain")) == "token_invalid"
    plain = (await shop.sign_in("plain", "ann")).access_token
    assert await refusal(shop.identify(plain, "shop")) == "token_invalid"


async def test_a_provider_cannot_speak_as_we_do(shop: Authority, house: House) -> None:
    """Our own issuer goes to our own keys, also with every claim of one of our tokens."""
    made_up = token(NOW, iss="oddswire", aud="shop", sid="ses_1", jti="1")
    assert await refusal(shop.identify(made_up, "shop")) == "token_invalid"
    house.body = jwk_set(*(dict(key) for key in shop.jwks()["keys"]), public("Ed25519"))
    ours = (await shop.sign_in("shop", "ann")).access_token
    assert not (await shop.identify(ours, "shop")).is_outside


async def test_what_is_no_token_at_all(shop: Authority) -> None:
    for text in ("", "a", "a.b.c", "." * 9, "\ud800.a.b", "x" * 5000):
        assert await refusal(shop.identify(text, "shop")) == "token_invalid"


async def test_a_proved_token_is_remembered_and_its_end_asked_every_time(
    shop: Authority, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = token(NOW, exp=IAT + 60)
    first = await shop.identify(text, "shop")
    monkeypatch.setattr("oddswire.auth.outside.prove", lambda *_: pytest.fail("verified again"))
    assert await shop.identify(text, "shop") is first
    clock.at = first.expires_at - 1
    assert await shop.identify(text, "shop") is first
    clock.at += 1
    assert await refusal(shop.identify(text, "shop")) == "token_expired"


async def test_what_a_key_proved_is_forgotten_with_the_key(shop: Authority, house: House, clock: HandClock) -> None:
    text = token(NOW)
    assert await refusal(shop.identify(text, "shop")) is None
    house.body = jwk_set(public("ES256"))
    clock.at += int(EARLY_SECONDS * 1000)
    assert (await shop.identify(token(clock.at, "ES256"), "shop")).user_id == "ann"
    assert await refusal(shop.identify(text, "shop")) == "token_invalid"


async def test_the_oldest_are_forgotten_first(
    shop: Authority, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oddswire.auth.outside._CACHED", 2)
    texts = [token(NOW, sub=f"user {number}") for number in range(3)]
    for text in texts:
        await shop.identify(text, "shop")
    outside: Outside = shop.outside
    assert len(outside._proved) == 2


# ---- sign-out, kick, switched off


async def test_a_sign_out_of_a_provider_s_session_ends_all_its_tokens_and_no_other(
    shop: Authority, clock: HandClock
) -> None:
    text, other = token(NOW, sid="1"), token(NOW, sid="2")
    await shop.sign_out(await shop.identify(text, "shop"))
    assert await refusal(shop.identify(text, "shop")) == "session_revoked"
    assert await refusal(shop.identify(token(NOW, sid="1", sub="bob"), "shop")) is None
    assert await refusal(shop.identify(other, "shop")) is None
    for later in (3600_000, 2 * LONGEST_TOKEN_LIFE, sessions.IDLE_LIFE):
        clock.at = NOW + later
        await shop.sweep()
        assert await refusal(shop.identify(token(clock.at, sid="1"), "shop")) == "session_revoked"
    clock.at = NOW + sessions.IDLE_LIFE + 120_000
    await shop.sweep()
    assert await refusal(shop.identify(token(clock.at, sid="1"), "shop")) is None


async def test_a_sign_out_without_a_session_ends_what_was_issued_until_then(shop: Authority, clock: HandClock) -> None:
    older, text = token(NOW, iat=IAT - 60), token(NOW)
    session, mine = token(NOW, sid="1"), (await shop.sign_in("shop", "ann")).access_token
    clock.at += 500
    await shop.sign_out(await shop.identify(text, "shop"))
    for gone in (older, text, token(NOW, iat=IAT, exp=IAT + 60)):
        assert await refusal(shop.identify(gone, "shop")) == "session_revoked"
    for good in (token(NOW, iat=IAT + 1), session, token(NOW, sub="bob"), mine):
        assert await refusal(shop.identify(good, "shop")) is None


async def test_a_sign_out_ends_its_own_token_also_where_the_provider_s_clock_is_ahead(shop: Authority) -> None:
    text = token(NOW, iat=IAT + 30)
    await shop.sign_out(await shop.identify(text, "shop"))
    assert await refusal(shop.identify(text, "shop")) == "session_revoked"


async def test_a_kick_ends_every_session_of_the_user_but_not_those_to_come(shop: Authority, clock: HandClock) -> None:
    ahead = [token(NOW, iat=IAT + 30), token(NOW, iat=IAT + 30, sid="1")]
    texts = [token(NOW), token(NOW, sid="1"), (await shop.sign_in("shop", "ann")).access_token, *ahead]
    await shop.revoke_user("shop", "ann", "me")
    for text in texts:
        assert await refusal(shop.identify(text, "shop")) == "session_revoked"
    assert await refusal(shop.identify(token(NOW, sub="bob"), "shop")) is None
    clock.at += 31_000
    for sid in (None, "1"):
        assert await refusal(shop.identify(token(clock.at, sid=sid), "shop")) is None


async def test_an_app_that_is_switched_off_takes_none(shop: Authority, store: SqliteStore, house: House) -> None:
    text = token(NOW)
    await shop.identify(text, "shop")
    await store.write(lambda tx: apps.disable(tx, "shop", NOW))
    await shop.refresh()
    assert await refusal(shop.identify(text, "shop")) == "token_invalid"
    assert len(shop.outside) == 0


# ---- another setting


CHANGES: dict[str, Callable[[SqliteStore], Awaitable[object]]] = {
    "removed": lambda store: store.write(lambda tx: providers.remove(tx, "shop")),
    "another issuer": lambda store: put(store, issuer="https://other.example/"),
    "a shared secret": lambda store: put(store, secret=SECRET),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_what_another_process_changes_is_seen(
    shop: Authority, elsewhere: SqliteStore, change: Callable[[SqliteStore], Awaitable[object]]
) -> None:
    identity = await shop.identify(token(NOW), "shop")
    mine = (await shop.sign_in("shop", "ann")).access_token
    heard: list[bool] = []
    shop.outside.on_changed(lambda: heard.append(shop.outside.holds(identity)))
    watching = asyncio.create_task(shop.watch())
    await change(elsewhere)
    await until(lambda: heard)
    watching.cancel()
    assert heard == [False]
    assert await refusal(shop.identify(token(NOW), "shop")) == "token_invalid"
    ours = await shop.identify(mine, "shop")
    assert shop.outside.holds(ours)


async def test_the_same_set_again_begins_anew(shop: Authority, store: SqliteStore, house: House) -> None:
    former = await shop.identify(token(NOW), "shop")
    await put(store)
    await shop.refresh()
    assert not shop.outside.holds(former)
    assert shop.outside.holds(await shop.identify(token(NOW), "shop"))
    assert house.asked == 2


async def test_another_app_s_change_touches_nobody(shop: Authority, store: SqliteStore, house: House) -> None:
    former = await shop.identify(token(NOW), "shop")
    await put(store, "plain")
    await shop.refresh()
    assert shop.outside.holds(former)
    assert await shop.identify(token(NOW), "shop") is former
    assert set(shop.outside.failures()) == {"plain", "shop"}
    await until(lambda: set(shop.outside.ages()) == {"plain", "shop"})


async def test_a_token_that_waited_while_its_provider_was_removed_is_refused(
    store: SqliteStore, clock: HandClock, house: House
) -> None:
    opened = asyncio.Event()

    async def slow(url: str) -> bytes:
        await opened.wait()
        return await house.fetch(url)

    authority = Authority(store, clock, fetch=slow)
    await authority.start()
    await store.write(lambda tx: apps.create(tx, "shop", [], "", NOW))
    await put(store)
    await authority.refresh()
    waiting = asyncio.create_task(refusal(authority.identify(token(NOW), "shop")))
    await asyncio.sleep(0)
    await store.write(lambda tx: providers.remove(tx, "shop"))
    await authority.refresh()
    opened.set()
    assert await waiting in ("token_invalid", "provider_unavailable")
    await authority.close()


async def test_a_key_that_comes_together_with_the_end_of_its_provider_proves_nobody(
    store: SqliteStore, clock: HandClock, house: House
) -> None:
    async def fetch(url: str) -> bytes:
        authority.outside.take([])
        return await house.fetch(url)

    authority = Authority(store, clock, fetch=fetch)
    await authority.start()
    await store.write(lambda tx: apps.create(tx, "shop", [], "", NOW))
    await put(store)
    await authority.refresh()
    assert await refusal(authority.identify(token(NOW), "shop")) == "token_invalid"
    assert house.asked == 1
    await authority.close()
