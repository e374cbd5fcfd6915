"""HTTP as the gate lets it in: a stopped call is answered here, without a task, a request object or a route."""

import asyncio
import re
from typing import ClassVar, Final
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from oddswire.server.gate import Gate
from oddswire.server.http_protocol import REQUEST_DEADLINE, GatewayHttp, response
from oddswire.server.websocket import Refusal, Turnstile, refusal_body

UNREAD: Final = 64 * 1024
"""Bytes of answers that a client has not read: who sends on all the same is cut off."""
TWO_ORIGINS: Final = Refusal(400, "invalid_http", "The request has more than one `Origin`.")
"""What looks at the origin must not see another one than what decides by it."""
MOST_WAITING: Final = 8
"""Requests that one connection may send ahead of an earlier one's answer; who sends more is cut off after them.

One read may hold a thousand: to answer them all would keep everybody else waiting.
"""
_SLASHES: Final = re.compile("//+")


class GatedHttp(GatewayHttp):
    """`GatewayHttp` that has every head looked at first; the client's address is the gate's, for all that follows."""

    gate: ClassVar[Gate]
    turnstile: ClassVar[Turnstile]
    _stop: Refusal | None = None
    _stopped_ahead = 0
    _is_new = True
    _waits = False

    def data_received(self, data: bytes) -> None:
        """Hear what has arrived: of stopped calls that came at once only the first few are answered.

        The first bytes of a connection are heard when it is their turn.
        """
        if self._is_new:
            self._is_new = False
            if not self.turnstile.enter(lambda: self._begin(data)):
                self._waits = True
                self.transport.pause_reading()
            return
        self._stopped_ahead = 0
        super().data_received(data)

    def _begin(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._waits:
            self.transport.resume_reading()
        self.data_received(data)

    def on_message_begin(self) -> None:
        """Begin with a request, unless nothing more is heard on this connection."""
        if not self._deaf:
            super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take its target."""
        if not self._deaf:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one of its headers."""
        if not self._deaf:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Let the call in, or remember why not until its body has passed by."""
        if self._deaf:
            return
        if self.is_read_anew():
            super().on_headers_complete()
            return
        if len(self.pipeline) >= MOST_WAITING:
            self._end_with(self.pipeline[0][0])
            return
        peer = self.client[0] if self.client else ""
        address = self.gate.client(peer, self.headers)
        if address != peer:
            self.scope["client"] = (address, 0)
        url = httptools.parse_url(self.url)
        method, path = self.parser.get_method(), _path(url.path or b"/")
        stop = self.gate.stop(address, method, path, url.query or b"", self.headers)
        if stop is None and sum(name == b"origin" for name, _ in self.headers) > 1:
            self.gate.refused(address)
            stop = TWO_ORIGINS
        if stop is None:
            super().on_headers_complete()
            return
        self._in_head = False
        self._deadline.set(REQUEST_DEADLINE)
        self._stop = stop
        earlier: RequestResponseCycle | None = self.cycle
        if earlier is not None and not earlier.response_complete:
            self._end_with(self.pipeline[0][0] if self.pipeline else earlier)
        elif self.expect_100_continue:
            self._answer(stop, keep=False)

    def on_body(self, body: bytes) -> None:
        """Drop what belongs to a stopped call."""
        if self._stop is None and not self._deaf:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Answer a stopped call."""
        if self._deaf:
            return
        if self._stop is None:
            super().on_message_complete()
        else:
            self._stopped_ahead += 1
            ahead = self._stopped_ahead > MOST_WAITING
            self._answer(
                self._stop, keep=not ahead and not self.parser.should_upgrade() and self.parser.should_keep_alive()
            )

    def _end_with(self, last: RequestResponseCycle) -> None:
        """Let an earlier request of this connection, which is not answered yet, be the last one here."""
        last.keep_alive = False
        self._deaf = True
        self._in_head = False
        self._deadline.clear()

    def _answer(self, stop: Refusal, *, keep: bool) -> None:
        self._stop = None
        self._deadline.clear()
        answer = response(stop, close=not keep)
        if self.parser.get_method() == b"HEAD":
            answer = answer[: -len(refusal_body(stop))]
        self.transport.write(answer)
        if not keep:
            self._deaf = True
            self.transport.close()
        elif self.transport.get_write_buffer_size() > UNREAD:
            self._deaf = True
            self.transport.abort()
        else:
            self._deadline.set(self.timeout_keep_alive)


def gated_http(gate: Gate) -> type[GatedHttp]:
    """Return the class for `server_for`, on the running loop, that asks `gate` about every head."""
    turnstile = Turnstile(asyncio.get_running_loop().call_soon)
    return type("Gated", (GatedHttp,), {"gate": gate, "turnstile": turnstile})


def _path(raw: bytes) -> str:
    """Return a path as routing understands it, whichever way it is written."""
    path = raw.decode("latin-1")
    if "%" in path:
        path = unquote(path)
    if "//" in path:
        path = _SLASHES.sub("/", path)
    return path.rstrip("/") or "/"
