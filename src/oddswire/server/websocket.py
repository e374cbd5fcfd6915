"""The seam between a WebSocket on the wire and what the rest of the server says on it; knows no library.

A transport (see `picows_protocol`) asks `Accept` about each upgrade, then drives one `Conversation` a socket.
Everything here runs on the loop's thread; every callback is synchronous and never re-entered from `Socket.send`.
"""

import base64
import binascii
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import parse_qsl

import msgspec

from oddswire.errors import CODES
from oddswire.streams.socket import Socket

PATH = "/ws"
MAX_MESSAGE = 16 * 1024
"""Bytes of one message after joining its fragments."""
SEND_BUFFER = 64 * 1024
"""What the kernel may book for a reader that stopped, its bookkeeping included; its default would swallow megabytes."""
CLOSE_DEADLINE = 5.0
"""Seconds from our close frame (or refusal) to the end of the TCP connection, whatever the peer does."""
MAX_QUERY_FIELDS = 32


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Who asks for a WebSocket, and how. Query and headers hold tokens, so they are left out of `repr`."""

    path: str
    query: Mapping[str, str] = field(repr=False)
    """Decoded; of a name given twice the first value."""
    headers: Mapping[str, str] = field(repr=False)
    """Lower-case names; of a name given twice the values joined by `, `."""
    client: str
    """The client's IP address: the peer's, or what a trusted proxy says."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A no before the 101, answered as `application/problem+json`; `code` is one of `errors.CODES`."""

    status: int
    code: str
    detail: str
    headers: tuple[tuple[str, str], ...] = ()


class Conversation(Protocol):
    """One socket's conversation, written by us.

    A conversation that `Accept` returned gets `closed` exactly once, even if the client left before `opened`.
    An exception from a callback is logged and closes the socket with 4200.
    """

    def opened(self, socket: Socket) -> None:
        """Take the socket: the 101 has been written, frames may be sent from now on."""
        ...

    def text(self, message: bytes) -> None:
        """Take one whole text message: fragments joined, valid UTF-8, at most `MAX_MESSAGE` bytes."""
        ...

    def pong(self) -> None:
        """Notice a pong, asked for or not."""
        ...

    def drained(self) -> None:
        """Notice that nothing is queued any more after a `send` that returned False."""
        ...

    def closed(self, code: int) -> None:
        """Notice the end: the code of the first close frame of either side, 1005 without one in it, 1006 without."""
        ...


Accept = Callable[[Upgrade], Awaitable[Refusal | Conversation]]
"""Decides an upgrade. Must end by itself; it is cancelled when the client leaves or sends anything meanwhile."""


class Turnstile:
    """Lets at most `at_once` newcomers through in one turn of the loop, so that a storm of them delays nobody long.

    The loop reads from all who have sent something in one turn: two thousand first requests are a fifth of a second.
    """

    def __init__(self, call_soon: Callable[[Callable[[], None]], object], at_once: int = 8) -> None:
        self._call_soon = call_soon
        self._at_once = at_once
        self._passed = 0
        self._waiting: deque[Callable[[], None]] = deque()

    def enter(self, start: Callable[[], None]) -> bool:
        """Call `start` at once, or in a coming turn in the order of entering; return whether it was called."""
        if self._passed == self._at_once:
            self._waiting.append(start)
            return False
        if self._passed == 0:
            self._call_soon(self._turn)
        self._passed += 1
        start()
        return True

    def _turn(self) -> None:
        self._passed = min(len(self._waiting), self._at_once)
        if self._passed:
            self._call_soon(self._turn)
        for _ in range(self._passed):
            self._waiting.popleft()()


class _Problem(msgspec.Struct):
    type: str
    title: str
    status: int
    detail: str
    code: str
    message: str
    action: str


def refusal_body(refusal: Refusal) -> bytes:
    """Return a refusal as RFC 9457 JSON."""
    meaning, detail = CODES[refusal.code], refusal.detail
    return msgspec.json.encode(
        _Problem("about:blank", meaning.title, refusal.status, detail, refusal.code, detail, meaning.action)
    )


def handshake_fault(method: str, http_version: str, path: str, headers: Mapping[str, str]) -> Refusal | None:
    """Return what is wrong with an upgrade request's head (RFC 6455, 4.2.1), or None. Never echoes a value."""
    if path != PATH:
        return Refusal(404, "not_found", f"WebSockets are served at {PATH} only.")
    if method != "GET":
        return Refusal(400, "bad_handshake", "An upgrade is a GET request.")
    if http_version != "1.1":
        return Refusal(400, "bad_handshake", "An upgrade needs HTTP/1.1.")
    if headers.get("content-length", "0").strip("0") or "transfer-encoding" in headers:
        return Refusal(400, "bad_handshake", "An upgrade request has no body.")
    if headers.get("sec-websocket-version") != "13":
        detail = "Only WebSocket version 13 is spoken here."
        return Refusal(426, "upgrade_required", detail, (("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")))
    try:
        key = base64.b64decode(headers.get("sec-websocket-key", ""), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 16:
        return Refusal(400, "bad_handshake", "`Sec-WebSocket-Key` is missing or not 16 bytes in base64.")
    return None


def parsed_query(query: str) -> dict[str, str]:
    """Return the query's fields, the first of a name given twice; ValueError if there are more than 32."""
    fields = parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS)
    return dict(reversed(fields))


def text_header(length: int) -> bytes:
    """Return the header of an unfragmented, unmasked text frame of `length` bytes."""
    if length < 126:
        return bytes((0x81, length))
    if length < 65536:
        return b"\x81\x7e" + length.to_bytes(2, "big")
    return b"\x81\x7f" + length.to_bytes(8, "big")


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a bound TCP socket for `Server.serve(sockets=[...])` whose connections inherit `SEND_BUFFER`.

    Port 0 takes a free one. Raises OSError that names the address when it cannot be used.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise OSError(error.errno, f"cannot listen on {host}: {error.strerror}") from error
    listener = socket.socket(family, kind, proto)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Linux books twice what it is asked for
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER // 2)
        listener.setblocking(False)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"cannot listen on {host} port {port}: {error.strerror}") from error
    return listener
