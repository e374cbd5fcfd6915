"""Revocations: what is not taken any more although its signature is good.

Rows carry a running number, so that a node asks only for what it has not seen. A row is kept for as long as any token
it speaks of could live.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from oddswire.auth.identity import PROVIDER_USER, Identity
from oddswire.auth.keys import LONGEST_TOKEN_LIFE
from oddswire.ids import make_id
from oddswire.store.base import Revoked, Tx

Kind = Literal["session", "user", "app"]
SESSION_PREFIX = "ses"
_ISSUE_MARGIN = 60_000
"""How long (ms) after a revocation a token may still be signed by someone who read the session just before it."""


OUTSIDE_LEEWAY = 30_000
"""How far (ms) an identity provider's clock may be ahead of ours."""
_ERASED = "erased#"


def erased_subject(app_id: str, user_id: str) -> str:
    """Return the subject of a row that speaks of a user whose id is not to be in the file any more."""
    digest = hashlib.blake2b(f"{app_id}\0{user_id}".encode(), digest_size=16, person=b"oddswire-erased")
    return _ERASED + digest.hexdigest()


class Revocation(NamedTuple):
    """One row; `subject` is the session's id, the user's id, or '' for a whole app. Times in ms."""

    number: int
    kind: Kind
    app_id: str
    subject: str
    at: int
    expires_at: int

    def covers(self, identity: Identity) -> bool:
        """Tell whether this row revokes a token: of a user or app, all of whose session began at `at` or before.

        When a provider's session began nobody tells us: of its tokens, all that were issued by then.
        """
        if self.app_id != identity.app_id:
            return False
        if self.kind == "session":
            shared = self.subject.startswith(PROVIDER_USER)
            return self.subject == identity.session_id and not (shared and identity.issued_at > self.at)
        if self.kind == "user" and self.subject != identity.user_id and self.subject != _erased(identity):
            return False
        if identity.is_outside:
            # its clock may be ahead of ours by as much as is let pass
            return identity.issued_at <= self.at + OUTSIDE_LEEWAY
        # Ids begin with their time. The token's own time would not do: it is in whole seconds.
        return identity.session_id <= make_id(SESSION_PREFIX, self.at, b"\xff" * 10)


def add(tx: Tx, kind: Kind, app_id: str, subject: str, at: int, life: int = LONGEST_TOKEN_LIFE) -> None:
    """Revoke from this commit on, and ring; tokens of it may be issued and live on for `life` (ms) after `at`."""
    number = (tx.one(int, "revocations.newest") or 0) + 1
    tx.run("revocations.insert", number, kind, app_id, subject, at, at + life + _ISSUE_MARGIN)
    tx.ring(Revoked(number))


def add_outside(tx: Tx, identity: Identity, now: int, life: int) -> None:
    """Revoke a provider's session for `life` (ms); where it names none, what it has issued to the user until now.

    The token itself in any case, also where the provider's clock is ahead.
    """
    at = max(now, identity.issued_at)
    if identity.session_id.startswith(PROVIDER_USER):
        add(tx, "session", identity.app_id, identity.session_id, at)
    else:
        add(tx, "session", identity.app_id, identity.session_id, at, life)


def after(tx: Tx, number: int) -> list[Revocation]:
    """Return the rows after `number`, oldest first."""
    return tx.all(Revocation, "revocations.after", number)


def sweep(tx: Tx, now: int) -> int:
    """Delete the rows that speak of dead tokens only; return how many.

    The newest row always stays: numbers are counted on from it, and must never begin anew.
    """
    return tx.run("revocations.sweep", now)


class Revocations:
    """What is revoked, in memory, asked for every token that arrives."""

    def __init__(self) -> None:
        self._rows: dict[tuple[Kind, str, str], Revocation] = {}
        self._some_erased = False
        self._listeners: list[Callable[[Sequence[Revocation]], None]] = []
        self.number = 0
        """The newest row taken in."""

    def on_revoked(self, listener: Callable[[Sequence[Revocation]], None]) -> None:
        """Call `listener` with what is newly revoked, once it is refused here."""
        self._listeners.append(listener)

    def take(self, rows: Sequence[Revocation], now: int) -> None:
        """Take rows in, those already known skipped, and tell the listeners."""
        fresh = [row for row in rows if row.number > self.number]
        for row in fresh:
            self.number = row.number
            if row.expires_at > now:
                self._add(row)
        if fresh:
            for listener in self._listeners:
                listener(fresh)

    def _add(self, row: Revocation) -> None:
        self._some_erased = self._some_erased or row.subject.startswith(_ERASED)
        key = (row.kind, row.app_id, row.subject)
        known = self._rows.get(key, row)
        self._rows[key] = row._replace(at=max(row.at, known.at), expires_at=max(row.expires_at, known.expires_at))

    def forget(self, now: int) -> None:
        """Drop what speaks of dead tokens only."""
        self._rows = {key: row for key, row in self._rows.items() if row.expires_at > now}
        self._some_erased = any(row.subject.startswith(_ERASED) for row in self._rows.values())

    def is_revoked(self, identity: Identity) -> bool:
        """Tell whether this token is refused, expired or not."""
        app_id = identity.app_id
        rows = (
            self._rows.get(("session", app_id, identity.session_id)),
            self._rows.get(("user", app_id, identity.user_id)),
            self._rows.get(("app", app_id, "")),
            self._rows.get(("user", app_id, _erased(identity))) if self._some_erased else None,
        )
        return any(row is not None and row.covers(identity) for row in rows)

    def first_sign_in(self, app_id: str, user_id: str, now: int) -> int:
        """Return when (ms) a new session of this user may begin and not be covered by an earlier revocation.

        That is `now`, but for a revocation in the same millisecond or before the clock was set back.
        """
        users = user_id, erased_subject(app_id, user_id)
        rows = (*(self._rows.get(("user", app_id, user)) for user in users), self._rows.get(("app", app_id, "")))
        return max(now, *(0 if row is None else row.at + 1 for row in rows))


def _erased(identity: Identity) -> str:
    return erased_subject(identity.app_id, identity.user_id)
