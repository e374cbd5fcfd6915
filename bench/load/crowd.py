"""A crowd of sockets that counts the events it receives."""

import asyncio
import time
from pathlib import Path
from typing import Any, Literal

from bench.load.reconnect import Return, cursors_of
from bench.load.sockets import Client, connect, upgrade_request

Kind = Literal["plain", "gateway", "socketio"]
"""What is said around events: nothing; a `connected` and heartbeats; or Socket.IO's own packets."""
AT_ONCE = 100
"""How many handshakes are under way at most while a crowd gathers."""


class Crowd:
    """Sockets of one server. All commands of a load process are about its one crowd."""

    def __init__(self) -> None:
        self.clients: list[Client] = []
        self.events = 0
        self.greeted = 0
        self._wanted = 0
        self._left_at: list[tuple[int, str]] = []
        self._enough: asyncio.Future[None] | None = None
        self._all_greeted = asyncio.Event()

    async def gather(
        self, port: int, kind: Kind, path: str, count: int, tokens: str | None = None, each: int = 1
    ) -> dict[str, float]:
        """Connect so many more, `each` sockets a token; return how long it took until all were greeted."""
        started, cpu = time.perf_counter(), time.process_time()
        known = Path(tokens).read_text().split() if tokens else []
        heard = {"plain": self._plain, "gateway": self._gateway, "socketio": self._socketio}[kind]
        gate, base = asyncio.Semaphore(AT_ONCE), len(self.clients)

        async def one(number: int) -> None:
            upgrade = upgrade_request(path, port, known[number // each] if known else None)
            async with gate:
                self.clients.append(await connect(port, upgrade, heard, number, number))

        await asyncio.gather(*(one(number) for number in range(base, base + count)))
        while kind != "plain" and self.greeted < len(self.clients):
            self._all_greeted.clear()
            await asyncio.wait_for(self._all_greeted.wait(), 30)
        took = time.perf_counter() - started
        return {"seconds": took, "load_share": (time.process_time() - cpu) / took}

    def _plain(self, client: Client, data: bytes, begin: int, after: int) -> None:  # noqa: ARG002
        self._count()

    def _gateway(self, client: Client, data: bytes, begin: int, after: int) -> None:
        # {"type":"order_submitted" …: the one kind of event that is pushed here begins with an `o`
        if data[begin + 9] == 0x6F:
            self._count()
        elif not client.first:
            client.first = data[begin:after]
            self._greet()

    def _socketio(self, client: Client, data: bytes, begin: int, after: int) -> None:
        if after - begin > 2 and data[begin + 1] == 0x32:  # 42[…
            self._count()
        elif data[begin] == 0x30:  # 0{…: the transport is open, now ask for the namespace
            client.say(b"40")
        elif data[begin] == 0x32:  # 2: a ping
            client.say(b"3")
        else:
            self._greet()

    def _greet(self) -> None:
        self.greeted += 1
        self._all_greeted.set()

    def _count(self) -> None:
        self.events += 1
        if self.events == self._wanted and self._enough is not None:
            self._enough.set_result(None)

    def expect(self, events: int) -> None:
        """Begin to count anew, up to so many."""
        self.events, self._wanted = 0, events
        self._enough = asyncio.get_running_loop().create_future()

    async def received(self, seconds: float = 60) -> None:
        """Wait until what is expected has come."""
        if self._enough is None:
            raise RuntimeError("nothing is expected")
        try:
            await asyncio.wait_for(asyncio.shield(self._enough), seconds)
        except TimeoutError:
            gone = await self.closed()
            raise RuntimeError(f"{self.events} of {self._wanted} events came; {len(gone)} closed: {gone[:3]}") from None

    async def stall(self) -> int:
        """Let one socket read nothing any more; return whose."""
        self.clients[0].transport.pause_reading()
        return self.clients[0].key

    async def come_back(self, port: int, tokens: str, missed: int) -> dict[str, Any]:
        """Connect everybody again at once, from where each was when the crowd gathered."""
        back = Return(port, tokens, self._left_at, missed)
        found = await back.at_once()
        self.clients = back.clients
        if back.not_resumed:
            raise RuntimeError(f"{back.not_resumed} were not resumed")
        return found

    async def closed(self) -> list[str]:
        """Return why sockets have been closed, of those that have."""
        return [client.closed_with for client in self.clients if client.closed_with is not None]

    async def leave(self) -> None:
        """End every socket at once, without a word."""
        self._left_at = cursors_of(self.clients) if self.greeted and self.clients[0].first else []
        for client in self.clients:
            client.transport.abort()
        self.clients, self.greeted = [], 0
        await asyncio.sleep(0)
