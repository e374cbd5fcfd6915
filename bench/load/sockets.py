"""WebSocket clients with next to nothing in them: one handshake, then frames are found and counted."""

import asyncio
import base64
import hashlib
import json
import socket
import struct
from collections.abc import Callable
from typing import Any

KEY = b"b2Rkc3dpcmUtYmVuY2gtMQ=="
ACCEPT = base64.b64encode(hashlib.sha1(KEY + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
TEXT, CLOSE, PING, PONG = 0x81, 0x88, 0x89, 0x8A
RESET = struct.pack("ii", 1, 0)
"""Linger for no time at all: an aborted socket is reset, and does not keep its port for another minute."""
MASKED = b"\0\0\0\0"
"""The mask of what we send: it changes nothing, so that nothing has to be masked."""

Heard = Callable[["Client", bytes, int, int], None]
"""Takes a text frame: the buffer it is in, and from where to where."""


class Client(asyncio.Protocol):
    """One socket; `heard` is called with each text frame, `ended` with why once it is over."""

    __slots__ = ("_rest", "_upgrade", "closed_with", "first", "heard", "key", "opened", "transport")

    def __init__(self, upgrade: bytes, heard: Heard, key: int, opened: "asyncio.Future[None]") -> None:
        self._upgrade = upgrade
        self._rest = b""
        self.heard = heard
        self.key = key
        """Whose socket it is, for `heard`."""
        self.opened: asyncio.Future[None] | None = opened
        """Done once the 101 has come; then None."""
        self.first = b""
        self.closed_with: str | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self._upgrade)
        self._upgrade = b""

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
            self._rest = b""
        if self.opened is not None:
            data = self._shaken(data)
        at, end = 0, len(data)
        while end - at >= 2:
            length, begin = data[at + 1], at + 2
            if length == 126:
                if end - at < 4:
                    break
                length, begin = data[at + 2] << 8 | data[at + 3], at + 4
            elif length == 127:
                if end - at < 10:
                    break
                length, begin = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
            after = begin + length
            if after > end:
                break
            if data[at] == TEXT:
                self.heard(self, data, begin, after)
            else:
                self._control(data[at], data[begin:after])
            at = after
        if at < end:
            self._rest = data[at:]

    def _shaken(self, data: bytes) -> bytes:
        """Return what came behind the answer to the upgrade, if all of that is here."""
        head, found, rest = data.partition(b"\r\n\r\n")
        if not found:
            self._rest = data
            return b""
        opened, self.opened = self.opened, None
        if opened is None or opened.done():
            return rest
        if head.startswith(b"HTTP/1.1 101 ") and ACCEPT in head:
            opened.set_result(None)
            return rest
        opened.set_exception(ConnectionError(data[:300].decode(errors="replace")))
        return b""

    def _control(self, kind: int, payload: bytes) -> None:
        if kind == PING:
            self.transport.write(bytes((PONG, 0x80 | len(payload))) + MASKED + payload)
        elif kind == CLOSE:
            self.closed_with = payload[:2].hex() + payload[2:].decode(errors="replace")
            self.transport.abort()
        elif kind != PONG:
            raise ValueError(f"a frame this load does not know: {kind:#x}")

    def connection_lost(self, exc: Exception | None) -> None:
        if self.closed_with is None:
            self.closed_with = str(exc)
        if self.opened is not None and not self.opened.done():
            self.opened.set_exception(exc or ConnectionError("closed before the 101"))

    def say(self, text: bytes) -> None:
        """Send a short text frame (under 126 bytes)."""
        self.transport.write(bytes((TEXT, 0x80 | len(text))) + MASKED + text)


def upgrade_request(path: str, port: int, token: str | None = None) -> bytes:
    """Return the bytes that ask for a WebSocket."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {KEY.decode()}",
        "Sec-WebSocket-Version: 13",
    ]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    return "\r\n".join([*lines, "", ""]).encode()


def source_of(port: int, number: int) -> str:
    """Return the loopback address that a socket to that server's port comes from.

    One address has some 28,000 ports, and finding a free one takes the kernel the longer the fewer there are.
    """
    return f"127.{port >> 8}.{port & 255}.{2 + number // 4000}"


async def connect(port: int, upgrade: bytes, heard: Heard, key: int, number: int) -> Client:
    """Return a client whose 101 has come."""
    loop = asyncio.get_running_loop()
    opened = loop.create_future()
    client = Client(upgrade, heard, key, opened)
    address = (source_of(port, number), 0)
    transport, _ = await loop.create_connection(lambda: client, "127.0.0.1", port, local_addr=address)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    await opened
    return client


def connected_at(frame: bytes) -> tuple[int, str]:
    """Return `seq` and `epoch` of a `connected` frame."""
    said = json.loads(frame)
    return int(said["seq"]), str(said["epoch"])
