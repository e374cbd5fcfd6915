"""uvicorn's side: one port for REST and WebSocket, and the way from a request's head to a socket.

Touches the internals of uvicorn 0.54's `HttpToolsProtocol`, `Server` and `ServerState`;
`tests/server/test_websocket_conformance.py` says which.
"""

import asyncio
import fcntl
import logging
import struct
import termios
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any, ClassVar, cast

import httptools
from uvicorn.config import Config
from uvicorn.server import ServerState

from oddswire.server.deadline import Deadline
from oddswire.server.half_close import HalfClosable
from oddswire.server.websocket import (
    CLOSE_DEADLINE,
    Accept,
    Conversation,
    Refusal,
    Upgrade,
    handshake_fault,
    parsed_query,
    refusal_body,
)

log = logging.getLogger(__name__)

ABORT = "oddswire.abort"
"""The extension of an HTTP scope that ends its connection at once, whatever still waits to be sent."""
WHOLE = "oddswire.whole"
"""The extension of an HTTP scope whose request has been received to its end."""
MAX_HEAD = 32 * 1024
"""Bytes of a request's head: the parser itself has no limit."""
MAX_REQUEST = 2 * 1024 * 1024
"""What one request may send in all: far more than any body we take, so that what never ends is cut."""
REQUEST_DEADLINE = 60.0
"""Seconds from a request's head to the end of its body."""
HEAD_DEADLINE = 10.0
"""Seconds a client has to send a whole head."""
EARLY = Refusal(400, "early_bytes", "Bytes arrived before the 101.")

OpenSocket = Callable[[asyncio.Transport, Conversation, str, ServerState], None]
"""Writes the 101 for a `Sec-WebSocket-Key`, and makes the transport a WebSocket that drives the conversation."""


@dataclass(slots=True)
class House:
    """What all sockets of one server share."""

    accept: Accept
    open: OpenSocket
    on_shutdown: Callable[[], None]
    shutting_down: bool = False

    def shutdown(self) -> None:
        """Start the drain, once however many sockets uvicorn tells."""
        if not self.shutting_down:
            self.shutting_down = True
            self.on_shutdown()


@dataclass(frozen=True, slots=True)
class Head:
    """The head of an upgrade request as uvicorn's parser left it."""

    method: str
    http_version: str
    url: bytes
    headers: list[tuple[bytes, bytes]]
    client: str


