"""Waiting with an end: many things that each may take so long, on one timer."""

import asyncio
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class _Waiting(NamedTuple, Generic[V]):
    until: float
    value: V


class Patience(Generic[K, V]):
    """What is waited for, by key. Each waits `seconds`, so the one that has waited longest is always the first.

    `over` is called with the value of one that has waited in vain, which is not waited for any more by then.
    Used on the loop alone.
    """

    def __init__(self, seconds: float, over: Callable[[V], None]) -> None:
        self._seconds = seconds
        self._over = over
        self._waiting: dict[K, _Waiting[V]] = {}
        self._alarm: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Return for how many is waited."""
        return len(self._waiting)

    def get(self, key: K) -> V | None:
        """Return the value under a key, None where nothing is waited for there."""
        waiting = self._waiting.get(key)
        return None if waiting is None else waiting.value

    def begin(self, key: K, value: V) -> None:
        """Wait; under a key that waits already only the value is another."""
        waiting, loop = self._waiting.get(key), asyncio.get_running_loop()
        until = loop.time() + self._seconds if waiting is None else waiting.until
        self._waiting[key] = _Waiting(until, value)
        if self._alarm is None:
            self._alarm = loop.call_at(until, self._ring)

    def end(self, key: K) -> V | None:
        """Wait no more, and return the value; None where nothing is waited for."""
        waiting = self._waiting.pop(key, None)
        return None if waiting is None else waiting.value

    def clear(self) -> list[V]:
        """Wait for nothing any more, and return what was waited for."""
        values = [waiting.value for waiting in self._waiting.values()]
        self._waiting.clear()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        return values

    def _ring(self) -> None:
        loop, self._alarm = asyncio.get_running_loop(), None
        while self._waiting:
            key, first = next(iter(self._waiting.items()))
            if first.until > loop.time():
                self._alarm = loop.call_at(first.until, self._ring)
                return
            del self._waiting[key]
            self._over(first.value)
