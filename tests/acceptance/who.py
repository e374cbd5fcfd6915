"""A gateway without a network: its real parts on a clock set by hand, and clients that judge each frame when written.

A client knows which tokens it has sent and what they prove. It notes in `World.faults` whatever is written that the one
who is signed in at that very moment must not see.
"""

import asyncio
import json
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from unittest.mock import patch

from oddswire.auth import apps, tokens
from oddswire.server import app as server_app
from oddswire.server.app import Gateway
from oddswire.server.http_protocol import ABORT
from oddswire.server.websocket import Refusal, Upgrade
from oddswire.store.base import Tx
from oddswire.store.sqlite import CORE, SqliteStore
from oddswire.streams import log
from oddswire.streams.connection import Connection, RefusedConnection
from oddswire.testing.gateway import UNLIMITED
from oddswire.venues import paper
from tests.acceptance.tape import BAD, Told, event_of
from tests.streams.conftest import FakeSocket, HandClock

T = TypeVar("T")
LEAVE_SECONDS = 5
KEY_AGE_MS = 20_000
"""How old the signing key is: no token can be older."""
APPS = ("a", "b")
USERS = ("ann", "bob")


class Pass(NamedTuple):
    """A token and what it proves; `user` None: nothing, by its signature."""

    text: str
    app: str
    user: str | None
    session: str
    expires_at: int


NOBODY = Pass(BAD, "", None, "", 0)


