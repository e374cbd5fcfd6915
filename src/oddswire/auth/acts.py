"""What operators did, written down in the commit of the act itself.

Acts are added and listed; nothing changes or deletes one, but that erasing a user takes their id out of `subject`.
"""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec
from msgspec import Raw, Struct

from oddswire.store.base import Tx

Act = Literal[
    "app.create",
    "app.disable",
    "app.enable",
    "app.origins",
    "app.wallet",
    "database.backup",
    "database.restore",
    "key.add",
    "key.revoke",
    "keys.retire",
    "keys.rotate",
    "provider.remove",
    "provider.set",
    "session.revoke",
    "user.cancel",
    "user.erase",
    "user.export",
    "user.kick",
]
"""What may be done: names that stay."""
Detail = str | int | bool | list[str] | None
BEGINNING: Final = 2**62
"""Before the newest act."""


class Entry(Struct, frozen=True):
    """One act; `subject` is an app's id or `app/user`, `detail` what else there is to say, as JSON. `at` in ms."""

    number: int
    at: int
    actor: str
    act: str
    subject: str
    detail: Raw


def _entry(number: int, at: int, actor: str, act: str, subject: str, detail: str) -> Entry:
    return Entry(number, at, actor, act, subject, Raw(detail.encode()))


def record(tx: Tx, actor: str, act: Act, subject: str, detail: Mapping[str, Detail], now: int) -> None:
    """Write down what is done by this very unit; `detail` holds no secret, for it is kept for good and shown."""
    number = (tx.one(int, "admin_acts.newest") or 0) + 1
    tx.run("admin_acts.insert", number, now, actor, act, subject, msgspec.json.encode(detail).decode())


def user(app_id: str, user_id: str) -> str:
    """Return the subject of what was done to a user."""
    return f"{app_id}/{user_id}"


def page(tx: Tx, before: int, limit: int, since: int = 0) -> list[Entry]:
    """Return the acts before the number `before`, the newest first, none older than `since` (ms)."""
    return tx.all(_entry, "admin_acts.page", before, since, limit)


def of_user(tx: Tx, app_id: str, user_id: str, after: int, limit: int) -> list[Entry]:
    """Return what was done to a user after the act of that number, the oldest first."""
    return tx.all(_entry, "admin_acts.of_subject", user(app_id, user_id), after, limit)


def pseudonymise(tx: Tx, app_id: str, user_id: str, name: str) -> None:
    """Let `name` stand for a user in every act: the one change there is, for a user who is erased."""
    tx.run("admin_acts.pseudonymise", user(app_id, user_id), user(app_id, name))
