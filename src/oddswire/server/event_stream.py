"""A user's events as Server-Sent Events (WHATWG HTML, 9.2): the same log, hub and join as a socket's (PROTOCOL 2.1).

An event has no `event:` name and the `id` `<epoch>:<seq>`; what is no event of the stream has a name and no id, but for
`connected` and `reset`, whose ids say where the stream goes on.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec
from litestar.types import Receive, Scope, Send
from msgspec import UNSET, Struct

from oddswire.auth.identity import Identity
from oddswire.clock import Clock
from oddswire.errors import Limited
from oddswire.server.http_protocol import ABORT
from oddswire.server.websocket import CLOSE_DEADLINE
from oddswire.streams.delivery import place
from oddswire.streams.feed import Feed
from oddswire.streams.hub import Hub
from oddswire.streams.roster import Presence, Roster
from oddswire.wire import frames
from oddswire.wire.codes import CLOSE_CODES, SLOW_READER, TOO_MANY_CONNECTIONS
from oddswire.wire.cursor import Cursor
from oddswire.wire.session import Place

HEARTBEAT_SECONDS: Final = 20.0
STALLED_SECONDS: Final = 30.0
GONE: Final = 1001
_HEADERS: Final = [(b"content-type", b"text/event-stream"), (b"x-accel-buffering", b"no")]


class _Kind(Struct):
    type: str


_kind: Final = msgspec.json.Decoder(_Kind)


class EventStream:
    """One response that streams, and to the node one of the user's connections.

    Make it, `open` it, and let it answer as an ASGI application; or `leave`, where it is not to answer after all.
    """

    def __init__(self, hub: Hub, roster: Roster, clock: Clock, who: Identity, address: str) -> None:
        self.app_id = who.app_id
        self.address = address
        self.identity: Identity | None = who
        self._who = who
        self._hub = hub
        self._roster = roster
        self._clock = clock
        self._feed: Feed | None = None
        self._waiting: list[bytes] = []
        self._news = asyncio.Event()
        self._end: tuple[int, bytes] | None = None
        self._patience: asyncio.Timeout | None = None
        self._connected_at = clock.now()
        self.number = roster.enter(self)

    async def open(self, since: int | None, epoch: str | None) -> None:
        """Join the user's stream.

        Raises:
            Limited: `too_many_connections`.
            Unavailable: the store cannot be read.
        """
        who = self._who
        if not self._roster.seat(self, who.user_id):
            why = self._roster.why_full(self, who.user_id)
            self.leave(TOO_MANY_CONNECTIONS)
            raise Limited("too_many_connections", why, retry_after=1)
        try:
            self._feed, kept = await self._hub.join(who.app_id, who.user_id, who.expires_at, self, self)
        except BaseException:
            self.leave(GONE)
            raise
        if self._end is not None:
            return  # ended while the stream was being found: there is a farewell to write, and nothing else
        found = place(kept, since, epoch)
        self._put(_greeting(who, found))
        self._feed.flow(who.expires_at, found.seq, found.head)

    def leave(self, code: int) -> None:
        """It is over."""
        if self._feed is not None:
            self._hub.leave(self._feed)
        self._roster.leave(self, code)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer until the client leaves, the token ends, or the stream is closed."""
        extensions: Any = scope.get("extensions") or {}
        abort: Callable[[], None] = extensions[ABORT]
        start: Any = {"type": "http.response.start", "status": 200, "headers": list(_HEADERS)}
        code = GONE
        leaving = asyncio.create_task(_until_gone(receive))
        writing = asyncio.create_task(self._write(send))
        try:
            await send(start)
            await asyncio.wait((leaving, writing), return_when=asyncio.FIRST_COMPLETED)
            if writing.done():
                code = writing.result()
            if code == SLOW_READER:
                # what it has not read would keep the connection from ever closing
                abort()
                await leaving
        finally:
            for task in (writing, leaving):
                task.cancel()
            await asyncio.gather(writing, leaving, return_exceptions=True)
            self.leave(code)

    async def _write(self, send: Send) -> int:
        """Write what waits, again and again; return how it ended."""
        while True:
            chunk = b"".join(self._waiting) or await self._more()
            self._waiting.clear()
            if self._left() <= 0:
                # what the token's end leaves unwritten comes again after the id the client has seen last
                chunk = b""
            last = self._end is not None or not chunk
            ended: Any = {"type": "http.response.body", "body": chunk + self._farewell(), "more_body": False}
            going: Any = {"type": "http.response.body", "body": chunk, "more_body": True}
            try:
                async with asyncio.timeout(STALLED_SECONDS) as self._patience:
                    await send(ended if last else going)
            except TimeoutError:
                return SLOW_READER
            finally:
                self._patience = None
            if last:
                return GONE if self._end is None else self._end[0]
            if self._feed is not None:
                self._feed.drained()

    async def _more(self) -> bytes:
        """Wait for what is to be written, at most to the next sign of life; nothing once the end has come."""
        if self._is_silent():
            self._news.clear()
            beat = HEARTBEAT_SECONDS * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, guards nothing
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), min(beat, self._left()))
        return b": still here\n\n" if self._is_silent() else b"".join(self._waiting)

    def _is_silent(self) -> bool:
        return not self._waiting and self._end is None and self._left() > 0

    def _left(self) -> float:
        return (self._who.expires_at - self._clock.now()) / 1000

    def _farewell(self) -> bytes:
        return _ending("token_expired") if self._end is None else self._end[1]

    def _put(self, text: bytes) -> None:
        self._waiting.append(text)
        self._news.set()

    # ---- what the feed writes: one ring or page at a time, the next once this one has been taken

    def send(self, frame: bytes) -> bool:
        """Write one event."""
        return self.send_many((frame,))

    def send_many(self, frames: Sequence[bytes]) -> bool:
        """Write events up to the feed's cursor."""
        assert self._feed is not None
        delivery = self._feed.delivery
        first = delivery.cursor - len(frames) + 1
        for seq, frame in enumerate(frames, first):
            self._put(b"id: %s\ndata: %s\n\n" % (str(Cursor(seq, delivery.epoch)).encode(), frame))
        return False

    def backed_up(self) -> None:
        """Pass over it: whether it is read is seen where it is written."""

    def lost(self, code: int) -> None:
        """The stream cannot go on."""
        self.close(code)

    # ---- what the node tells

    def close(self, code: int, retry_after_ms: int | None = None, name: str | None = None) -> None:
        """End with an event that is named as the close code of a socket is."""
        if self._end is None:
            wait = b"" if retry_after_ms is None else b"retry: %d\n\n" % retry_after_ms
            self._end = code, wait + _ending(name or CLOSE_CODES[code].name)
            if self._feed is not None:
                self._hub.leave(self._feed)
            self._waiting.clear()
            self._news.set()
            self._hurry()

    def _hurry(self) -> None:
        """Wait no longer for a reader that takes nothing than a socket that closes does."""
        if self._patience is not None and not self._patience.expired():
            soon = asyncio.get_running_loop().time() + CLOSE_DEADLINE
            self._patience.reschedule(min(soon, self._patience.when() or soon))

    def tell(self, frame: bytes) -> None:
        """Write a frame that is of no stream."""
        self._put(_named(_kind.decode(frame).type, frame))

    def presence(self) -> Presence:
        """Return how it is, for the operator."""
        delivery = None if self._feed is None else self._feed.delivery
        return Presence(
            number=self.number,
            app=self.app_id,
            user=self._who.user_id,
            session=self._who.session_id,
            address=self.address,
            connected_at=self._connected_at,
            state="signed in" if self._end is None else "closed",
            cursor=None if delivery is None else delivery.cursor,
            head=None if delivery is None else delivery.known_head,
            lag=None if delivery is None else delivery.known_head - delivery.cursor,
            queued_bytes=sum(map(len, self._waiting)),
        )


def _greeting(who: Identity, found: Place) -> bytes:
    """Return `connected`, or `reset` where the cursor could not be honoured; its id is where the stream goes on."""
    connected = frames.Connected(
        app_id=who.app_id,
        user_id=who.user_id,
        seq=found.seq,
        head=found.head,
        epoch=found.epoch,
        resumed=UNSET if found.resumed is None else found.resumed,
        reason=found.reason or UNSET,
    )
    cursor = str(Cursor(found.seq, found.epoch)).encode()
    if found.resumed is not False:
        return b"id: %s\n%s" % (cursor, _named("connected", frames.encode(connected)))
    said = msgspec.json.encode({"reason": found.reason, "seq": found.seq, "epoch": found.epoch})
    return b"id: %s\n%s" % (cursor, _named("reset", said))


def _named(name: str, data: bytes) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)


def _ending(code: str) -> bytes:
    return _named(code, msgspec.json.encode({"code": code}))


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
