"""A flood from one address, in a process of its own: `python -m bench.attack KIND PORT RATE`, until its input ends.

It costs its own core little: whole requests are kept ready, and many are written to few connections at once; handshakes
cannot be, and take a connection each. Prints one line once it floods, and at the end what it did as JSON.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from typing import Final, cast

import uvloop

TURN_SECONDS: Final = 0.01
CONNECTIONS: Final = 20
ONCE: Final = ("connect", "handshake")
"""Floods whose every call has a connection of its own."""
FORGED: Final = "eyJhbGciOiJFZDI1NTE5Iiwia2lkIjoieCIsInR5cCI6ImF0K2p3dCJ9." + "e30" * 60 + "." + "A" * 86


def request(kind: str, number: int) -> bytes:
    """Return a bad call of its kind; each brings another secret."""
    head = f"Host: 127.0.0.1\r\nx-app-id: demo\r\nauthorization: Bearer {FORGED[:-8]}{number:08d}\r\n"
    match kind:
        case "key" | "connect":
            body = '{"userId":"eve"}'
            head = head.split("authorization")[0] + f"x-app-api-key: guess-{number}\r\nContent-Length: {len(body)}\r\n"
            return f"POST /auth/token HTTP/1.1\r\n{head}\r\n{body}".encode()
        case "refresh":
            body = f'{{"refreshToken":"owr_{number:040d}"}}'
            head = head.split("authorization")[0] + f"Content-Length: {len(body)}\r\n"
            return f"POST /auth/token/refresh HTTP/1.1\r\n{head}\r\n{body}".encode()
        case "token":
            return f"GET /trading/balance HTTP/1.1\r\n{head}\r\n".encode()
        case "nobody":
            return b"GET /trading/balance HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        case "handshake":
            head += "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            return f"GET /ws?appId=demo HTTP/1.1\r\n{head}Sec-WebSocket-Key: {'A' * 22}==\r\n\r\n".encode()
        case _:
            raise ValueError(f"no such flood: {kind}")


class Attacker(asyncio.Protocol):
    """One connection: counts answers by status; `once` ends with the first."""

    def __init__(self, seen: Counter[str], first: bytes = b"") -> None:
        self._seen = seen
        self._first = first
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, with what there is to say."""
        self.transport = cast("asyncio.Transport", transport)
        if self._first:
            self.transport.write(self._first)

    def data_received(self, data: bytes) -> None:
        """Count the answers that begin here."""
        for status in (b"429", b"400", b"401", b"403", b"101", b"503"):
            if found := data.count(b"HTTP/1.1 " + status):
                self._seen[status.decode()] += found
        if self._first and self.transport is not None:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Remember that there is none."""
        self.transport = None


class Flood:
    """So many bad calls a second, kept up by as many a turn as are due."""

    def __init__(self, kind: str, port: int, rate: float) -> None:
        self._kind = kind
        self._port = port
        self._rate = rate
        self._requests = [request(kind, number) for number in range(1000)]
        self._sent = 0
        self.seen: Counter[str] = Counter()
        self._lines: list[Attacker] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> dict[str, object]:
        """Flood until `stop`; return what was done."""
        if self._kind not in ONCE:
            self._lines = [await self._connect() for _ in range(CONNECTIONS)]
        print("flooding", flush=True)
        started, cpu = time.perf_counter(), time.process_time()
        while not stop.is_set():
            due = int((time.perf_counter() - started) * self._rate) - self._sent
            await self._send(due)
            await asyncio.sleep(TURN_SECONDS)
        took = time.perf_counter() - started
        used = (time.process_time() - cpu) / took
        return {"sent_a_second": self._sent / took, "answers": dict(self.seen), "cores": used, "seconds": took}

    async def _send(self, due: int) -> None:
        batches = [b""] * CONNECTIONS
        for _ in range(due):
            one = self._requests[self._sent % len(self._requests)]
            if self._kind in ONCE:
                task = asyncio.create_task(self._shake(one))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            else:
                batches[self._sent % CONNECTIONS] += one
            self._sent += 1
        for number, batch in enumerate(batches):
            if batch:
                transport = self._lines[number].transport
                if transport is None or transport.is_closing():
                    self._lines[number] = await self._connect()
                    self.seen["reconnects"] += 1
                    transport = self._lines[number].transport
                assert transport is not None
                transport.write(batch)

    async def _connect(self) -> Attacker:
        loop = asyncio.get_running_loop()
        _, attacker = await loop.create_connection(lambda: Attacker(self.seen), "127.0.0.1", self._port)
        return attacker

    async def _shake(self, head: bytes) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: Attacker(self.seen, head), "127.0.0.1", self._port)
        except OSError:
            self.seen["not connected"] += 1


async def attack(kind: str, port: int, rate: float) -> None:
    """Flood until standard input ends."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def read() -> None:
        if not sys.stdin.buffer.read1(1):
            loop.remove_reader(sys.stdin)
            stop.set()

    loop.add_reader(sys.stdin, read)
    print(json.dumps(await Flood(kind, port, rate).run(stop)), flush=True)


if __name__ == "__main__":
    uvloop.run(attack(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
