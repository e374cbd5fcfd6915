import re
from functools import partial
from pathlib import Path

import pytest

from oddswire.auth import api_keys, apps
from oddswire.auth.api_keys import USED_EVERY
from oddswire.auth.authority import Authority
from oddswire.errors import Conflict, InvalidInput, Missing, Refused
from oddswire.store.sqlite import SqliteStore
from tests.auth.conftest import NOW, HandClock


@pytest.fixture
async def demo(store: SqliteStore) -> SqliteStore:
    await store.write(lambda tx: apps.create(tx, "demo", [], "first", NOW))
    return store


def written(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("auth.db*"))


async def test_each_key_is_good_and_only_hashes_are_kept(demo: SqliteStore, tmp_path: Path) -> None:
    made = [await demo.write(partial(api_keys.add, app_id="demo", name=name, now=NOW)) for name in ("b-1", "b-2")]
    for _, key in made:
        assert re.fullmatch(r"ow_[A-Za-z0-9_-]{43}", key)
        assert (await demo.read(partial(apps.by_key, app_id="demo", key=key))).app_id == "demo"
    assert b"b-2" in written(tmp_path)
    assert [key for _, key in made if key.encode() in written(tmp_path)] == []
    assert {key.name for key in await demo.read(lambda tx: api_keys.list_all(tx, "demo"))} == {"first", "b-1", "b-2"}


async def test_a_revoked_key_is_refused_and_the_others_are_not(demo: SqliteStore) -> None:
    _, old = await demo.write(lambda tx: api_keys.add(tx, "demo", "old", NOW))
    _, new = await demo.write(lambda tx: api_keys.add(tx, "demo", "new", NOW + 1))
    ended = await demo.write(lambda tx: api_keys.revoke(tx, "demo", "old", NOW + 2))
    assert (ended.name, ended.revoked_at) == ("old", NOW + 2)
    with pytest.raises(Refused) as refusal:
        await demo.read(lambda tx: apps.by_key(tx, "demo", old))
    assert refusal.value.code == "api_key_invalid"
    assert (await demo.read(lambda tx: apps.by_key(tx, "demo", new))).app_id == "demo"
    with pytest.raises(Missing, match="no live key 'old'"):
        await demo.write(lambda tx: api_keys.revoke(tx, "demo", "old", NOW + 3))


async def test_a_name_is_of_one_live_key_an_app(demo: SqliteStore) -> None:
    await demo.write(lambda tx: apps.create(tx, "other", [], "first", NOW))
    with pytest.raises(Conflict) as conflict:
        await demo.write(lambda tx: api_keys.add(tx, "demo", "first", NOW))
    assert conflict.value.code == "key_exists"
    await demo.write(lambda tx: api_keys.revoke(tx, "demo", "first", NOW + 1))
    await demo.write(lambda tx: api_keys.add(tx, "demo", "first", NOW + 2))
    listed = await demo.read(lambda tx: api_keys.list_all(tx, "demo"))
    assert [(key.name, key.revoked_at) for key in listed] == [("first", NOW + 1), ("first", None)]
    assert [key.revoked_at for key in await demo.read(lambda tx: api_keys.list_all(tx, "other"))] == [None]


@pytest.mark.parametrize("name", ["", "-a", "a b", "a\n", "é", "a" * 65, "a/b"])
async def test_a_name_that_is_none(demo: SqliteStore, name: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        await demo.write(lambda tx: api_keys.add(tx, "demo", name, NOW))
    assert refusal.value.path == "name"


async def test_keys_of_no_app(store: SqliteStore) -> None:
    with pytest.raises(Missing, match="'nope'"):
        await store.write(lambda tx: api_keys.add(tx, "nope", "a", NOW))
    with pytest.raises(Missing, match="'nope'"):
        await store.read(lambda tx: api_keys.list_all(tx, "nope"))
    with pytest.raises(Missing, match="'nope'"):
        await store.write(lambda tx: api_keys.revoke(tx, "nope", "a", NOW))


async def test_the_last_use_is_told_to_the_hour(store: SqliteStore, authority: Authority, clock: HandClock) -> None:
    _, key = await store.write(lambda tx: apps.create(tx, "demo", [], "first", NOW))

    async def used_at() -> int | None:
        (listed,) = await store.read(lambda tx: api_keys.list_all(tx, "demo"))
        return listed.used_at

    assert await used_at() is None
    await authority.verify_api_key("demo", key)
    assert await used_at() == NOW
    clock.at = NOW + USED_EVERY - 1
    await authority.verify_api_key("demo", key)
    assert await used_at() == NOW
    clock.at = NOW + USED_EVERY
    await authority.verify_api_key("demo", key)
    assert await used_at() == NOW + USED_EVERY
    with pytest.raises(Refused):
        await authority.verify_api_key("demo", key + "x")


async def test_another_process_s_revocation_is_seen_at_once(
    store: SqliteStore, elsewhere: SqliteStore, authority: Authority
) -> None:
    _, key = await store.write(lambda tx: apps.create(tx, "demo", [], "first", NOW))
    assert (await authority.verify_api_key("demo", key)).app_id == "demo"
    await elsewhere.write(lambda tx: api_keys.revoke(tx, "demo", "first", NOW))
    with pytest.raises(Refused):
        await authority.verify_api_key("demo", key)
