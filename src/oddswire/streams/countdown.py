"""Which sessions are armed, which of those are gone, and when what they have open is due to be canceled: pure.

Armed and here ──its last connection ends──> gone, counting ──its seconds have passed──> due, then spent
      ^                                          │
      └───────── a connection comes back ────────┘

`now` is monotonic ms, `wall` Unix epoch ms. What a session is armed with and since when it is gone is kept in the
database by `streams.disconnects`; here is the same in memory, so that a connection that is not armed costs one look.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from oddswire.auth.identity import Identity

RETURN_MS: Final = 10_000
"""How long after a start a client may at least take to come back (its own seconds, where those are fewer)."""


class ArmedRow(NamedTuple):
    """A session's wish as it is kept: `gone_at` in Unix epoch ms, None while the session has a connection.

    `issued_at` is of the newest token that the session had a connection with.
    """

    session_id: str
    app_id: str
    user_id: str
    seconds: int
    gone_at: int | None
    issued_at: int = 0


class Absent(NamedTuple):
    """A session that is gone since `gone_at` (Unix epoch ms): if it still is, what it has open is to be canceled."""

    app_id: str
    user_id: str
    session_id: str
    gone_at: int


@dataclass(slots=True)
class Armed:
    """One armed session; `kept_gone_at` is what the database has for `gone_at`, `due` counts while that is not None."""

    app_id: str
    user_id: str
    session_id: str
    seconds: int
    gone_at: int | None = None
    kept_gone_at: int | None = None
    due: int = 0
    issued_at: int = 0

    @property
    def kept(self) -> bool:
        """Whether the database has it as it is."""
        return self.gone_at == self.kept_gone_at


class Countdowns:
    """Every armed session of this process."""

    def __init__(self) -> None:
        self._armed: dict[str, Armed] = {}
        self._restless: dict[str, Armed] = {}

    def __len__(self) -> int:
        """Return how many sessions are armed."""
        return len(self._armed)

    def load(self, row: ArmedRow, now: int, wall: int) -> None:
        """Take over a session from before this start, which nobody of it can have been connected to.

        One that had a connection then counts from now. One that was gone already goes on counting, but nobody is due
        before they had `RETURN_MS`, or their seconds, to come back.
        """
        gone_at = wall if row.gone_at is None else min(row.gone_at, wall)
        least = min(row.seconds * 1000, RETURN_MS)
        left = max(gone_at + row.seconds * 1000 - wall, least)
        armed = Armed(
            *(row.app_id, row.user_id, row.session_id, row.seconds),
            *(gone_at, row.gone_at, now + left, row.issued_at),
        )
        self._armed[row.session_id] = self._restless[row.session_id] = armed

    def seconds(self, session_id: str) -> int:
        """Return what a session is armed with; 0: it is not."""
        armed = self._armed.get(session_id)
        return 0 if armed is None else armed.seconds

    def here(self, who: Identity, seconds: int) -> None:
        """A session has a connection and is armed with so many seconds (0: it is not), as the database now has it."""
        session_id = who.session_id
        if not seconds:
            self._armed.pop(session_id, None)
            self._restless.pop(session_id, None)
            return
        armed = self._armed.get(session_id)
        if armed is None:
            armed = self._armed[session_id] = Armed(who.app_id, who.user_id, session_id, seconds)
        armed.seconds, armed.gone_at, armed.kept_gone_at = seconds, None, None
        armed.issued_at = max(armed.issued_at, who.issued_at)
        self._restless.pop(session_id, None)

    def gone(self, session_id: str, now: int, wall: int) -> None:
        """The last connection of a session has ended; it counts from the first time this is said."""
        armed = self._armed.get(session_id)
        if armed is not None and armed.gone_at is None:
            armed.gone_at, armed.due = wall, now + armed.seconds * 1000
            self._restless[session_id] = armed

    def gone_for_good(self, revoked: Callable[[Identity], bool], now: int, wall: int) -> None:
        """No token of these sessions is taken any more, so there is nobody to wait for: they are due now."""
        for armed in self._armed.values():
            # asked as for the newest token of that session
            if revoked(Identity(armed.app_id, armed.user_id, armed.session_id, armed.issued_at, 0)):
                self.gone(armed.session_id, now, wall)
                armed.due = now

    def unkept(self) -> list[Armed]:
        """Return those whose `gone_at` the database has not."""
        return [armed for armed in self._restless.values() if not armed.kept]

    def keep(self, session_id: str, gone_at: int | None) -> None:
        """The database now has this `gone_at`; where it has changed meanwhile, it is unkept again."""
        armed = self._armed.get(session_id)
        if armed is not None:
            armed.kept_gone_at = gone_at
            if not armed.kept:
                self._restless[session_id] = armed
            elif gone_at is None:
                self._restless.pop(session_id, None)

    def due(self, now: int) -> list[Absent]:
        """Return those that are due, the longest due first; `gone_at` is what the database has."""
        return [
            Absent(armed.app_id, armed.user_id, armed.session_id, armed.gone_at)
            for armed in sorted(self._restless.values(), key=lambda armed: armed.due)
            if armed.gone_at is not None and armed.kept and armed.due <= now
        ]

    def spent(self, absent: Absent) -> None:
        """A session's wish is done with, or is not in the database any more, unless it has come back meanwhile."""
        armed = self._armed.get(absent.session_id)
        if armed is not None and armed.gone_at == absent.gone_at:
            del self._armed[absent.session_id]
            self._restless.pop(absent.session_id, None)
