"""The socket side of the client: one stream of events over as many connections as it takes.

What a frame or a close code means is `wire.client_session`'s to say; here are the socket, the token and the waiting.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, get_args
from urllib.parse import urlencode

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from oddswire.client.errors import ServerRefused, ServerUnreachable, Stopped
from oddswire.events import UserEvent, decode
from oddswire.wire import bodies
from oddswire.wire.client_session import Broken, ClientSession, Heard, Level, ReadAgain, SignedIn, backoff_ms
from oddswire.wire.client_session import Told as Frame
from oddswire.wire.codes import Action, read_reason
from oddswire.wire.cursor import Cursor
from oddswire.wire.frames import Error, ResetReason, TokenExpiring


class Reset(NamedTuple):
    """Events are missing here: read the state again. What follows comes after `seq` of `epoch`."""

    reason: ResetReason
    seq: int
    epoch: str

    @property
    def type(self) -> Literal["reset"]:
        """What it is, beside the types of events."""
        return "reset"


Told = UserEvent | Reset
"""What a stream yields."""


class Arrival(NamedTuple):
    """What was told, None where only a place was; `cursor` is where the stream then stands."""

    told: Told | None
    cursor: Cursor


Line = Literal["connecting", "catching_up", "level", "waiting"]
"""How a connection is doing; `level` once everything that had happened has been seen."""
OnLine = Callable[[Line], None]
_KINDS = frozenset(kind.__struct_config__.tag for kind in get_args(UserEvent))
_NEVER_OPENED = 1006
_FRESH_MS = 1_000
_SOONEST, _LATEST = 1.0, 30.0
"""Bounds, in seconds, of how long a token that is expiring from the start is kept: our clock may be wrong."""
_GOING_AWAY = 1001


def unheard(_: Line) -> None:
    """Take no notice of how the connection is doing."""


class Gateway(Protocol):
    """What a connection needs of the client."""

    base_url: str
    app_id: str
    access_token: str | None

    async def refresh(self, stale: str | None = None) -> str:
        """Return a new access token."""
        ...


async def arrivals(
    gateway: Gateway, cursor: Cursor | None, on_line: OnLine = unheard, cancel_on_disconnect: int | None = None
) -> AsyncGenerator[Arrival, None]:
    """Yield what arrives after `cursor`, or from now on, for ever.

    Raises:
        Stopped: the gateway told us to go, or no token can be had any more.
    """
    session = ClientSession() if cursor is None else ClientSession(cursor.seq, cursor.epoch)
    thread = _Thread(gateway, session, on_line, cancel_on_disconnect)
    while True:
        async with aclosing(thread.listen()) as heard:
            async for told in heard:
                yield told
        await thread.recover()


@dataclass(slots=True)
class _Ended:
    """How a connection ended; `retry_after` in seconds where an HTTP answer named it."""

    code: int = _NEVER_OPENED
    reason: bytes = b""
    retry_after: float = 0.0


@dataclass(slots=True)
class _Thread:
    """What is carried from one connection to the next; `token` is the one the last connection stood on."""

    gateway: Gateway
    session: ClientSession
    on_line: OnLine
    cancel_on_disconnect: int | None = None
    token: str | None = None
    token_is_stale: bool = False
    state_is_lost: bool = False
    ended: _Ended = field(default_factory=_Ended)
    error: Error | None = None

    async def listen(self) -> AsyncGenerator[Arrival, None]:
        """Connect, and yield what is told until the connection ends."""
        self.ended, self.error = _Ended(), None
        self.on_line("connecting")
        try:
            socket = await self._connect()
        except InvalidStatus as answer:
            self.ended = self._refused(answer)
            return
        except ServerRefused as said:
            self.ended.retry_after = said.retry_after or 0.0
            return
        except (OSError, TimeoutError, WebSocketException, ServerUnreachable):
            return
        async with socket:
            self.session.opened(_now())
            self.on_line("catching_up")
            async with aclosing(self._frames(socket)) as frames:
                async for told in frames:
                    yield told
        self.ended = _Ended(socket.close_code or _NEVER_OPENED, (socket.close_reason or "").encode())

    async def recover(self) -> None:
        """Wait as long as the way the connection ended asks for.

        Raises:
            Stopped: it ended for good.
        """
        following = self.session.closed(self.ended.code, self.ended.reason, _now(), random.random())  # noqa: S311
        if following.action is Action.STOP:
            raise self._stop()
        self.token_is_stale = self.token_is_stale or following.action is Action.NEW_TOKEN
        self.state_is_lost = self.state_is_lost or following.action is Action.READ_AGAIN
        self.on_line("waiting")
        await _wait(max(following.delay_ms / 1000, self.ended.retry_after))

    # ---- one connection

    async def _connect(self) -> ClientConnection:
        if self.token_is_stale or self.gateway.access_token is None:
            await self.gateway.refresh(self.token)
            self.token_is_stale = False
        self.token = self.gateway.access_token
        armed = {} if self.cancel_on_disconnect is None else {"cancelOnDisconnect": str(self.cancel_on_disconnect)}
        query = urlencode({"appId": self.gateway.app_id} | self.session.query() | armed)
        return await connect(
            f"ws{self.gateway.base_url.removeprefix('http')}/ws?{query}",
            additional_headers={"authorization": f"Bearer {self.token}"},
            compression=None,
            ping_interval=None,
            close_timeout=2,
            proxy=None,
        )

    async def _frames(self, socket: ClientConnection) -> AsyncGenerator[Arrival, None]:
        renewal: asyncio.Task[None] | None = None
        signed_in_at = _now()
        try:
            while True:
                for heard in await self._receive(socket):
                    if isinstance(heard, Broken):
                        await socket.close(_GOING_AWAY)
                        return
                    if isinstance(heard, SignedIn):
                        signed_in_at = _now()
                    if isinstance(heard, TokenExpiring) and (renewal is None or renewal.done()):
                        fresh = _now() - signed_in_at < _FRESH_MS
                        renewal = asyncio.create_task(self._renew(socket, _half_of(heard) if fresh else 0))
                    told = self._meaning(heard)
                    if told is not None or isinstance(heard, SignedIn):
                        yield Arrival(told, Cursor(self.session.cursor or 0, self.session.epoch or ""))
        except ConnectionClosed:
            return
        finally:
            if renewal is not None:
                renewal.cancel()
                await asyncio.gather(renewal, return_exceptions=True)

    async def _receive(self, socket: ClientConnection) -> list[Heard]:
        try:
            async with asyncio.timeout((self.session.next_wake() - _now()) / 1000):
                text = await socket.recv(decode=False)
        except TimeoutError:
            return self.session.wake(_now())
        return self.session.receive(text, _now())

    def _meaning(self, heard: Heard) -> Told | None:
        match heard:
            case Frame():
                return _event(heard)
            case ReadAgain(reason, seq):
                return Reset(reason, seq, self.session.epoch or "")
            case SignedIn() if self.state_is_lost:
                self.state_is_lost = False
                return Reset("expired", self.session.cursor or 0, self.session.epoch or "")
            case Level():
                self.on_line("level")
            case Error():
                self.error = heard
        return None

    async def _renew(self, socket: ClientConnection, pause: float) -> None:
        """Bring a new token before this one ends, while events go on; where none can be had, the close says so.

        `pause` is for one that lives for less than the warning: it would be replaced again and again.
        """
        await _wait(pause)
        failures = 0
        while True:
            try:
                self.token = await self.gateway.refresh(self.token)
                await socket.send(self.session.authenticate(self.token), text=True)
            except (Stopped, ConnectionClosed):
                return
            except (ServerRefused, ServerUnreachable):
                await _wait(backoff_ms(failures, random.random()) / 1000)  # noqa: S311
                failures += 1
            else:
                return

    # ---- how it ended

    def _refused(self, answer: InvalidStatus) -> _Ended:
        """Return what an HTTP answer instead of a socket comes to, as a close (PROTOCOL 2.4)."""
        status, after = answer.response.status_code, answer.response.headers.get("retry-after", "")
        try:
            problem = msgspec.json.decode(answer.response.body or b"", type=bodies.Problem)
            self.error = Error(code=problem.code, message=problem.detail)
        except msgspec.DecodeError:
            self.error = Error(code="refused_by_server", message=f"The server says {status} to the connect.")
        retry_after = float(after) if after.isdigit() else 0.0
        if status == 401:
            return _Ended(4101, retry_after=retry_after)
        if 400 <= status < 500 and status != 429:
            return _Ended(4000)
        return _Ended(retry_after=retry_after)

    def _stop(self) -> Stopped:
        if self.error is not None:
            return Stopped(self.error.code, self.error.message)
        code = read_reason(self.ended.reason).code or "refused_by_server"
        return Stopped(code, f"The server closed the connection for good ({self.ended.code}).")


def _event(frame: Frame) -> UserEvent | None:
    """Return the event of a frame, None for a kind that only a later version knows.

    Raises:
        msgspec.ValidationError: an event of a known kind that cannot be read: passing it over would be a hole.
    """
    return decode(frame.text) if frame.kind in _KINDS else None


def _half_of(expiring: TokenExpiring) -> float:
    """Return half of the seconds that a token has left, within bounds."""
    return min(max((expiring.expires_at / 1000 - time.time()) / 2, _SOONEST), _LATEST)


async def _wait(seconds: float) -> None:
    await asyncio.sleep(seconds)


def _now() -> int:
    return time.monotonic_ns() // 1_000_000