class Arrival(asyncio.Protocol):
    """A connection between its upgrade request and its 101, or its refusal.

    Reading goes on while `accept` is awaited: any byte is answered with 400 and a client that leaves is noticed.
    Nothing that arrives here is ever handed on, so no frame is lost silently.
    """

    house: ClassVar[House]

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any]) -> None:  # noqa: ARG002
        self._state = server_state
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._upgrade: Upgrade
        self._key = ""
        self._task: asyncio.Task[None] | None = None
        self._over = False
        self._deadline: asyncio.TimerHandle | None = None

    def begin(self, transport: asyncio.Transport, head: Head, fault: Refusal | None) -> None:
        """Take the transport over from HTTP and answer the request: `fault`, another refusal, or a 101."""
        self._transport = transport
        self._connections.add(self)
        transport.set_protocol(self)
        fault = fault or self._read(head)
        if fault is not None:
            self._refuse(fault)
            return
        self._task = self._loop.create_task(self._decide())
        self._state.tasks.add(self._task)
        self._task.add_done_callback(self._state.tasks.discard)

    @property
    def _connections(self) -> set[Any]:
        return cast("set[Any]", self._state.connections)

    def _read(self, head: Head) -> Refusal | None:
        headers: dict[str, str] = {}
        for raw_name, raw_value in head.headers:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        try:
            url = httptools.parse_url(head.url)
            path = (url.path or b"").decode("ascii")
            query = parsed_query((url.query or b"").decode("ascii"))
        except (httptools.HttpParserError, ValueError):
            return Refusal(400, "bad_handshake", "The request's target cannot be read.")
        self._upgrade = Upgrade(path, query, headers, head.client)
        self._key = headers.get("sec-websocket-key", "")
        return handshake_fault(head.method, head.http_version, path, headers)

    async def _decide(self) -> None:
        verdict: Refusal | Conversation
        try:
            verdict = await self.house.accept(self._upgrade)
        except Exception:
            log.exception("upgrade_failed")
            verdict = Refusal(500, "internal", "The upgrade could not be decided.")
        if isinstance(verdict, Refusal):
            if not self._over:
                self._refuse(verdict)
        elif self._over or self._transport.is_closing():
            verdict.closed(1006)
        elif _unread(self._transport):
            verdict.closed(1006)
            self._refuse(EARLY)
        else:
            self._over = True
            self._connections.discard(self)
            self.house.open(self._transport, verdict, self._key, self._state)

    def _refuse(self, refusal: Refusal) -> None:
        """Answer, then read on without looking: closing with unread bytes would take the answer back (RST)."""
        self._leave()
        self._transport.write(response(refusal))
        linger(self._transport)
        self._deadline = self._loop.call_later(CLOSE_DEADLINE, self._transport.abort)

    def _leave(self) -> None:
        self._over = True
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()

    def data_received(self, data: bytes) -> None:  # noqa: ARG002
        """Refuse whatever comes before the 101."""
        if not self._over:
            self._refuse(EARLY)

    def eof_received(self) -> bool:
        """Give up: the client has gone, or has read our refusal."""
        self._leave()
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Clear up."""
        self._leave()
        self._connections.discard(self)
        if self._deadline is not None:
            self._deadline.cancel()

    def shutdown(self) -> None:
        """Refuse: called by uvicorn when the server goes down."""
        self.house.shutdown()
        if not self._over:
            self._refuse(Refusal(503, "draining", "The server is going down."))

    def pause_writing(self) -> None:
        """Do nothing: all we write here is one short answer."""

    resume_writing = pause_writing


@lru_cache(256)
def response(refusal: Refusal, *, close: bool = True) -> bytes:
    """Return a refusal as a whole HTTP/1.1 response, one that ends its connection unless told otherwise.

    The last ones are kept: a flood gets the same one until a second has passed.
    """
    body = refusal_body(refusal)
    lines = [
        f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        *(("Connection: close" if refusal.status != 426 else "Connection: upgrade, close",) if close else ()),
        *(f"{name}: {value}" for name, value in refusal.headers),
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def linger(transport: asyncio.Transport) -> None:
    """Say that we are done while reading goes on, so that the peer gets what we wrote before the connection ends."""
    if not transport.is_closing() and transport.can_write_eof():
        transport.write_eof()


def _unread(transport: asyncio.Transport) -> bool:
    """Whether the kernel holds bytes of this connection that nobody has read yet."""
    if transport.get_extra_info("ssl_object") is not None:
        return False  # what waits may be a record of TLS itself
    fd = transport.get_extra_info("socket").fileno()
    answer = fcntl.ioctl(fd, termios.FIONREAD, struct.pack("i", 0))
    return bool(struct.unpack("i", answer)[0])


class GatewayHttp(HalfClosable):
    """uvicorn's HTTP protocol that hands upgrades over whole: its head, and what came after it.

    Also bounds a request's head, and the whole of it, in bytes and in time, which uvicorn does not, and drops trailers:
    uvicorn would list them among the headers, as if they had been there when the request was let in.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._received = 0
        self._listed_bytes = 0
        self._in_head = True
        self._deadline: Deadline
        self._fault: Refusal | None = None
        self._deaf = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock for the first head."""
        super().connection_made(transport)
        self._deadline = Deadline(self.loop, transport.close)
        self._deadline.set(HEAD_DEADLINE)

    def connection_lost(self, exc: Exception | None) -> None:
        """Clear up."""
        self._deadline.end()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and look at what it left unread."""
        if self._deaf:
            return
        self._unset_keepalive_if_required()
        rest: bytes | None = data
        while rest:
            rest = self._feed(rest)
        if rest is None:
            return
        self._received += len(data)
        if self._listed_bytes > MAX_HEAD or (self._in_head and self._received > MAX_HEAD):
            self._end_by(Refusal(431, "head_too_large", "The request's head is over 32 KiB."))
        elif self._received > MAX_REQUEST:
            self._deaf = True
            self.transport.close()
        elif self._fault is not None:
            self._hand_over(None)

    def _feed(self, data: bytes) -> bytes | None:
        """Feed the parser, and return what is to be fed to it next, None where nothing more is read as HTTP."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
            if self._listed_bytes > MAX_HEAD or self._deaf:
                return b""
            if self._should_upgrade():
                self._hand_over(EARLY if rest else None)
                return None
            head = self._head_without_upgrade()
            return None if head is None else head + rest
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
            return None
        return b""

    def _head_without_upgrade(self) -> bytes | None:
        """Return the head that has just been read, with an upgrade that is not spoken here left out (RFC 9110, 7.8).

        The parser takes every upgrade for the end of HTTP, and would read the request's body as the next request: from
        a proxy, somebody else's. So a new one reads the whole request.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self.send_400_response("CONNECT is not served here.")
            return None
        lines = [b"%s %s HTTP/%s" % (method, self.url, self.parser.get_http_version().encode())]
        for name, value in self.headers:
            if name == b"connection":
                kept = b", ".join(token for token in value.split(b",") if token.strip().lower() != b"upgrade")
                lines.append(b"connection: " + kept)
            elif name != b"upgrade":
                lines.append(name + b": " + value)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP/1.1 as every other error."""
        self._end_by(Refusal(400, "invalid_http", msg))

    def _end_by(self, refusal: Refusal) -> None:
        """Let this be the last answer; it is left out where it would be taken for that of an earlier request."""
        self._deaf = True
        cycle: Any = self.cycle
        if cycle is not None and not cycle.response_complete and not cycle.more_body:
            cycle.keep_alive = False
            return
        if not self.pipeline:
            self.transport.write(response(refusal))
        self.transport.close()

    def _hand_over(self, early: Refusal | None) -> None:
        self._deaf = True
        cycle: Any = self.cycle
        if cycle is not None and not cycle.response_complete:
            # an earlier request of this connection is still being answered: that answer is the last one here
            cycle.keep_alive = False
            return
        self._deadline.end()
        self.connections.discard(self)
        scope, client = self.scope, self.scope["client"]
        head = Head(scope["method"], scope["http_version"], self.url, scope["headers"], client[0] if client else "")  # type: ignore[arg-type]
        arrival = cast("type[Arrival]", self.ws_protocol_class)(self.config, self.server_state, self.app_state)
        # the parser and this object hold each other; without this they would wait for the garbage collector
        self.parser = None  # type: ignore[assignment]
        arrival.begin(self.transport, head, self._fault or early)

    def on_message_begin(self) -> None:
        """Start the clock for the next head."""
        super().on_message_begin()
        self.scope["extensions"] = {ABORT: self.transport.abort}  # type: ignore[dict-item]  # ours is no table
        self._in_head = True
        self._received = self._listed_bytes = 0
        self._deadline.set(HEAD_DEADLINE)

    def on_url(self, url: bytes) -> None:
        """Count the target."""
        self._listed_bytes += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """List a header of the head; one that comes after the body is dropped."""
        if not self._in_head:
            return
        self._listed_bytes += len(name) + len(value) + 4
        if self._listed_bytes <= MAX_HEAD:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Set the clock for the body; an upgrade that announces one is refused without waiting for it."""
        self._in_head = False
        self._deadline.set(REQUEST_DEADLINE)
        if self._listed_bytes > MAX_HEAD or self.is_read_anew():
            return
        super().on_headers_complete()
        if self.parser.should_upgrade() and self._should_upgrade():
            named = {name: value.decode("latin-1") for name, value in self.headers}
            if named.get(b"content-length", "0").strip("0") or b"transfer-encoding" in named:
                self._fault = Refusal(400, "bad_handshake", "An upgrade request has no body.")

    def on_message_complete(self) -> None:
        """Stop the clock."""
        self._deadline.clear()
        if self._listed_bytes <= MAX_HEAD and not self.is_read_anew():
            self.scope["extensions"][WHOLE] = True  # type: ignore[assignment]  # ours is no table
            super().on_message_complete()

    def is_read_anew(self) -> bool:
        """Whether this head asks for an upgrade that is not spoken here: it will be read again, without it."""
        return bool(self.parser.should_upgrade()) and not self._should_upgrade()
