import re
from pathlib import Path

import pytest

from oddswire.auth import apps, revocations, sessions
from oddswire.auth.sessions import IDLE_LIFE, SLIDE_EVERY, Session
from oddswire.errors import Missing, Refused
from oddswire.store.sqlite import SqliteStore
from tests.auth.conftest import NOW


@pytest.fixture
async def demo(store: SqliteStore) -> SqliteStore:
    for app_id in ("demo", "other"):
        await store.write(lambda tx, app_id=app_id: apps.create(tx, app_id, [], "", NOW))  # type: ignore[misc]
    return store


async def sign_in(store: SqliteStore, user_id: str = "ann", now: int = NOW) -> tuple[Session, str]:
    return await store.write(lambda tx: sessions.sign_in(tx, "demo", user_id, "phone", now))


async def is_live(store: SqliteStore, refresh_token: str, now: int = NOW, app_id: str = "demo") -> bool:
    try:
        await store.read(lambda tx: sessions.find(tx, app_id, refresh_token, now))
    except Refused:
        return False
    return True


def on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def test_a_session_begins_with_a_refresh_token_that_is_kept_nowhere(demo: SqliteStore, tmp_path: Path) -> None:
    session, token = await sign_in(demo)
    assert session == Session(session.session_id, "demo", "ann", "phone", NOW, NOW, NOW + IDLE_LIFE)
    assert re.fullmatch(r"owr_[A-Za-z0-9_-]{43}", token)
    assert await demo.read(lambda tx: sessions.find(tx, "demo", token, NOW)) == session
    written = on_disk(tmp_path)
    assert apps.hash_secret(token).encode() in written
    assert token.encode() not in written


async def test_nobody_signs_in_to_an_app_that_is_unknown_or_off(demo: SqliteStore) -> None:
    await demo.write(lambda tx: apps.disable(tx, "other", NOW))
    for app_id in ("other", "never"):
        with pytest.raises(Refused) as refusal:
            await demo.write(lambda tx, app_id=app_id: sessions.sign_in(tx, app_id, "ann", "", NOW))  # type: ignore[misc]
        assert refusal.value.code == "unknown_app"


async def test_the_same_refresh_token_works_again_and_again(demo: SqliteStore) -> None:
    _, token = await sign_in(demo)
    for hour in range(1, 40 * 24, 24):
        await demo.write(lambda tx, at=NOW + hour * SLIDE_EVERY: sessions.slide(tx, "demo", token, at))  # type: ignore[misc]
    assert await is_live(demo, token, NOW + 39 * 24 * SLIDE_EVERY)


async def test_it_dies_after_thirty_days_without_use(demo: SqliteStore) -> None:
    _, token = await sign_in(demo)
    assert await is_live(demo, token, NOW + IDLE_LIFE - 1)
    assert not await is_live(demo, token, NOW + IDLE_LIFE)


async def test_a_use_is_written_down_at_most_once_an_hour(demo: SqliteStore) -> None:
    session, token = await sign_in(demo)
    assert not sessions.slides(session, NOW + SLIDE_EVERY - 1)
    assert sessions.slides(session, NOW + SLIDE_EVERY)
    slid = await demo.write(lambda tx: sessions.slide(tx, "demo", token, NOW + SLIDE_EVERY))
    assert (slid.used_at, slid.expires_at) == (NOW + SLIDE_EVERY, NOW + SLIDE_EVERY + IDLE_LIFE)
    assert await demo.read(lambda tx: sessions.find(tx, "demo", token, NOW + SLIDE_EVERY)) == slid


@pytest.mark.parametrize("token", ["", "owr_", "owr_" + "A" * 43, "' OR 1=1 --", "é"])
async def test_an_unknown_refresh_token_is_refused(demo: SqliteStore, token: str) -> None:
    await sign_in(demo)
    with pytest.raises(Refused) as refusal:
        await demo.read(lambda tx: sessions.find(tx, "demo", token, NOW))
    assert refusal.value.code == "refresh_token_invalid"


async def test_a_refresh_token_is_of_one_app(demo: SqliteStore) -> None:
    _, token = await sign_in(demo)
    assert not await is_live(demo, token, app_id="other")


