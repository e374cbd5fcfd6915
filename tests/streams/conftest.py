import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from oddswire.auth.identity import Identity
from oddswire.errors import Refused
from oddswire.events import BalanceUpdate
from oddswire.store.base import Tx
from oddswire.store.sqlite import CORE, SqliteStore
from oddswire.streams import log
from oddswire.streams.connection import Connection, Node
from oddswire.streams.countdown import Absent
from oddswire.streams.disconnects import Disconnects, spend
from oddswire.streams.hub import Hub
from oddswire.streams.roster import Caps, Roster
from oddswire.streams.wakes import Wakes
from oddswire.wire.session import Asked

APP = "app"
T = TypeVar("T")


class HandClock:
    """A clock set by hand."""

    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def now(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1000


class FakeSocket:
    """Stands for the transport alone: what was sent, and a reader that may stop reading."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.pings = 0
        self.closed: tuple[int, dict[str, Any]] | None = None
        self.paused = False
        self.stuck = False
        self.queued = 0
        self.sent_bytes = 0

    def send(self, frame: bytes) -> bool:
        return self.send_many((frame,))

    def send_many(self, frames: Sequence[bytes]) -> bool:
        if self.closed is not None:
            return False
        self.frames += frames
        size = sum(map(len, frames))
        if self.stuck:
            self.queued += size
        else:
            self.sent_bytes += size
        return not self.queued

    def ping(self) -> None:
        self.pings += 1

    def close(self, code: int, reason: bytes) -> None:
        if self.closed is None:
            self.closed = code, msgspec.json.decode(reason)

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def said(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(frame) for frame in self.frames]

    def listens(self) -> bool:
        return not self.paused

    def ended(self) -> bool:
        return self.closed is not None

    def kinds(self) -> list[str]:
        return [frame["type"] for frame in self.said()]

    def seqs(self) -> list[int]:
        """The events' numbers, in the order they were sent."""
        return [frame["seq"] for frame in self.said() if frame["type"] == "balance_update"]


@dataclass
class Line:
    """A connection and its socket."""

    connection: Connection
    socket: FakeSocket

    def text(self, **frame: Any) -> None:
        self.connection.text(msgspec.json.encode(frame))

    def drain(self) -> None:
        self.socket.stuck, self.socket.sent_bytes = False, self.socket.sent_bytes + self.socket.queued
        self.socket.queued = 0
        self.connection.drained()


@dataclass
class World:
    """A node on a real database; a token is `user:session:life in ms`, or the code it is refused with."""

    store: SqliteStore
    clock: HandClock
    node: Node
    absent: list[Absent]
    tokens: list[str] = field(default_factory=list)

    def connect(self, token: str | None = None, *, address: str = "127.0.0.1", **asked: Any) -> Line:
        line = Line(Connection(self.node, app_id=APP, address=address, token=token, asked=Asked(**asked)), FakeSocket())
        line.connection.opened(line.socket)
        return line

    async def signed_in(self, token: str, **asked: Any) -> Line:
        line = self.connect(token, **asked)
        await until(lambda: line.socket.frames)
        assert line.socket.kinds()[0] == "connected"
        return line

    async def append(self, user: str = "ann", count: int = 1, app: str = APP, size: int = 1) -> None:
        await self.store.write(lambda tx: append(tx, self.store.history_id, app, user, count, self.clock.now(), size))

    async def epoch(self, user: str = "ann") -> str:
        line = await self.signed_in(f"{user}:probe:60000000")
        line.connection.closed(1000)
        return str(line.socket.said()[0]["epoch"])

    def pass_time(self, ms: int) -> None:
        self.clock.ms += ms
        while self.node.wakes.wake_due():
            pass


def append(tx: Tx, history: str, app: str, user: str, count: int, now: int, size: int) -> None:
    stream = log.open_stream(tx, app, user, now)
    news = [
        BalanceUpdate(
            venue="v" * size,
            timestamp=now,
            seq=stream.head + number,
            trading_balance_cents=1,
            wallet_balance_cents=1,
            trading_balance_raw="1",
            wallet_balance_raw="1",
            reason="deposit",
        )
        for number in range(1, count + 1)
    ]
    log.append(tx, history, stream, news)


class SlowHead:
    """Holds back what the second read of a join has found: the stream's head."""

    def __init__(self, store: SqliteStore) -> None:
        self._read = store.read
        self.reads = 0
        self.go_on = asyncio.Event()
        store.read = self.read  # type: ignore[method-assign]

    async def read(self, unit: Callable[[Tx], T]) -> T:
        found = await self._read(unit)
        self.reads += 1
        if self.reads == 2:
            await self.go_on.wait()
        return found


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        await asyncio.sleep(0.001)


async def cancel_nothing(store: SqliteStore, absent: list[Absent], who: Absent) -> int | None:
    """Stands for the desk: takes the wish of a session without any order, and notes whose it was."""
    if not await store.write(lambda tx: spend(tx, who)):
        return None
    absent.append(who)
    return 0


async def verify(clock: HandClock, token: str, app_id: str, address: str, asking: Callable[[], None]) -> Identity:
    await asyncio.sleep(0)
    user, _, rest = token.partition(":")
    if user == "late":
        asking()
        await asyncio.sleep(3600)
    if not rest:
        raise Refused(token, "the token is not good")
    session, _, life = rest.partition(":")
    return Identity(APP, user, session, clock.now(), clock.now() + int(life))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    store = await SqliteStore.open(tmp_path / "oddswire.db", [CORE], exclusive=True)
    clock = HandClock()
    hub = Hub(store, clock, poll_seconds=3600)
    hub.start()
    roster = Roster(Caps(user=3, address=2), lambda: 0.5)
    absent: list[Absent] = []
    cancel = partial(cancel_nothing, store, absent)
    disconnects = Disconnects(store, clock, cancel)
    node = Node(hub, roster, Wakes(clock), clock, disconnects, partial(verify, clock), lambda: 0.5)
    yield World(store, clock, node, absent)
    await hub.stop()
    await store.close()
