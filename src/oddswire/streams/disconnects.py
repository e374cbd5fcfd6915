"""Cancel on disconnect: sessions' wishes, kept in the database before they are confirmed, and carried out in time.

The database decides between a client that comes back and the time that runs out: the unit that comes first wins, and
the other one finds out. What is in memory (`streams.countdown`) only says when it is worth trying.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import structlog

from oddswire.auth.identity import Identity
from oddswire.clock import Clock
from oddswire.errors import Unavailable
from oddswire.store.base import Store, Tx
from oddswire.streams.countdown import Absent, ArmedRow, Countdowns
from oddswire.streams.wakes import monotonic_ms

LOOK_SECONDS: Final = 0.25
AGAIN_SECONDS: Final = 1.0
ROWS_A_UNIT: Final = 500
AT_ONCE: Final = 64
"""How many sessions' orders are canceled at the same time."""
_logger = structlog.get_logger("oddswire.streams")

CancelAbsent = Callable[[Absent], Awaitable[int | None]]
"""Cancel what a session has open, in one unit with `spend`; return how many orders, None where it is spent already."""


def spend(tx: Tx, absent: Absent) -> bool:
    """Take a session's wish, for good; False where the session has come back, or somebody else has taken it."""
    return tx.run("disconnects.spend", absent.session_id, absent.gone_at) == 1


class Disconnects:
    """The armed sessions of one node. `load` before the first connection, then `run`."""

    def __init__(self, store: Store, clock: Clock, cancel: CancelAbsent) -> None:
        self._store = store
        self._clock = clock
        self._cancel = cancel
        self._countdowns = Countdowns()
        self.canceled = 0
        """How many orders have been canceled."""

    def __len__(self) -> int:
        """Return how many sessions are armed."""
        return len(self._countdowns)

    async def load(self) -> None:
        """Take over the wishes from before this start.

        Raises:
            Unavailable: the store cannot be read.
        """
        rows = await self._store.read(lambda tx: tx.all(ArmedRow, "disconnects.load"))
        now, wall = monotonic_ms(self._clock), self._clock.now()
        for row in rows:
            self._countdowns.load(row, now, wall)

    # ---- connections that come and go

    def seconds(self, session_id: str) -> int:
        """Return what a session is armed with; 0: it is not."""
        return self._countdowns.seconds(session_id)

    async def come(self, who: Identity, wanted: int | None) -> int:
        """A session has a connection; arm it with `wanted` seconds, 0: disarm it, None: leave it as it is.

        Returns what it is armed with, 0 where it is not; that is durable.

        Raises:
            Unavailable: the store takes nothing now; the session is as it was.
        """
        if not wanted and not self._countdowns.seconds(who.session_id):
            return 0
        seconds = await self._store.write(partial(_come, who=who, wanted=wanted))
        self._countdowns.here(who, seconds)
        return seconds

    def gone(self, session_id: str) -> None:
        """A session's last connection has ended; where it is armed, its time runs."""
        self._countdowns.gone(session_id, monotonic_ms(self._clock), self._clock.now())

    def gone_for_good(self, revoked: Callable[[Identity], bool]) -> None:
        """These sessions cannot come back: they are due now."""
        self._countdowns.gone_for_good(revoked, monotonic_ms(self._clock), self._clock.now())

    # ---- in the background

    async def run(self) -> None:
        """Keep what has changed, and cancel what is due, until cancelled; what fails is said and done again."""
        while True:
            pause = LOOK_SECONDS
            try:
                await self.keep()
                await self.cancel_due()
            except Unavailable as fault:
                _logger.warning("disconnects_postponed", detail=fault.detail)
                pause = AGAIN_SECONDS
            except Exception:
                # one session's trouble must not end the gateway: a restart would only meet it again
                _logger.exception("disconnects_failed")
                pause = AGAIN_SECONDS
            await asyncio.sleep(pause)

    async def keep(self) -> None:
        """Write down who is gone since when.

        Raises:
            Unavailable: nothing was stored.
        """
        changed = [(armed.session_id, armed.gone_at) for armed in self._countdowns.unkept()]
        for start in range(0, len(changed), ROWS_A_UNIT):
            rows = changed[start : start + ROWS_A_UNIT]
            await self._store.write(partial(_set_gone, rows=rows))
            for session_id, gone_at in rows:
                self._countdowns.keep(session_id, gone_at)

    async def cancel_due(self) -> None:
        """Cancel what the sessions that are due have open.

        Raises:
            Unavailable: the store took not all of it; what is left stays due.
        """
        due = self._countdowns.due(monotonic_ms(self._clock))
        for start in range(0, len(due), AT_ONCE):
            faults = await asyncio.gather(*map(self._cancel_one, due[start : start + AT_ONCE]), return_exceptions=True)
            for fault in faults:
                if fault is not None:
                    raise fault

    async def _cancel_one(self, absent: Absent) -> None:
        count = await self._cancel(absent)
        self._countdowns.spent(absent)
        if count is None:
            return
        self.canceled += count
        _logger.info(
            "canceled_on_disconnect", app=absent.app_id, user=absent.user_id, session=absent.session_id, orders=count
        )


def _come(tx: Tx, who: Identity, wanted: int | None) -> int:
    if wanted:
        tx.run("disconnects.arm", who.session_id, who.app_id, who.user_id, wanted, who.issued_at)
        return wanted
    if wanted == 0:
        tx.run("disconnects.disarm", who.session_id)
        return 0
    tx.run("disconnects.come", who.session_id, who.issued_at)
    return tx.one(int, "disconnects.seconds", who.session_id) or 0


def _set_gone(tx: Tx, rows: Sequence[tuple[str, int | None]]) -> None:
    for session_id, gone_at in rows:
        tx.run("disconnects.set_gone", session_id, gone_at)
