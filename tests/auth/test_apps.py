import re
from collections.abc import Callable

import pytest

from oddswire.auth import apps
from oddswire.auth.apps import App, AppDirectory
from oddswire.errors import Conflict, InvalidInput, Missing, OddswireError, Refused
from oddswire.store.sqlite import SqliteStore
from tests.auth.conftest import NOW

BAD_IDS = ["", "Demo", "-demo", "_demo", "de mo", "demo.", "démo", "a" * 65, "demo\n", "../demo", "a/b"]
BAD_KEYS = {
    "empty": lambda key: "",
    "the prefix alone": lambda key: "ow_",
    "without its prefix": lambda key: key.removeprefix("ow_"),
    "its hash": apps.hash_secret,
    "shorter": lambda key: key[:-1],
    "longer": lambda key: key + "A",
    "other case": str.swapcase,
    "space before": lambda key: " " + key,
    "space after": lambda key: key + " ",
    "SQL": lambda key: "' OR '1'='1",
    "not ASCII": lambda key: key + "é",
}


@pytest.mark.parametrize("app_id", ["demo", "0", "a" * 64, "my-app_2"])
async def test_an_app_is_made_with_a_key_of_which_only_a_hash_is_kept(store: SqliteStore, app_id: str) -> None:
    app, key = await store.write(lambda tx: apps.create(tx, app_id, ["HTTPS://A.example:443"], "first", NOW))
    assert app == App(app_id, ("https://a.example",), True, NOW)
    assert re.fullmatch(r"ow_[A-Za-z0-9_-]{43}", key)
    assert await store.read(lambda tx: apps.get(tx, app_id)) == app
    assert await store.read(lambda tx: apps.by_key(tx, None, key)) == app
    stored = await store.read(lambda tx: tx.all(lambda *row: row, "apps.app_of_key", apps.hash_secret(key)))
    assert len(stored) == 1
    assert key not in repr(stored)


@pytest.mark.parametrize("app_id", BAD_IDS)
async def test_an_id_that_is_none_is_refused(store: SqliteStore, app_id: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        await store.write(lambda tx: apps.create(tx, app_id, [], "", NOW))
    assert refusal.value.path == "id"
    assert await store.read(apps.list_all) == []


async def test_a_wrong_origin_makes_no_app(store: SqliteStore) -> None:
    with pytest.raises(InvalidInput) as refusal:
        await store.write(lambda tx: apps.create(tx, "demo", ["https://a.example", "null"], "", NOW))
    assert refusal.value.path == "origins"
    assert await store.read(apps.list_all) == []


async def test_the_same_origin_twice_is_kept_once(store: SqliteStore) -> None:
    origins = ["https://a.example", "https://A.example:443"]
    app, _ = await store.write(lambda tx: apps.create(tx, "demo", origins, "", NOW))
    assert app.origins == ("https://a.example",)


async def test_a_demo_brings_its_own_key(store: SqliteStore) -> None:
    app, key = await store.write(lambda tx: apps.create(tx, "demo", [], "", NOW, known_key="demo-key"))
    assert key == "demo-key"
    assert await store.read(lambda tx: apps.by_key(tx, "demo", "demo-key")) == app


async def test_an_id_is_given_once(store: SqliteStore) -> None:
    _, key = await store.write(lambda tx: apps.create(tx, "demo", [], "", NOW))
    with pytest.raises(Conflict) as refusal:
        await store.write(lambda tx: apps.create(tx, "demo", [], "", NOW))
    assert refusal.value.code == "app_exists"
    assert (await store.read(lambda tx: apps.by_key(tx, "demo", key))).app_id == "demo"


@pytest.mark.parametrize("change", BAD_KEYS.values(), ids=BAD_KEYS)
async def test_a_key_that_is_not_exactly_the_key_is_refused(store: SqliteStore, change: Callable[[str], str]) -> None:
    _, key = await store.write(lambda tx: apps.create(tx, "demo", [], "", NOW))
    with pytest.raises(Refused) as refusal:
        await store.read(lambda tx: apps.by_key(tx, "demo", change(key)))
    assert refusal.value.code == "api_key_invalid"
    assert key not in str(refusal.value)


@pytest.mark.parametrize("claimed", ["other", "", "demo ", "démo"])
async def test_a_key_is_of_one_app(store: SqliteStore, claimed: str) -> None:
    _, key = await store.write(lambda tx: apps.create(tx, "demo", [], "", NOW))
    await store.write(lambda tx: apps.create(tx, "other", [], "", NOW))
    with pytest.raises(Refused) as refusal:
        await store.read(lambda tx: apps.by_key(tx, claimed, key))
    assert refusal.value.code == "api_key_invalid"


async def test_a_disabled_app_is_still_listed_and_its_key_is_dead(store: SqliteStore) -> None:
    _, key = await store.write(lambda tx: apps.create(tx, "demo", [], "", NOW))
    await store.write(lambda tx: apps.disable(tx, "demo", NOW))
    assert [(app.app_id, app.active) for app in await store.read(apps.list_all)] == [("demo", False)]
    with pytest.raises(Refused):
        await store.read(lambda tx: apps.by_key(tx, "demo", key))


async def test_disabling_twice_is_no_fault_and_an_unknown_one_is_missing(store: SqliteStore) -> None:
    await store.write(lambda tx: apps.create(tx, "demo", [], "", NOW))
    await store.write(lambda tx: apps.disable(tx, "demo", NOW))
    await store.write(lambda tx: apps.disable(tx, "demo", NOW + 1))
    assert await store.read(lambda tx: tx.one(int, "revocations.newest")) == 1
    with pytest.raises(Missing):
        await store.write(lambda tx: apps.disable(tx, "none", NOW))


def test_the_directory_knows_active_apps_only() -> None:
    on, off = App("on", (), True, NOW), App("off", (), False, NOW)
    directory = AppDirectory([on, off])
    assert directory.get("on") == on
    for app_id in ("off", "never", ""):
        with pytest.raises(OddswireError) as refusal:
            directory.get(app_id)
        assert refusal.value.code == "unknown_app"
    directory.replace([off])
    with pytest.raises(Refused):
        directory.get("on")


async def test_origins_are_replaced(store: SqliteStore) -> None:
    await store.write(lambda tx: apps.create(tx, "demo", ["https://a.example"], "", NOW))
    wanted = ["HTTPS://B.example:443", "https://b.example", "https://*.c.example"]
    changed = await store.write(lambda tx: apps.set_origins(tx, "demo", wanted))
    assert changed.origins == ("https://b.example", "https://*.c.example")
    assert await store.read(lambda tx: apps.get(tx, "demo")) == changed
    with pytest.raises(InvalidInput):
        await store.write(lambda tx: apps.set_origins(tx, "demo", ["https://b.example/", "https://d.example"]))
    assert await store.read(lambda tx: apps.get(tx, "demo")) == changed
    with pytest.raises(Missing):
        await store.write(lambda tx: apps.set_origins(tx, "nope", wanted))
