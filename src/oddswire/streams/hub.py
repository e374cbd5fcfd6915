"""Who hears what: rings go to the feeds of their stream, pages come from the log, a slow poll heals what was lost."""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import NamedTuple

import structlog

from oddswire.clock import Clock
from oddswire.errors import Unavailable
from oddswire.ids import epoch_of
from oddswire.store.base import Bell, Ring, Store, Tx
from oddswire.streams import log
from oddswire.streams.delivery import Kept
from oddswire.streams.feed import Feed, Listener, Output
from oddswire.wire.codes import SERVER_ERROR

POLL_SECONDS = 1.0
READS_AT_ONCE = 8
JOINS_AT_ONCE = 8
"""So that whoever else reads never waits behind a whole crowd that comes back."""
HEADS_A_STATEMENT = 64
HEADS_A_READ = 1024

_logger = structlog.get_logger("oddswire.streams")


class Head(NamedTuple):
    """A stream and its newest event."""

    stream_id: int
    head: int


class Hub:
    """The feeds of one node, by stream. `start` before the first connection, `stop` after the last."""

    def __init__(self, store: Store, clock: Clock, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._store = store
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._rooms: dict[int, tuple[Feed, ...]] = {}
        self._joining = asyncio.Semaphore(JOINS_AT_ONCE)
        self._wanting: deque[Feed] = deque()
        self._readers: set[asyncio.Task[None]] = set()
        self._poll_now = asyncio.Event()
        self._poller: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """Return how many streams are heard."""
        return len(self._rooms)

    def catching_up(self) -> int:
        """Return how many feeds are behind their stream: a page is being read, or output waits."""
        feeds = (feed for room in self._rooms.values() for feed in room)
        return sum(feed.flowing and not feed.delivery.level for feed in feeds)

    def start(self) -> None:
        """Listen to the store's bells and poll slowly; on the loop."""
        self._store.on_bells(self.ring)
        self._store.on_foreign_write(self._poll_now.set)
        self._poller = asyncio.create_task(self._poll_forever())

    async def stop(self) -> None:
        """Stop polling and reading."""
        tasks = [*self._readers, *([self._poller] if self._poller else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # ---- coming and going

    async def join(
        self, app_id: str, user_id: str, expires_at: int, output: Output, listener: Listener
    ) -> tuple[Feed, Kept]:
        """Return a feed of the user's stream, not flowing yet, and what of the stream can be read.

        The feed hears rings before the head is read, so that no commit falls between the two.

        Raises:
            Unavailable: the store cannot be read.
        """
        async with self._joining:
            found = await self._store.read(lambda tx: log.find(tx, app_id, user_id))
            if found is None:
                now = self._clock.now()
                found = await self._store.write(lambda tx: log.open_stream(tx, app_id, user_id, now))
            stream = found.stream_id
            feed = Feed(stream, epoch_of(self._store.history_id, stream), expires_at, output, listener, self._want)
            self._rooms[stream] = (*self._rooms.get(stream, ()), feed)
            try:
                row = await self._store.read(lambda tx: log.by_id(tx, stream))
                if row is None:
                    raise Unavailable("store_unavailable", "A stream that was there is gone.")
            except BaseException:
                self.leave(feed)
                raise
            return feed, Kept(row.head, row.tail, feed.delivery.epoch)

    def leave(self, feed: Feed) -> None:
        """The feed writes nothing from now on."""
        feed.stopped = True
        feed.hold()
        rest = tuple(other for other in self._rooms.get(feed.stream, ()) if other is not feed)
        if rest:
            self._rooms[feed.stream] = rest
        else:
            self._rooms.pop(feed.stream, None)

    def listeners(self, stream: int) -> list[Listener]:
        """Return whose feeds hear that stream."""
        return [feed.listener for feed in self._rooms.get(stream, ())]

    # ---- rings

    def ring(self, bells: Sequence[Bell]) -> None:
        """Hand each ring to the feeds of its stream: all of them write the one encoding the log made."""
        wall = self._clock.now()
        rooms, history = self._rooms, self._store.history_id
        for bell in bells:
            if type(bell) is not Ring:
                continue
            frames = bell.frames if bell.history == history else None  # another history's bytes are not this stream's
            for feed in rooms.get(bell.stream, ()):
                try:
                    feed.hear(bell.first, bell.last, frames, wall)
                except Exception:
                    _logger.exception("ring_failed", stream=bell.stream)
                    feed.fail(SERVER_ERROR)

    # ---- pages

    def _want(self, feed: Feed) -> None:
        self._wanting.append(feed)
        if len(self._readers) < READS_AT_ONCE:
            task = asyncio.create_task(self._read_pages())
            self._readers.add(task)
            task.add_done_callback(self._readers.discard)

    async def _read_pages(self) -> None:
        """Read page after page, the feed that has waited longest first, until nobody wants one."""
        while self._wanting:
            feed = self._wanting.popleft()
            if feed.stopped:
                continue
            try:
                page = await self._store.read(partial(read_page, stream=feed.stream, after=feed.delivery.cursor))
                if not feed.stopped:
                    feed.page(page, self._clock.now())
            except Exception:
                _logger.exception("page_failed", stream=feed.stream)
                feed.fail(SERVER_ERROR)

    # ---- the slow poll

    async def poll(self) -> None:
        """Read the head of every stream somebody hears, and let the feeds know."""
        streams = iter(tuple(self._rooms))
        while some := tuple(islice(streams, HEADS_A_READ)):
            for stream, head in await self._store.read(partial(read_heads, streams=some)):
                for feed in self._rooms.get(stream, ()):
                    feed.hear_head(head)

    async def _poll_forever(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._poll_now.wait(), self._poll_seconds)
            self._poll_now.clear()
            try:
                await self.poll()
            except Exception:
                _logger.exception("poll_failed")


def read_page(tx: Tx, stream: int, after: int) -> log.Page:
    """Return the page after `after`; an empty one that begins later where what lies between is not kept any more."""
    page = log.page(tx, stream, after)
    if page.frames:
        return page
    row = log.by_id(tx, stream)
    return log.Page(max(after + 1, row.tail), ()) if row is not None else page


def read_heads(tx: Tx, streams: Sequence[int]) -> list[Head]:
    """Return the heads of many streams; those that are not there are left out."""
    heads: list[Head] = []
    for start in range(0, len(streams), HEADS_A_STATEMENT):
        some = streams[start : start + HEADS_A_STATEMENT]
        heads += tx.all(Head, "streams.heads", *some, *[some[0]] * (HEADS_A_STATEMENT - len(some)))
    return heads
