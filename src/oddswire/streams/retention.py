"""How long events are kept: at least so long, and at least so many of each user."""

import asyncio
from dataclasses import dataclass
from functools import partial

import structlog

from oddswire.clock import Clock
from oddswire.errors import Unavailable
from oddswire.store.base import Store, Tx
from oddswire.streams import log

HOUR_MS = 3_600_000
EVENTS_A_UNIT = 500
STREAMS_A_READ = 200

_logger = structlog.get_logger("oddswire.streams")


@dataclass(frozen=True, slots=True)
class Keep:
    """What stays: events younger than `age_ms`, and the newest `events` of each user whatever their age."""

    age_ms: int = 72 * HOUR_MS
    events: int = 1_000


class Sweeper:
    """Deletes what need not be kept, in units so small that no order waits for them.

    It keeps no place of its own: a sweep that was cut off is taken up by the next one.
    """

    def __init__(self, store: Store, clock: Clock, keep: Keep) -> None:
        self._store = store
        self._clock = clock
        self._keep = keep

    async def run(self, every_seconds: float = 600.0) -> None:
        """Sweep, and again `every_seconds` after each sweep, until cancelled."""
        while True:
            try:
                await self.sweep()
            except Unavailable as error:
                _logger.warning("retention_postponed", detail=error.detail)
            await asyncio.sleep(every_seconds)

    async def sweep(self) -> int:
        """Sweep every stream once; return how many events were deleted.

        Raises:
            Unavailable: the store cannot be read or written.
        """
        before = self._clock.now() - self._keep.age_ms
        keep = self._keep.events
        deleted, last = 0, -1
        while streams := await self._store.read(partial(longest, after=last, keep=keep)):
            for stream in streams:
                while some := await self._store.write(partial(trim, stream_id=stream, before=before, keep=keep)):
                    deleted += some
            last = streams[-1]
        return deleted


def longest(tx: Tx, after: int, keep: int) -> list[int]:
    """Return the next streams, by id, that hold more than `keep` events."""
    return tx.all(int, "streams.longest", after, keep, STREAMS_A_READ)


def trim(tx: Tx, stream_id: int, before: int, keep: int) -> int:
    """Delete the oldest events told before `before` (ms) but for the newest `keep`; at most 500, return how many.

    The tail moves in the same unit, so that a stream is always `tail` to `head` without a hole.
    """
    stream = log.by_id(tx, stream_id)
    if stream is None:
        return 0
    last = tx.one(
        int, "streams.newest_before", stream_id, min(stream.head - keep, stream.tail + EVENTS_A_UNIT - 1), before
    )
    if last is None:
        return 0
    tx.run("streams.raise_tail", stream_id, last + 1)
    return tx.run("streams.delete_events", stream_id, last + 1)
