"""Sessions: one sign-in of one user, kept alive by its refresh token.

The refresh token stays the same for the whole session, since page clients store it once and use it at every close.
"""

import secrets
from typing import NamedTuple

from oddswire.auth import apps, revocations
from oddswire.auth.apps import IDLE_LIFE as IDLE_LIFE
from oddswire.auth.apps import hash_secret
from oddswire.errors import Missing, Refused
from oddswire.ids import new_id
from oddswire.store.base import Tx

REFRESH_TOKEN_PREFIX = "owr_"  # noqa: S105
SLIDE_EVERY = 3600 * 1000
LISTED = 100


class Session(NamedTuple):
    """A session that is neither revoked nor expired; times in ms, `used_at` to the hour."""

    session_id: str
    app_id: str
    user_id: str
    label: str
    created_at: int
    used_at: int
    expires_at: int


def sign_in(tx: Tx, app_id: str, user_id: str, label: str, now: int) -> tuple[Session, str]:
    """Begin a session and return it with its refresh token, of which only a hash is kept.

    Raises:
        Refused: `unknown_app`: the app is unknown or switched off.
    """
    try:
        active = apps.get(tx, app_id).active
    except Missing:
        active = False
    if not active:
        raise Refused("unknown_app", "No active app has this id.")
    refresh_token = REFRESH_TOKEN_PREFIX + secrets.token_urlsafe(32)
    session = Session(new_id(revocations.SESSION_PREFIX, now), app_id, user_id, label, now, now, now + IDLE_LIFE)
    tx.run(
        "sessions.insert",
        session.session_id,
        app_id,
        user_id,
        hash_secret(refresh_token),
        label,
        now,
        session.expires_at,
    )
    return session, refresh_token


def find(tx: Tx, app_id: str, refresh_token: str, now: int) -> Session:
    """Return the session of a refresh token.

    Raises:
        Refused: `refresh_token_invalid`: unknown, another app's, expired, revoked, or the app is switched off.
    """
    session = tx.one(Session, "sessions.by_refresh_hash", hash_secret(refresh_token), app_id, now)
    if session is None:
        raise Refused("refresh_token_invalid", "The refresh token is unknown, expired or revoked.")
    return session


def slides(session: Session, now: int) -> bool:
    """Tell whether a use at `now` is worth writing down: at most once an hour it is."""
    return now - session.used_at >= SLIDE_EVERY


def slide(tx: Tx, app_id: str, refresh_token: str, now: int) -> Session:
    """Use a session: it now lives on for `IDLE_LIFE`.

    Raises:
        Refused: as `find`.
    """
    session = find(tx, app_id, refresh_token, now)
    tx.run("sessions.slide", session.session_id, now, now + IDLE_LIFE)
    return session._replace(used_at=now, expires_at=now + IDLE_LIFE)


def list_live(tx: Tx, app_id: str, user_id: str, now: int) -> list[Session]:
    """Return a user's sessions, the last used first, at most `LISTED`."""
    return tx.all(Session, "sessions.live_of_user", app_id, user_id, now, LISTED)


def revoke(tx: Tx, app_id: str, user_id: str, session_id: str, now: int) -> None:
    """End one session of a user; from this commit neither its tokens nor its refresh token are taken.

    Raises:
        Missing: it is not a live session of this user.
    """
    if not tx.run("sessions.revoke", session_id, app_id, user_id, now):
        raise Missing("This user has no such session.")
    revocations.add(tx, "session", app_id, session_id, now)


def revoke_any(tx: Tx, session_id: str, now: int) -> Session:
    """End one session, whoever's it is, and return it as it was.

    Raises:
        Missing: no session of that id lives.
    """
    session = tx.one(Session, "sessions.live_by_id", session_id, now)
    if session is None:
        raise Missing(f"No session {session_id[:100]!r} lives.")
    revoke(tx, session.app_id, session.user_id, session_id, now)
    return session


def revoke_all(tx: Tx, app_id: str, user_id: str, now: int) -> int:
    """End every session of a user; return how many there were."""
    # A session may have begun by a clock that is ahead of this one.
    newest = tx.one(int, "sessions.newest_of_user", app_id, user_id) or 0
    revocations.add(tx, "user", app_id, user_id, max(now, newest))
    return tx.run("sessions.revoke_user", app_id, user_id, now)


def end_some_of_app(tx: Tx, app_id: str, after: str, now: int) -> str | None:
    """End the sessions of the next users of an app that is off, by id after `after`; return the last of them.

    None says that there were none, or that the app is on: then every session left is good. It revokes nothing by
    itself, for an app that was switched off has been revoked as a whole.
    """
    users = [] if apps.get(tx, app_id).active else tx.all(str, "sessions.users_of_app", app_id, after, LISTED)
    if not users:
        return None
    tx.run("sessions.revoke_users", app_id, after, users[-1], now)
    return users[-1]


def enable_app(tx: Tx, app_id: str) -> bool:
    """Switch an app on again, once `end_some_of_app` has ended all there was; return whether it was off.

    Raises:
        Missing: there is none of that id.
    """
    apps.get(tx, app_id)
    return tx.run("apps.enable", app_id) > 0


def sweep(tx: Tx, now: int, limit: int) -> int:
    """Delete at most `limit` expired sessions; return how many."""
    return tx.run("sessions.sweep", now, limit)
