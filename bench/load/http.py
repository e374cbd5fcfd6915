"""HTTP/1.1 keep-alive in as little code as it takes: requests are bytes made beforehand, answers are cut by length."""

import asyncio
from collections.abc import Callable
from typing import Any

from bench.load.sockets import source_of

Answered = Callable[["Caller", int, bytes], None]
"""Takes the status and body of an answer; it may send the next request."""


class Caller(asyncio.Protocol):
    """One connection, one request at a time."""

    __slots__ = ("_answered", "_rest", "sent_at", "token", "transport")

    def __init__(self, token: str, answered: Answered) -> None:
        self.token = token
        self._answered = answered
        self._rest = b""
        self.sent_at = 0.0
        self.transport: asyncio.Transport

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        head_ends = data.find(b"\r\n\r\n")
        if head_ends >= 0:
            head = data[:head_ends].lower()
            at = head.find(b"content-length:")
            ends = head_ends + 4
            if at >= 0:
                line = head.find(b"\r", at)
                ends += int(head[at + 15 : line if line >= 0 else head_ends])
            elif head[9:12] not in (b"204", b"304"):
                raise ValueError(f"an answer without a length: {data[:200]!r}")
            if len(data) >= ends:
                self._rest = b""
                self._answered(self, int(data[9:12]), data[head_ends + 4 : ends])
                return
        self._rest = data

    def connection_lost(self, exc: Exception | None) -> None:
        self._answered(self, 0, str(exc).encode())


async def call(port: int, token: str, answered: Answered, number: int) -> Caller:
    """Return an open connection."""
    caller = Caller(token, answered)
    address = (source_of(port, number), 0)
    await asyncio.get_running_loop().create_connection(lambda: caller, "127.0.0.1", port, local_addr=address)
    return caller


def request(method: str, path: str, port: int, headers: dict[str, str], body: bytes) -> bytes:
    """Return the bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", f"host: 127.0.0.1:{port}", *(f"{name}: {of}" for name, of in headers.items())]
    lines += ["content-type: application/json", f"content-length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body