@dataclass
class World:
    """The gateway, what has been revoked for certain, and what was found wrong."""

    gateway: Gateway
    clock: HandClock
    faults: list[str] = field(default_factory=list)
    revoked: set[str] = field(default_factory=set)
    off: set[str] = field(default_factory=set)
    live: list[tuple[str, str, str]] = field(default_factory=list)
    dead: list[tuple[str, str, str]] = field(default_factory=list)
    clients: list["Client"] = field(default_factory=list)
    events: int = 0

    async def sign_in(self, app: str, user: str) -> None:
        """Begin a session."""
        signed = await self.gateway.authority.sign_in(app, user)
        who = self.gateway.authority.verify_token(signed.access_token, app)
        self.live.append((app, user, who.session_id))

    def end(self, *those: tuple[str, str, str]) -> None:
        """These are about to be ended: their tokens are good until they have been."""
        self.live = [one for one in self.live if one not in those]
        self.dead += those

    def token(self, of: tuple[str, str, str], seconds: int) -> Pass:
        """Sign a token that lives so long, or up to a second less; 0 or less: it has ended."""
        app, user, session = of
        ends = self.clock.ms // 1000 + seconds
        issued_at = min(self.clock.ms // 1000, ends - 1)
        text = tokens.issue(self.gateway.authority._keys, app, user, session, issued_at, ends - issued_at).token
        return Pass(text, app, user, session, ends * 1000)

    async def commit(self, app: str, user: str, count: int) -> None:
        """Commit events that say whose they are."""
        history = self.gateway.store.history_id

        def unit(tx: Tx) -> None:
            stream = log.open_stream(tx, app, user, self.clock.ms)
            now = max(self.clock.ms, stream.last_timestamp)
            log.append(tx, history, stream, [event_of(f"{app} {user}", stream.head + n + 1, now) for n in range(count)])

        await self.gateway.store.write(unit)
        self.events += count

    async def head(self, app: str, user: str) -> int:
        stream = await self.gateway.store.read(lambda tx: log.find(tx, app, user))
        return 0 if stream is None else stream.head

    def wake(self) -> None:
        """Have everything done that is due."""
        while self.gateway.wakes.wake_due():
            pass

    def have_ended(self, *those: tuple[str, str, str]) -> None:
        """These are revoked for certain: no socket of one of them is open."""
        self.revoked |= {session for _, _, session in those}
        for client in self.clients:
            if isinstance(client, Screen) and not client.is_over and not client.sent and client.is_revoked:
                self.faults.append(f"{client.taken} is still connected")


class Client:
    """Judges what is written to one client: `taken` is the token it goes by, `sent` are those not answered yet."""

    def __init__(self, world: World, app: str, *sent: Pass) -> None:
        self.world = world
        self.app = app
        self.taken: Pass | None = None
        self.sent = deque((one, world.clock.ms) for one in sent)
        self.cursor = -1
        self.is_over = False
        self.switches = 0
        world.clients.append(self)

    @property
    def is_revoked(self) -> bool:
        """Whether the session it goes by has been ended for certain."""
        return self.taken is not None and self.taken.session in self.world.revoked

    def judge(self, said: Told) -> None:
        """Look at a frame in the moment it is written."""
        match said["type"]:
            case "connected" | "authenticated" if "userId" in said:
                self._judge_greeting(said)
            case "error" if self.sent:
                token, _ = self.sent.popleft()
                ended = (token.app, token.user, token.session) in self.world.dead or token.app in self.world.off
                good = token.user is not None and token.app == self.app and token.expires_at > self.world.clock.ms
                self._unless(not good or ended, said, f"it refuses {token}")
            case "balance_update":
                self._judge_event(said)

    def _judge_greeting(self, said: Told) -> None:
        token, at = self.sent.popleft()
        self._unless(said["userId"] == token.user, said, f"it answers {token}")
        self._unless(token.app == self.app, said, "a token of another app was taken")
        self._unless(token.expires_at > at, said, "a token that had ended was taken")
        self._unless(token.session not in self.world.revoked, said, "a session that has ended was greeted")
        same = self.taken is not None and self.taken.user == token.user
        self._unless(not same or said["seq"] == self.cursor, said, f"the cursor was {self.cursor}")
        self.switches += self.taken is not None and not same
        self.taken, self.cursor = token, said["seq"]

    def _judge_event(self, said: Told) -> None:
        token, now = self.taken, self.world.clock.ms
        if token is None or self.is_over:
            self._unless(False, said, "nobody is signed in")
            return
        self._unless(said["venue"] in (f"{self.app} {token.user}", "paper"), said, f"it is told to {token.user}")
        self._unless(said["seq"] == self.cursor + 1, said, f"the cursor was {self.cursor}")
        self._unless(now < token.expires_at, said, f"the token ended {now - token.expires_at} ms ago")
        # a token that is being looked at may have moved the connection on to another session already
        self._unless(not self.is_revoked or bool(self.sent), said, "the session has ended")
        self.cursor = said["seq"]

    def _unless(self, fine: bool, said: Told, why: str) -> None:
        if not fine:
            self.world.faults.append(f"{why}: {said}")


class Screen(FakeSocket, Client):
    """A WebSocket's client: it may stop reading, and sends tokens whenever it likes."""

    def __init__(self, world: World, app: str, *sent: Pass) -> None:
        FakeSocket.__init__(self)
        Client.__init__(self, world, app, *sent)
        self.connection: Connection
        self._inbox: deque[bytes] = deque()

    @classmethod
    async def open(cls, world: World, app: str, token: Pass | None) -> "Screen | None":
        """Connect; None where the upgrade is refused, which only an app that is off explains."""
        headers = {} if token is None else {"authorization": f"Bearer {token.text}"}
        verdict = await world.gateway.acceptor.accept(Upgrade("/ws", {"appId": app}, headers, "127.0.0.1"))
        if isinstance(verdict, Refusal | RefusedConnection):
            if app not in world.off:
                world.faults.append(f"app {app} was refused")
            return None
        assert isinstance(verdict, Connection)
        screen = cls(world, app, *([] if token is None else [token]))
        screen.connection = verdict
        verdict.opened(screen)
        return screen

    def authenticate(self, token: Pass) -> None:
        """Send a token."""
        if self.is_over:
            return
        self.sent.append((token, self.world.clock.ms))
        self._inbox.append(json.dumps({"action": "authenticate", "token": token.text}).encode())
        self._deliver()

    def _deliver(self) -> None:
        while self._inbox and not self.paused and not self.is_over:
            self.connection.text(self._inbox.popleft())

    def send_many(self, frames: Sequence[bytes]) -> bool:
        """Take frames, each judged now."""
        if self.closed is None:
            for frame in frames:
                self.judge(json.loads(frame))
        return super().send_many(frames)

    def ping(self) -> None:
        """Answer in a moment."""
        asyncio.get_running_loop().call_soon(self.connection.pong)

    def close(self, code: int, reason: bytes) -> None:
        """End; the connection is told in a moment."""
        if self.closed is None:
            super().close(code, reason)
            self.is_over = True
            asyncio.get_running_loop().call_soon(self.connection.closed, code)

    def hang_up(self) -> None:
        """Leave."""
        if not self.is_over:
            self.is_over, self.closed = True, (1006, {})
            self.connection.closed(1006)

    def resume_reading(self) -> None:
        """Hand over what has been kept, in a moment."""
        super().resume_reading()
        asyncio.get_running_loop().call_soon(self._deliver)

    def read_on(self) -> None:
        """Read all that waits, and go on."""
        if self.stuck and not self.is_over:
            self.stuck, self.queued = False, 0
            self.connection.drained()


class Reader(Client):
    """A client of the stream over HTTP; it may stop reading too."""

    def __init__(self, world: World, app: str, token: Pass) -> None:
        super().__init__(world, app, token)
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.last = ""
        self.status = 0
        self._leave = asyncio.Event()
        self.task = asyncio.create_task(self._follow(token))

    async def _follow(self, token: Pass) -> None:
        scope: Any = {
            **{"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http"},
            **{"path": "/trading/events/stream", "raw_path": b"/trading/events/stream", "query_string": b""},
            **{"root_path": "", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 1), "extensions": {ABORT: str}},
            "headers": [(b"x-app-id", self.app.encode()), (b"authorization", f"Bearer {token.text}".encode())],
        }
        await self.world.gateway.front(scope, self._receive, self._send)
        self.is_over = True

    async def _receive(self) -> Any:
        await self._leave.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.status = message.get("status", self.status)
        if self.status == 200:
            for block in message.get("body", b"").decode().split("\n\n"):
                fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
                self.last = fields.get("event", self.last)
                if fields.get("event", "connected") == "connected" and "data" in fields:
                    self.judge(json.loads(fields["data"]))
        await self.flowing.wait()

    def hang_up(self) -> None:
        """Leave."""
        self._leave.set()
        self.flowing.set()


