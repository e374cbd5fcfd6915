"""One timer for all connections: who asked to be woken is, within a tick."""

import asyncio
from heapq import heappop, heappush
from typing import Protocol

import structlog

from oddswire.clock import Clock

_logger = structlog.get_logger("oddswire.streams")
TICK_SECONDS = 0.1
WOKEN_A_TURN = 200
NEVER = 1 << 62


def monotonic_ms(clock: Clock) -> int:
    """Return the clock's monotonic time in whole ms."""
    return int(clock.monotonic() * 1000)


class Sleeper(Protocol):
    """What can be woken; `wake_at` (monotonic ms) is kept here, `NEVER` at first."""

    wake_at: int

    def wake(self, now: int, wall: int) -> None:
        """Do what is due."""
        ...


class Wakes:
    """The timer. It ticks from `start` to `stop`."""

    def __init__(self, clock: Clock, *, tick_seconds: float = TICK_SECONDS) -> None:
        self._clock = clock
        self._tick_seconds = tick_seconds
        self._due: list[tuple[int, int, Sleeper]] = []
        self._count = 0
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None

    def start(self) -> None:
        """Begin to tick, on the running loop."""
        self._timer = asyncio.get_running_loop().call_later(self._tick_seconds, self._tick)

    def stop(self) -> None:
        """Tick no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._due.clear()

    def at(self, sleeper: Sleeper, when: int) -> None:
        """Wake `sleeper` at `when` (monotonic ms), unless it is woken earlier anyway and can ask again."""
        if when < sleeper.wake_at:
            sleeper.wake_at = when
            self._count += 1
            heappush(self._due, (when, self._count, sleeper))

    def wake_due(self) -> bool:
        """Wake who is due, at most so many that the loop is not held up; true if some are left."""
        now, wall = monotonic_ms(self._clock), self._clock.now()
        for _ in range(WOKEN_A_TURN):
            if not self._due or self._due[0][0] > now:
                return False
            when, _, sleeper = heappop(self._due)
            if sleeper.wake_at == when:  # otherwise it was asked again, earlier
                sleeper.wake_at = NEVER
                try:
                    sleeper.wake(now, wall)
                except Exception:
                    _logger.exception("wake_failed")
                    self.at(sleeper, now + 1_000)
        return True

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            left = self.wake_due()
        finally:
            self._timer = loop.call_later(self._tick_seconds, self._tick)
        if left:
            self._timer.cancel()
            self._timer = loop.call_soon(self._tick)
