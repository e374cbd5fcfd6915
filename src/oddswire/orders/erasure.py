"""A user erased: whom the books speak of is not known any more, and the books balance as before."""

import secrets
from typing import Final, NamedTuple

from oddswire.auth import acts, revocations
from oddswire.auth.keys import LONGEST_TOKEN_LIFE
from oddswire.auth.sessions import SLIDE_EVERY
from oddswire.errors import Conflict, Missing
from oddswire.store.base import Tx
from oddswire.streams import log

PREFIX: Final = "erased-"
_TOKENS_DEAD: Final = LONGEST_TOKEN_LIFE + 2 * SLIDE_EVERY
"""A session not used for so long (ms) has no token that lives: the last was issued within the hour after `used_at`."""


class Erased(NamedTuple):
    """What was done: the name that stands in the books now, and what was deleted."""

    name: str
    sessions: int
    events: int


def new_name() -> str:
    """Return a name that says nothing of who had it before; nothing leads back to them."""
    return PREFIX + secrets.token_hex(16)


def erase(tx: Tx, app_id: str, user_id: str, name: str, actor: str, now: int) -> Erased:
    """Let `name` stand for a user in the core's tables, and delete what is the user's own.

    Sessions and events go, orders lose the ids that the user's app gave them. Tokens that still live are refused. For
    a database that nobody serves: what a gateway has in memory would go on under the old name.

    Raises:
        Missing: there is no such user.
        Conflict: `orders_live`: the venue may still fill some.
    """
    stream = log.find(tx, app_id, user_id)
    if stream is None:
        raise Missing(f"App {app_id[:100]!r} has no user {user_id[:100]!r}.", path="$.userId")
    live = tx.one(int, "erasure.live_orders", stream.stream_id) or 0
    if live:
        raise Conflict("orders_live", f"{user_id} has {live} unfinished order{'s' if live > 1 else ''}.")
    for session_id in tx.all(str, "erasure.young_sessions", app_id, user_id, now - _TOKENS_DEAD):
        revocations.add(tx, "session", app_id, session_id, now)
    # kept under another subject, for numbers are counted on from the newest; it speaks of sessions revoked above too
    tx.run("erasure.rename_revocations", app_id, user_id, name)
    # a provider's tokens name no session of ours: they are refused by what the user's id comes to, until all are dead
    revocations.add(tx, "user", app_id, revocations.erased_subject(app_id, user_id), now)
    # the newest row is never swept, and that one must be
    revocations.add(tx, "user", app_id, name, now)
    tx.run("erasure.delete_disconnects", app_id, user_id)
    ended = tx.run("erasure.delete_sessions", app_id, user_id)
    tx.run("erasure.strip_orders", stream.stream_id)
    told = tx.run("erasure.delete_events", stream.stream_id)
    tx.run("erasure.rename_stream", stream.stream_id, name)
    acts.pseudonymise(tx, app_id, user_id, name)
    detail: dict[str, acts.Detail] = {"sessions": ended, "events": told}
    acts.record(tx, actor, "user.erase", acts.user(app_id, name), detail, now)
    return Erased(name, ended, told)