def _read_slowly(store: SqliteStore, chance: random.Random) -> None:
    """Have what is read arrive late now and then, so that much happens meanwhile."""
    read = store.read

    async def slow(unit: Callable[[Tx], T]) -> T:
        found = await read(unit)
        await asyncio.sleep(chance.choice((0, 0, 0.001, 0.01)))
        return found

    store.read = slow  # type: ignore[method-assign]


@asynccontextmanager
async def world(folder: Path, chance: random.Random) -> AsyncIterator[World]:
    """Begin with two apps and a session of each user in each."""
    clock = HandClock()
    store = await SqliteStore.open(folder / "oddswire.db", (CORE, paper.SCHEMA), exclusive=True)
    _read_slowly(store, chance)
    for app in APPS:
        await store.write(lambda tx, app=app: apps.create(tx, app, (), "key", clock.ms))  # type: ignore[misc]
    with patch.object(server_app, "SystemClock", lambda: clock):
        gateway = Gateway(UNLIMITED, store)
    await gateway.start()
    gateway.phase = "ready"
    clock.ms += KEY_AGE_MS
    made = World(gateway, clock)
    for app in APPS:
        for user in USERS:
            await made.sign_in(app, user)
    try:
        yield made
    finally:
        await _all_leave(made.clients)
        await gateway.close()


async def _all_leave(clients: list[Client]) -> None:
    """Have every client hang up, and let what is under way for it end."""
    tasks: list[asyncio.Task[None]] = []
    for client in clients:
        if isinstance(client, Screen):
            client.hang_up()
            tasks += [client.connection._task] if client.connection._task else []
        elif isinstance(client, Reader):
            client.hang_up()
            tasks.append(client.task)
    await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), LEAVE_SECONDS)
