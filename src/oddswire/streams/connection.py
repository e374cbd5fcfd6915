"""One socket: its session, its feed and its place on the node, held together."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass

import structlog

from oddswire.auth.identity import Identity
from oddswire.auth.provider_keys import Asking
from oddswire.clock import Clock
from oddswire.errors import Limited, OddswireError, Refused, Unavailable
from oddswire.streams.delivery import place
from oddswire.streams.disconnects import Disconnects
from oddswire.streams.feed import Feed
from oddswire.streams.hub import Hub
from oddswire.streams.roster import Presence, Roster
from oddswire.streams.socket import GONE, Socket
from oddswire.streams.wakes import NEVER, Wakes, monotonic_ms
from oddswire.wire.codes import SERVER_ERROR, TOO_MANY_CONNECTIONS, close_reason
from oddswire.wire.frames import encode, error_frame
from oddswire.wire.session import (
    NOTHING_ASKED,
    Asked,
    Close,
    Flow,
    Hold,
    Join,
    Output,
    PingPeer,
    Place,
    Renew,
    Say,
    ServerSession,
    State,
    Verify,
)

REPLIES_BYTES = 64 * 1024
"""More than this waiting to be sent, and the client is not listened to until it has read."""

_logger = structlog.get_logger("oddswire.streams")

VerifyToken = Callable[[str, str, str, Asking], Awaitable[Identity]]
"""Return whom a token proves, given it, the app, the client's address and what is called before the token waits for
somebody else, or raise `Refused`, `Unavailable` or `Limited`. It looks at revocations last of all."""


@dataclass(frozen=True, slots=True)
class Node:
    """What all connections of a process share; `chance` returns a fresh number of 0..1."""

    hub: Hub
    roster: Roster
    wakes: Wakes
    clock: Clock
    disconnects: Disconnects
    verify: VerifyToken
    chance: Callable[[], float]


class Connection:
    """The conversation on one socket, from its upgrade to its end."""

    __slots__ = (
        "_asked",
        "_connected_at",
        "_feed",
        "_node",
        "_paused",
        "_place",
        "_session",
        "_socket",
        "_task",
        "_token",
        "address",
        "app_id",
        "identity",
        "number",
        "wake_at",
    )

    def __init__(
        self,
        node: Node,
        *,
        app_id: str,
        address: str,
        token: str | None = None,
        asked: Asked = NOTHING_ASKED,
    ) -> None:
        self.app_id = app_id
        self.address = address
        self.identity: Identity | None = None
        self.number = 0
        self.wake_at = NEVER
        self._node = node
        self._socket: Socket = GONE
        self._session = ServerSession(app_id, monotonic_ms(node.clock), node.chance())
        self._token = token
        self._asked = asked
        self._feed: Feed | None = None
        self._place: Place | None = None
        self._paused = False
        self._task: asyncio.Task[None] | None = None

    # ---- what the transport tells

    def opened(self, socket: Socket) -> None:
        """The upgrade has been answered; the first frame is `connected` or an error."""
        self._socket = socket
        self._connected_at = self._node.clock.now()
        self.number = self._node.roster.enter(self)
        token, self._token = self._token, None
        asked, self._asked = self._asked, NOTHING_ASKED
        if token is None and not self._node.roster.seat(self, None):
            self._refuse_seat(None)
            return
        self._do(self._session.open(token, asked))
        self._rearm()

    def text(self, text: bytes) -> None:
        """The client has sent a frame."""
        self._do(self._session.receive(text, monotonic_ms(self._node.clock), self._node.clock.now()))
        if not self._paused and (self._session.busy or self._socket.queued > REPLIES_BYTES):
            self._paused = True
            self._socket.pause_reading()

    def pong(self) -> None:
        """The client has answered a ping of the protocol's own."""
        self._session.pong()

    def drained(self) -> None:
        """Nothing waits in our process any more."""
        self._session.drained()
        if self._feed is not None:
            self._feed.drained()
        self._listen_again()
        self._rearm()

    def closed(self, code: int) -> None:
        """The socket is gone."""
        self._stop()
        self._node.roster.leave(self, code)
        self._socket = GONE

    # ---- what the node tells

    def wake(self, now: int, wall: int) -> None:
        """Do what is due."""
        if self._session.state is State.CLOSED:
            return
        feed, socket = self._feed, self._socket
        seq = feed.delivery.cursor if feed is not None and feed.flowing else None
        chance = self._node.chance()
        self._do(self._session.wake(now, wall, queued=socket.queued, sent=socket.sent_bytes, seq=seq, chance=chance))
        self._rearm()

    def tell(self, frame: bytes) -> None:
        """Send a frame that is of no stream, once the conversation has begun."""
        if self._session.state not in (State.CONNECTING, State.CLOSED):
            self._send(frame)

    def close(self, code: int, retry_after_ms: int | None = None, name: str | None = None) -> None:
        """Close the socket; no event is written any more."""
        self._stop()
        self._socket.close(code, close_reason(code, retry_after_ms, name))

    def presence(self) -> Presence:
        """Return how it is, for the operator."""
        who = self.identity
        feed = self._feed
        cursor = feed.delivery.cursor if feed is not None and feed.flowing else None
        head = feed.delivery.known_head if feed is not None and feed.flowing else None
        return Presence(
            number=self.number,
            app=self.app_id,
            user=None if who is None else who.user_id,
            session=None if who is None else who.session_id,
            address=self.address,
            connected_at=self._connected_at,
            state=self._session.state.value,
            cursor=cursor,
            head=head,
            lag=None if cursor is None or head is None else head - cursor,
            queued_bytes=self._socket.queued,
        )

    # ---- what the feed tells

    def backed_up(self) -> None:
        """Output waits in our process."""
        self._session.backed_up(monotonic_ms(self._node.clock), self._socket.sent_bytes)
        self._rearm()

    def lost(self, code: int) -> None:
        """The stream cannot go on."""
        self.close(code)

    # ---- doing

    def _do(self, outputs: list[Output]) -> None:
        for output in outputs:
            match output:
                case Say(frame):
                    self._send(encode(frame))
                case Verify(token):
                    self._run(self._verify(token))
                case Join(since, epoch, armed):
                    self._run(self._join(since, epoch, armed))
                case Renew(armed):
                    self._run(self._renew(armed))
                case Flow():
                    self._flow()
                case Hold():
                    if self._feed is not None:
                        self._feed.hold()
                case PingPeer():
                    self._socket.ping()
                case Close(code, name):
                    self.close(code, name=name)

    def _send(self, frame: bytes) -> None:
        if not self._socket.send(frame):
            if self._feed is not None:
                self._feed.blocked()
            else:
                self.backed_up()

    def _run(self, work: Coroutine[None, None, None]) -> None:
        self._task = asyncio.get_running_loop().create_task(self._guarded(work))

    async def _guarded(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except Exception as error:
            if not isinstance(error, OddswireError):
                _logger.exception("sign_in_failed", app=self.app_id)
            if self._session.state is not State.CLOSED:
                self.close(SERVER_ERROR)
        if self._task is asyncio.current_task():
            self._task = None
        self._listen_again()
        self._rearm()

    async def _verify(self, token: str) -> None:
        clock = self._node.clock
        try:
            identity = await self._node.verify(token, self.app_id, self.address, self._hold_seat)
        except (Refused, Unavailable, Limited) as error:
            if isinstance(error, Unavailable) and self._session.state is State.CONNECTING:
                raise
            self._do(self._session.refused(error.code, error.detail, monotonic_ms(clock), clock.now()))
            return
        outputs = self._session.verified(identity, monotonic_ms(clock), clock.now())
        if self._session.bearer is identity:
            before, self.identity = self.identity, identity
            if before is not None and before.session_id != identity.session_id:
                self._depart(before, self._feed)
        self._do(outputs)

    def _hold_seat(self) -> None:
        """Be counted under the address while it is not known whose connection this is.

        Raises:
            Limited: `too_many_connections`.
        """
        roster = self._node.roster
        if self.identity is None and not roster.seat(self, None):
            raise Limited("too_many_connections", roster.why_full(self, None), retry_after=1.0)

    async def _join(self, since: int | None, epoch: str | None, wanted: int | None) -> None:
        identity = self.identity
        if identity is None:
            raise RuntimeError("nobody to join a stream for")
        self._leave_feed()
        if not self._node.roster.seat(self, identity.user_id):
            self._refuse_seat(identity.user_id)
            return
        feed, kept = await self._node.hub.join(
            identity.app_id, identity.user_id, identity.expires_at, self._socket, self
        )
        if self._session.state is State.CLOSED:
            self._node.hub.leave(feed)
            return
        self._feed = feed
        armed = await self._come(identity, feed, wanted)
        self._placed(place(kept, since, epoch), armed)

    async def _renew(self, wanted: int | None) -> None:
        identity, feed = self.identity, self._feed
        if identity is None or feed is None:
            return  # closed in the moment after its token was taken
        armed = await self._come(identity, feed, wanted)
        delivery = feed.delivery
        self._placed(Place(delivery.cursor, delivery.known_head, delivery.epoch), armed)

    def _placed(self, found: Place, armed: int) -> None:
        self._place = found
        clock = self._node.clock
        self._do(self._session.placed(found, monotonic_ms(clock), clock.now(), armed))

    async def _come(self, identity: Identity, feed: Feed, wanted: int | None) -> int:
        armed = await self._node.disconnects.come(identity, wanted)
        if self._session.state is State.CLOSED:
            self._depart(identity, feed)
        return armed

    def _depart(self, identity: Identity | None, feed: Feed | None) -> None:
        """Let the time of an armed session run, unless another connection of it hears the stream it has left."""
        if identity is None or feed is None or not self._node.disconnects.seconds(identity.session_id):
            return
        others = (one.identity for one in self._node.hub.listeners(feed.stream) if isinstance(one, Connection))
        if all(other is None or other.session_id != identity.session_id for other in others):
            self._node.disconnects.gone(identity.session_id)

    def _flow(self) -> None:
        found, self._place = self._place, None
        if self._feed is not None and found is not None and self.identity is not None:
            self._feed.flow(self.identity.expires_at, found.seq, found.head)

    def _refuse_seat(self, user_id: str | None) -> None:
        self._send(encode(error_frame("too_many_connections", self._node.roster.why_full(self, user_id))))
        self.close(TOO_MANY_CONNECTIONS)

    def _listen_again(self) -> None:
        if self._paused and not self._session.busy and self._socket.queued <= REPLIES_BYTES:
            self._paused = False
            self._socket.resume_reading()

    def _leave_feed(self) -> None:
        if self._feed is not None:
            self._node.hub.leave(self._feed)
            self._feed = None

    def _stop(self) -> None:
        self._session.end()
        feed = self._feed
        self._leave_feed()
        self._depart(self.identity, feed)

    def _rearm(self) -> None:
        if self._session.state is not State.CLOSED:
            clock = self._node.clock
            self._node.wakes.at(self, self._session.next_wake(monotonic_ms(clock), clock.now()))


class RefusedConnection:
    """The conversation with somebody who may not connect but could not read an HTTP status: an error, then the end."""

    __slots__ = ("_close_code", "_code", "_detail")

    def __init__(self, code: str, detail: str, close_code: int) -> None:
        self._code = code
        self._detail = detail
        self._close_code = close_code

    def opened(self, socket: Socket) -> None:
        """Say why, and close."""
        socket.send(encode(error_frame(self._code, self._detail)))
        socket.close(self._close_code, close_reason(self._close_code))

    def text(self, text: bytes) -> None:
        """Pass over what still comes."""

    def pong(self) -> None:
        """Pass over what still comes."""

    def drained(self) -> None:
        """Nothing waits for this."""

    def closed(self, code: int) -> None:
        """The socket is gone."""
