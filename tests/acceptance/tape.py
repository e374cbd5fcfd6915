"""A socket whose every frame is kept, and the rules that all of them must keep, whoever signed in on it when."""

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self
from unittest.mock import patch

from oddswire.auth.keys import KeyRing, KeyRow
from oddswire.auth.revocations import SESSION_PREFIX
from oddswire.auth.tokens import issue
from oddswire.events import BalanceUpdate
from oddswire.ids import new_id
from oddswire.server.app import Gateway
from oddswire.store.base import Tx
from oddswire.streams import log
from tests.acceptance.server import UNLIMITED, Server
from tests.server.sockets import CLOSE, PING, PONG, TEXT, Client, frame, upgrade

Told = dict[str, Any]
LIMITLESS = {**UNLIMITED, "ODDSWIRE_REFUSED_PER_SECOND": "100000", "ODDSWIRE_FAILED_SIGN_INS_PER_MINUTE": "100000"}
"""Settings of a gateway that lets its clients fail as often as they like."""
TURN_SECONDS = 0.01
BAD = "eyJhbGciOiJFZDI1NTE5In0.e30.nothing"


def wall() -> int:
    """The time as the server on this machine has it, in ms."""
    return time.time_ns() // 1_000_000


class Token(NamedTuple):
    """A token and what it proves; `user` None: it is not good."""

    text: str
    user: str | None
    expires_at: int


class Mint:
    """Signs tokens of any life with a gateway's own key."""

    def __init__(self, server: Server, app: str | None = None) -> None:
        self._app = app or server.app
        self._keys = KeyRing(stored_keys(server.database))

    def token(self, user: str, expires_at: int, session: str = "") -> Token:
        """Return a token that ends at the whole second `expires_at`, of a session of its own unless told which."""
        session = session or new_id(SESSION_PREFIX, wall())
        issued_at = min(wall() // 1000, expires_at - 1)
        text = issue(self._keys, self._app, user, session, issued_at, expires_at - issued_at).token
        return Token(text, user, expires_at * 1000)

    def lasting(self, user: str, seconds: int = 3600) -> Token:
        """Return a token that ends in `seconds` seconds, or up to one later."""
        return self.token(user, int(time.time()) + seconds + 1)


def stored_keys(database: Path) -> list[KeyRow]:
    connection = sqlite3.connect(database)
    try:
        rows = connection.execute(f"SELECT {', '.join(KeyRow._fields)} FROM signing_keys")
        return [KeyRow(*row) for row in rows]
    finally:
        connection.close()


@dataclass(frozen=True)
class Flood:
    """Called in a gateway's process before it serves: it then commits so many events a second for each user."""

    app: str
    users: tuple[str, ...]
    a_second: int

    def __call__(self) -> None:
        start = Gateway.start

        async def started(gateway: Gateway) -> None:
            await start(gateway)
            gateway.background.add("flood", self._run(gateway))

        patch.object(Gateway, "start", started).start()

    async def _run(self, gateway: Gateway) -> None:
        began, written = time.monotonic(), 0
        while True:
            await asyncio.sleep(TURN_SECONDS)
            owed = int((time.monotonic() - began) * self.a_second) - written
            if owed > 0:
                await gateway.store.write(partial(self._unit, history=gateway.store.history_id, count=owed))
                written += owed

    def _unit(self, tx: Tx, history: str, count: int) -> None:
        for user in self.users:
            stream = log.open_stream(tx, self.app, user, wall())
            now = max(wall(), stream.last_timestamp)
            log.append(tx, history, stream, [event_of(user, stream.head + n, now) for n in range(1, count + 1)])


def event_of(user: str, seq: int, now: int) -> BalanceUpdate:
    """Return an event that says whose it is."""
    return BalanceUpdate(
        venue=user,
        timestamp=now,
        seq=seq,
        trading_balance_cents=seq,
        wallet_balance_cents=seq,
        trading_balance_raw="1",
        wallet_balance_raw="1",
        reason="deposit",
    )


@dataclass
class Tape:
    """What was heard on one socket, each frame with the time (ms) it came; `tokens` are those sent, in order."""

    client: Client
    heard: list[Told] = field(default_factory=list)
    came: list[int] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)
    ended: tuple[int, Told] | None = None
    ended_at: float = 0.0

    @classmethod
    async def connect(cls, server: Server, token: Token | None = None, app: str | None = None) -> "Tape":
        """Open it, with a token in the header if there is one."""
        client = await Client.connect(server.port)
        brought = {} if token is None else {"Authorization": f"Bearer {token.text}"}
        await client.write(upgrade(f"/ws?appId={app or server.app}", **brought))
        status, _, body = await client.response()
        assert status == 101, body
        return cls(client, tokens=[] if token is None else [token])

    async def __aenter__(self) -> Self:
        self._news = asyncio.Event()
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reading.cancel()
        with suppress(asyncio.CancelledError):
            await self._reading
        self.client.hang_up()

    async def _read(self) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while self.ended is None:
                kind, payload = await self.client.frame(600)
                if kind == TEXT:
                    self.heard.append(json.loads(payload))
                    self.came.append(wall())
                elif kind == PING:
                    await self.client.write(frame(PONG, payload))
                elif kind == CLOSE:
                    self.ended, self.ended_at = (int.from_bytes(payload[:2], "big"), json.loads(payload[2:])), wall()
                    await self.client.write(frame(CLOSE, payload[:2]))
                self._news.set()
        self.ended, self.ended_at = self.ended or (1006, {}), self.ended_at or wall()
        self._news.set()

    async def say(self, *frames: Told) -> None:
        """Send these frames in one write."""
        await self.client.write(b"".join(frame(TEXT, json.dumps(one).encode()) for one in frames))

    async def authenticate(self, *tokens: Token) -> None:
        """Send these tokens, a frame each, in one write."""
        self.tokens += tokens
        await self.say(*({"action": "authenticate", "token": token.text} for token in tokens))

    async def until(self, true: Callable[[], object], seconds: float = 10) -> None:
        """Wait until something is true of the tape, looked at after each frame."""
        try:
            async with asyncio.timeout(seconds):
                while not true():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"not after {seconds} s: {self.ended}, {self.heard[-5:]}") from None

    async def over(self, seconds: float = 10) -> tuple[int, Told]:
        """Wait for the end and return its code and reason."""
        await self.until(lambda: self.ended is not None, seconds)
        assert self.ended is not None
        return self.ended

    async def signed_in(self, token: Token, seconds: float = 10) -> Told:
        """Send a token and return the answer that takes it."""
        count = len(self.kinds("authenticated"))
        await self.authenticate(token)
        await self.until(lambda: len(self.kinds("authenticated")) > count, seconds)
        return self.kinds("authenticated")[count]

    async def more(self, events: int, seconds: float = 10) -> None:
        """Wait until so many more events have come."""
        goal = len(self.events) + events
        await self.until(lambda: len(self.events) >= goal, seconds)

    def kinds(self, *kinds: str) -> list[Told]:
        """Return the frames of these types."""
        return [said for said in self.heard if said["type"] in kinds]

    @property
    def events(self) -> list[Told]:
        return self.kinds("balance_update")

    def check(self) -> None:
        """Raise AssertionError where the tape breaks a rule; see `check`."""
        check(self.heard, self.tokens)


