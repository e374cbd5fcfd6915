"""The users of a gateway, as its operator looks at them."""

from msgspec import Struct

from oddswire.auth import apps, sessions
from oddswire.errors import Missing
from oddswire.store.base import Tx
from oddswire.streams import log

BEGINNING = ("", "")
"""Before the first user of the first app."""


class User(Struct, frozen=True, rename="camel"):
    """A user, and what there is of them: sessions that live, orders that are not finished, events up to `head`.

    Times in ms; `last_event_at` is 0 where there was no event.
    """

    app_id: str
    user_id: str
    first_seen: int
    sessions: int
    open_orders: int
    head: int
    last_event_at: int


def must_be_known(tx: Tx, app_id: str, user_id: str, now: int) -> None:
    """Refuse a user who was never signed in: a mistyped name must not look like one who has nothing.

    Raises:
        Missing: there is no such user.
    """
    # before a venue has answered there is a session, and no stream yet
    if log.find(tx, app_id, user_id) is None and not sessions.list_live(tx, app_id, user_id, now):
        raise Missing(f"App {app_id[:100]!r} has no user {user_id[:100]!r}.", path="$.userId")


def page(tx: Tx, after: tuple[str, str], limit: int, now: int, app_id: str | None = None) -> list[User]:
    """Return the users behind `after` (app and user), by app and id; only those of `app_id` where that is given.

    Raises:
        Missing: there is no app of that id.
    """
    named = apps.list_all(tx) if app_id is None else [apps.get(tx, app_id)]
    found: list[User] = []
    for name in (app.app_id for app in named):
        if name >= after[0] and len(found) < limit:
            behind = after[1] if name == after[0] else ""
            found += tx.all(User, "users.page", name, behind, limit - len(found), now)
    return found
