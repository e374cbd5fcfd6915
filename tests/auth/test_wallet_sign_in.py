"""Sign-in by wallet: nonces that serve once, and sessions that begin with them."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest
from msgspec import UNSET

from oddswire.auth import apps, nonces
from oddswire.auth.apps import App
from oddswire.auth.authority import Authority
from oddswire.auth.wallet import SKEW, WalletMessage, read, write
from oddswire.errors import Missing, OddswireError
from oddswire.store.sqlite import SqliteStore
from oddswire.wire.bodies import SignedIn, StartWallet
from tests.auth.conftest import NOW, HandClock
from tests.auth.wallets import ANN, BOB, ORIGINS, Wallet, high_s

PAGE, OTHER_PAGE = ORIGINS[:2]
Shop = tuple[Authority, App]
Attempt = Callable[[Authority, App, WalletMessage], Awaitable[object]]


@pytest.fixture
async def shop(authority: Authority, store: SqliteStore) -> Shop:
    for app_id in ("shop", "other"):
        await make(store, app_id)
    await authority.refresh()
    return authority, authority.apps.get("shop")


async def make(store: SqliteStore, app_id: str, *origins: str, wallet: bool = True) -> None:
    await store.write(lambda tx: apps.create(tx, app_id, origins or ORIGINS, "", NOW))
    if wallet:
        await store.write(lambda tx: apps.take_wallets(tx, app_id, True))


async def message_of(authority: Authority, app: App, owner: Wallet = ANN) -> WalletMessage:
    started = await authority.start_wallet(app, PAGE, StartWallet(address=owner.address))
    assert isinstance(started.message, str)
    return read(started.message)


async def sign_in(
    authority: Authority, app: App, message: WalletMessage, owner: Wallet = ANN, origin: str | None = PAGE
) -> SignedIn:
    text = write(message)
    return await authority.sign_in_wallet(app, origin, text, owner.sign(text), "phone")


async def code_of(call: Awaitable[object]) -> str | None:
    try:
        await call
    except OddswireError as fault:
        return fault.code
    return None


def dump(folder: Path) -> list[str]:
    """Return everything that is stored."""
    with closing(sqlite3.connect(folder / "auth.db")) as connection:
        return list(connection.iterdump())


async def test_who_signs_the_message_is_signed_in_by_address(shop: Shop) -> None:
    authority, app = shop
    signed = await sign_in(authority, app, await message_of(authority, app))
    assert signed.user.id == ANN.user_id == f"wallet:{ANN.address.lower()}"
    identity = authority.verify_token(signed.access_token, "shop")
    assert identity.user_id == ANN.user_id
    (session,) = await authority.list_sessions(identity)
    assert session.label == "phone"
    assert (await authority.renew("shop", signed.refresh_token)).user == signed.user
    again = await sign_in(authority, app, await message_of(authority, app))
    assert again.user == signed.user
    assert (await sign_in(authority, app, await message_of(authority, app, BOB), BOB)).user.id == BOB.user_id


async def test_a_message_may_be_made_of_the_nonce_alone(shop: Shop) -> None:
    authority, app = shop
    started = await authority.start_wallet(app, PAGE, StartWallet())
    assert started.message is UNSET
    assert (started.issued_at, started.expires_at, started.chain_ids) == (NOW, NOW + nonces.LIFE, [1, 137])
    message = WalletMessage(
        scheme="https",
        domain="shop.example",
        address=ANN.address,
        statement=None,
        uri="https://shop.example/",
        chain_id=137,
        nonce=started.nonce,
        issued_at=NOW // 1000 * 1000,
    )
    assert (await sign_in(authority, app, message)).user.id == ANN.user_id


async def test_where_no_page_asks_the_app_s_own_origin_is_named(shop: Shop, store: SqliteStore) -> None:
    authority, app = shop
    started = await authority.start_wallet(app, None, StartWallet(address=ANN.address.lower(), chain_id=137))
    message = read(str(started.message))
    assert (message.domain, message.uri, message.chain_id) == ("shop.example", "https://shop.example", 137)
    assert message.address == ANN.address
    assert (await sign_in(authority, app, message, origin=None)).user.id == ANN.user_id
    await make(store, "wild", "https://*.wild.example")
    await authority.refresh()
    wild = authority.apps.get("wild")
    assert await code_of(authority.start_wallet(wild, None, StartWallet(address=ANN.address))) == "origin_not_allowed"
    assert await code_of(authority.start_wallet(wild, None, StartWallet())) is None


async def test_a_message_signs_in_once(shop: Shop, tmp_path: Path) -> None:
    authority, app = shop
    message = await message_of(authority, app)
    await sign_in(authority, app, message)
    before = dump(tmp_path)
    assert await code_of(sign_in(authority, app, message)) == "nonce_invalid"
    assert await code_of(sign_in(authority, app, message._replace(address=BOB.address), BOB)) == "nonce_invalid"
    assert dump(tmp_path) == before


async def test_of_many_at_once_with_one_nonce_one_signs_in(
    shop: Shop, elsewhere: SqliteStore, clock: HandClock
) -> None:
    authority, app = shop
    another_node = Authority(elsewhere, clock)
    await another_node.start()
    message = await message_of(authority, app)
    answers = await asyncio.gather(
        *(code_of(sign_in(node, app, message)) for node in (authority, another_node) * 10),
    )
    assert sorted(map(str, answers)) == ["None", *["nonce_invalid"] * 19]
    identity = authority.verify_token((await authority.sign_in("shop", "ann")).access_token, "shop")
    assert len(await authority.list_sessions(identity)) == 1


def with_signature(change: Callable[[str], str]) -> Attempt:
    def attempt(authority: Authority, app: App, message: WalletMessage) -> Awaitable[object]:
        text = write(message)
        return authority.sign_in_wallet(app, PAGE, text, change(ANN.sign(text)))

    return attempt


def with_message(origin: str | None = PAGE, **other: object) -> Attempt:
    def attempt(authority: Authority, app: App, message: WalletMessage) -> Awaitable[object]:
        return sign_in(authority, app, message._replace(**other), origin=origin)  # type: ignore[arg-type]

    return attempt


def with_text(change: Callable[[str], str]) -> Attempt:
    def attempt(authority: Authority, app: App, message: WalletMessage) -> Awaitable[object]:
        text = change(write(message))
        return authority.sign_in_wallet(app, PAGE, text, ANN.sign(text))

    return attempt


def at_another_app(authority: Authority, app: App, message: WalletMessage) -> Awaitable[object]:
    return sign_in(authority, authority.apps.get("other"), message)


REFUSED: dict[str, tuple[Attempt, str]] = {
    "an unknown nonce": (with_message(nonce="0" * 32), "nonce_invalid"),
    "a short nonce": (with_message(nonce="00000000"), "nonce_invalid"),
    "another app's nonce": (at_another_app, "nonce_invalid"),
    "issued before its nonce": (with_message(issued_at=NOW - SKEW - 1), "nonce_invalid"),
    "issued in the future": (with_message(issued_at=NOW + SKEW + 1), "wallet_message_refused"),
    "expired": (with_message(expires_at=NOW), "wallet_message_refused"),
    "not yet": (with_message(not_before=NOW + 1), "wallet_message_refused"),
    "another domain": (with_message(domain="evil.example"), "wallet_message_refused"),
    "another page": (with_message(origin=OTHER_PAGE), "wallet_message_refused"),
    "another chain": (with_message(chain_id=5), "wallet_message_refused"),
    "another address": (with_message(address=BOB.address), "signature_invalid"),
    "high s": (with_signature(high_s), "signature_invalid"),
    "half a signature": (with_signature(lambda signature: signature[:66]), "signature_invalid"),
    "a capital in the nonce": (with_text(lambda text: text.replace("Nonce: ", "Nonce: A")), "nonce_invalid"),
    "a line feed at the end": (with_text(lambda text: text + "\n"), "wallet_message_invalid"),
    "CRLF": (with_text(lambda text: text.replace("\n", "\r\n")), "wallet_message_invalid"),
    "one more line": (with_text(lambda text: text + "\nAdmin: true"), "wallet_message_invalid"),
}


@pytest.mark.parametrize(("attempt", "code"), REFUSED.values(), ids=REFUSED)
async def test_a_refusal_changes_nothing_and_the_nonce_still_serves(
    shop: Shop, tmp_path: Path, attempt: Attempt, code: str
) -> None:
    authority, app = shop
    message = await message_of(authority, app)
    before = dump(tmp_path)
    assert await code_of(attempt(authority, app, message)) == code
    assert dump(tmp_path) == before
    assert await code_of(sign_in(authority, app, message)) is None


async def test_a_nonce_ends_after_ten_minutes(shop: Shop, clock: HandClock) -> None:
    authority, app = shop
    first, second = await message_of(authority, app), await message_of(authority, app)
    clock.at += nonces.LIFE - 1
    assert await code_of(sign_in(authority, app, first._replace(expires_at=None))) is None
    clock.at += 1
    assert await code_of(sign_in(authority, app, second)) == "wallet_message_refused"
    assert await code_of(sign_in(authority, app, second._replace(expires_at=None))) == "nonce_invalid"


async def test_of_a_nonce_only_a_hash_is_kept_and_swept_once_it_has_expired(
    shop: Shop, tmp_path: Path, clock: HandClock
) -> None:
    authority, app = shop
    empty = dump(tmp_path)
    started = await authority.start_wallet(app, PAGE, StartWallet())
    assert len(started.nonce) == 32
    stored = [row for row in dump(tmp_path) if row not in empty]
    assert len(stored) == 1
    assert started.nonce not in stored[0]
    clock.at += nonces.LIFE - 1
    await authority.sweep()
    assert [row for row in dump(tmp_path) if row not in empty] == stored
    clock.at += 1
    await authority.sweep()
    assert dump(tmp_path) == empty


async def test_no_app_takes_wallets_unless_it_was_switched_on(authority: Authority, store: SqliteStore) -> None:
    await make(store, "shop", wallet=False)
    await make(store, "other")
    await authority.refresh()
    app = authority.apps.get("shop")
    assert not app.wallet
    assert await code_of(authority.start_wallet(app, PAGE, StartWallet())) == "wallet_sign_in_off"
    message = await message_of(authority, authority.apps.get("other"))
    assert await code_of(sign_in(authority, app, message)) == "wallet_sign_in_off"
    with pytest.raises(Missing):
        await store.write(lambda tx: apps.take_wallets(tx, "none", True))


@pytest.mark.parametrize(
    ("switch", "code"),
    [
        (lambda tx: apps.take_wallets(tx, "shop", False), "wallet_sign_in_off"),
        (lambda tx: apps.disable(tx, "shop", NOW), "unknown_app"),
    ],
)
async def test_an_app_switched_off_elsewhere_signs_nobody_in_from_its_commit_on(
    shop: Shop, elsewhere: SqliteStore, switch: Callable[..., object], code: str
) -> None:
    authority, app = shop
    message = await message_of(authority, app)
    signed = await sign_in(authority, app, message)
    message = await message_of(authority, app)
    await elsewhere.write(switch)
    assert await code_of(sign_in(authority, app, message)) == code
    assert authority.verify_token(signed.access_token, "shop").user_id == ANN.user_id
    await elsewhere.write(lambda tx: apps.take_wallets(tx, "shop", True))
    assert await code_of(sign_in(authority, app, message)) == (None if code == "wallet_sign_in_off" else code)


async def test_whose_sessions_were_all_ended_may_sign_in_again_in_the_same_millisecond(shop: Shop) -> None:
    authority, app = shop
    before = await sign_in(authority, app, await message_of(authority, app))
    await authority.revoke_user("shop", ANN.user_id, "me")
    after = await sign_in(authority, app, await message_of(authority, app))
    assert authority.verify_token(after.access_token, "shop").user_id == ANN.user_id
    with pytest.raises(OddswireError, match="session_revoked"):
        authority.verify_token(before.access_token, "shop")