def check(heard: list[Told], tokens: list[Token]) -> None:
    """Look at all that one socket heard, given the tokens that were sent on it, in their order.

    Answers come in the order of the tokens. Between two of them only events of the one who is signed in come, one after
    the other from where the answer says; the same user goes on where it was. No event is there that was committed when
    the token that last was taken had ended.
    """
    waiting = list(tokens)
    signed: Token | None = None
    cursor = -1
    for said in heard:
        match said["type"]:
            case "error":
                assert waiting, said
                assert waiting.pop(0).user is None, f"a good token was refused: {said}"
            case "connected" | "authenticated" if "userId" in said:
                assert waiting, f"nobody has sent a token for {said}"
                token = waiting.pop(0)
                assert said["userId"] == token.user, f"{said} answers a token of {token.user}"
                same = signed is not None and signed.user == token.user
                assert not same or said["seq"] == cursor, f"{said}: the connection was at {cursor}"
                signed, cursor = token, said["seq"]
            case "balance_update":
                assert signed is not None, said
                # the venue's own gift to a new user is the one event that does not say whose it is
                assert said["venue"] in (signed.user, "paper"), f"{signed.user} was told {said}"
                assert said["seq"] == cursor + 1, f"after {cursor} came {said}"
                assert said["timestamp"] < signed.expires_at, f"{said} was committed after {signed.expires_at}"
                cursor += 1
            case "heartbeat":
                assert said.get("seq", cursor) == cursor, f"{said}: the connection was at {cursor}"