async def test_an_app_that_is_off_refreshes_nobody(demo: SqliteStore) -> None:
    _, token = await sign_in(demo)
    await demo.write(lambda tx: apps.disable(tx, "demo", NOW))
    assert not await is_live(demo, token)


async def test_a_revoked_session_is_dead_and_slides_no_more(demo: SqliteStore) -> None:
    session, token = await sign_in(demo)
    await demo.write(lambda tx: sessions.revoke(tx, "demo", "ann", session.session_id, NOW))
    assert not await is_live(demo, token)
    with pytest.raises(Refused):
        await demo.write(lambda tx: sessions.slide(tx, "demo", token, NOW + SLIDE_EVERY))
    with pytest.raises(Missing):
        await demo.write(lambda tx: sessions.revoke(tx, "demo", "ann", session.session_id, NOW))


@pytest.mark.parametrize(("app_id", "user_id"), [("demo", "bob"), ("other", "ann")])
async def test_nobody_ends_anothers_session(demo: SqliteStore, app_id: str, user_id: str) -> None:
    session, token = await sign_in(demo)
    with pytest.raises(Missing):
        await demo.write(lambda tx: sessions.revoke(tx, app_id, user_id, session.session_id, NOW))
    assert await is_live(demo, token)
    assert await demo.read(lambda tx: revocations.after(tx, 0)) == []


async def test_the_list_shows_live_ones_of_this_user_the_last_used_first(demo: SqliteStore) -> None:
    first, first_token = await sign_in(demo)
    second, _ = await sign_in(demo, now=NOW + 1)
    gone, _ = await sign_in(demo, now=NOW + 2)
    await sign_in(demo, "bob")
    await demo.write(lambda tx: sessions.revoke(tx, "demo", "ann", gone.session_id, NOW + 3))
    await demo.write(lambda tx: sessions.slide(tx, "demo", first_token, NOW + SLIDE_EVERY))
    listed = await demo.read(lambda tx: sessions.list_live(tx, "demo", "ann", NOW + SLIDE_EVERY))
    assert [session.session_id for session in listed] == [first.session_id, second.session_id]
    late = await demo.read(lambda tx: sessions.list_live(tx, "demo", "ann", NOW + IDLE_LIFE + 1))
    assert [session.session_id for session in late] == [first.session_id]


async def test_ending_all_covers_a_session_that_began_by_a_faster_clock(demo: SqliteStore) -> None:
    _, one = await sign_in(demo)
    ahead, two = await sign_in(demo, now=NOW + 700)
    _, bobs = await sign_in(demo, "bob")
    assert await demo.write(lambda tx: sessions.revoke_all(tx, "demo", "ann", NOW)) == 2
    assert not await is_live(demo, one)
    assert not await is_live(demo, two)
    assert await is_live(demo, bobs)
    (row,) = await demo.read(lambda tx: revocations.after(tx, 0))
    assert (row.kind, row.subject, row.at) == ("user", "ann", ahead.created_at)


async def test_the_sweep_deletes_expired_sessions_a_few_at_a_time(demo: SqliteStore) -> None:
    for _ in range(3):
        await sign_in(demo)
    _, young = await sign_in(demo, now=NOW + 1)
    swept = [await demo.write(lambda tx: sessions.sweep(tx, NOW + IDLE_LIFE, 2)) for _ in range(3)]
    assert swept == [2, 1, 0]
    assert await is_live(demo, young, NOW + IDLE_LIFE)


async def test_sweeping_revocations_never_lets_their_numbers_begin_anew(demo: SqliteStore) -> None:
    for _ in range(3):
        await demo.write(lambda tx: revocations.add(tx, "user", "demo", "ann", NOW))
    rows = await demo.read(lambda tx: revocations.after(tx, 0))
    assert [row.number for row in rows] == [1, 2, 3]
    assert await demo.write(lambda tx: revocations.sweep(tx, rows[0].expires_at - 1)) == 0
    assert await demo.write(lambda tx: revocations.sweep(tx, rows[0].expires_at)) == 2
    await demo.write(lambda tx: revocations.add(tx, "user", "demo", "ann", NOW))
    assert [row.number for row in await demo.read(lambda tx: revocations.after(tx, 0))] == [3, 4]
