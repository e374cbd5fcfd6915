from oddswire.auth import apps, sessions
from oddswire.orders import users
from oddswire.store.base import Tx
from oddswire.store.sqlite import SqliteStore
from oddswire.streams import log
from tests.orders.conftest import Shop

NOW = 1_700_000_000_000


async def fill(store: SqliteStore) -> None:
    def unit(tx: Tx) -> None:
        for app_id, names in (("first", ("bob", "ann")), ("none", ()), ("second", ("ann", "Zoe"))):
            apps.create(tx, app_id, [], "", NOW)
            for name in names:
                log.open_stream(tx, app_id, name, NOW)
        sessions.sign_in(tx, "second", "ann", "", NOW)

    await store.write(unit)


async def test_users_come_by_app_and_id_across_pages(shop: Shop) -> None:
    await fill(shop.store)
    for size in (1, 2, 3, 4, 5):
        seen, after = list[tuple[str, str]](), users.BEGINNING
        while page := await shop.store.read(lambda tx, at=after, size=size: users.page(tx, at, size, NOW)):  # type: ignore[misc]
            seen += [(user.app_id, user.user_id) for user in page]
            after = seen[-1]
        assert seen == [("first", "ann"), ("first", "bob"), ("second", "Zoe"), ("second", "ann")]


async def test_a_session_counts_while_it_lives(shop: Shop) -> None:
    await fill(shop.store)
    for now, alive in ((NOW, 1), (NOW + sessions.IDLE_LIFE, 0)):
        page = await shop.store.read(lambda tx, now=now: users.page(tx, users.BEGINNING, 9, now, "second"))  # type: ignore[misc]
        assert [(user.user_id, user.sessions, user.head, user.last_event_at) for user in page] == [
            ("Zoe", 0, 0, 0),
            ("ann", alive, 0, 0),
        ]
