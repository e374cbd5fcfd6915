"""By when a client must have done something, at next to no cost for each of its calls."""

import asyncio
from collections.abc import Callable
from math import inf


class Deadline:
    """Calls `missed` once, when a time that was set has passed without having been set anew or cleared.

    A connection sets a few for each call. The loop's timer is left where it is as long as it rings early enough, and
    looks then whether it is time: most calls take none. `missed` is called late by a turn of the loop at most.
    """

    __slots__ = ("_loop", "_missed", "_rings", "_timer", "_until")

    def __init__(self, loop: asyncio.AbstractEventLoop, missed: Callable[[], object]) -> None:
        self._loop = loop
        self._missed = missed
        self._until = inf
        self._timer: asyncio.TimerHandle | None = None
        self._rings = inf

    def set(self, seconds: float) -> None:
        """Let it be so many seconds from now, whatever it was."""
        self._until = self._loop.time() + seconds
        if self._until < self._rings:
            self._ring(self._until)

    def clear(self) -> None:
        """Let there be none."""
        self._until = inf

    def end(self) -> None:
        """Let there never be one again."""
        self._until = inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings = at
        self._timer = self._loop.call_at(at, self._look)

    def _look(self) -> None:
        self._timer = None
        self._rings = inf
        if self._until == inf:
            return
        if self._loop.time() < self._until:
            self._ring(self._until)
            return
        self._until = inf
        self._missed()
