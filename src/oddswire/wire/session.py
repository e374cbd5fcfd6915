"""The server's side of one conversation (pure): what is answered, whose events flow, and when it ends.

It never waits and never asks the time: `now` is monotonic ms, `wall` Unix epoch ms. Every call returns what the
connection is to do, in order; `next_wake` says when `wake` wants to be called.
"""

from collections import deque
from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple, Protocol

from msgspec import UNSET

from oddswire.errors import InvalidInput
from oddswire.wire import codes
from oddswire.wire.frames import (
    Authenticate,
    Authenticated,
    Connected,
    Error,
    Heartbeat,
    Ping,
    Pong,
    ResetReason,
    ServerFrame,
    TokenExpiring,
    connected,
    decode_request,
    error_frame,
)
from oddswire.wire.liveness import LOOK_MS, Liveness, Sign

FRAMES_A_SECOND = 20
REFUSED_A_MINUTE = 10
_CLOSES = {
    "session_revoked": codes.SIGNED_OUT,
    "rate_limited": codes.RATE_LIMITED,
    "too_many_connections": codes.TOO_MANY_CONNECTIONS,
}
WARNING_MS = 60_000
GRACE_MS = 5_000


class Bearer(Protocol):
    """Whom a taken token proves; `expires_at` in Unix epoch ms."""

    @property
    def app_id(self) -> str:
        """The app."""
        ...

    @property
    def user_id(self) -> str:
        """The app's own id of its user."""
        ...

    @property
    def expires_at(self) -> int:
        """When the token ends."""
        ...


class State(Enum):
    """Where a conversation stands."""

    CONNECTING = "connecting"
    ANONYMOUS = "anonymous"
    SIGNED_IN = "signed in"
    HELD = "held"
    CLOSED = "closed"


class Happening(Enum):
    """What moves it."""

    NO_TOKEN = "no token was brought"  # noqa: S105 - words, no secret
    TAKEN = "a token was taken"
    REFUSED = "a token was refused"
    EXPIRED = "the token expired"
    GRACE_OVER = "5 s passed without a new token"


TABLE: dict[tuple[State, Happening], State] = {
    (State.CONNECTING, Happening.NO_TOKEN): State.ANONYMOUS,
    (State.CONNECTING, Happening.TAKEN): State.SIGNED_IN,
    (State.CONNECTING, Happening.REFUSED): State.CLOSED,
    (State.ANONYMOUS, Happening.TAKEN): State.SIGNED_IN,
    (State.ANONYMOUS, Happening.REFUSED): State.ANONYMOUS,
    (State.SIGNED_IN, Happening.TAKEN): State.SIGNED_IN,
    (State.SIGNED_IN, Happening.REFUSED): State.SIGNED_IN,
    (State.SIGNED_IN, Happening.EXPIRED): State.HELD,
    (State.HELD, Happening.TAKEN): State.SIGNED_IN,
    (State.HELD, Happening.REFUSED): State.HELD,
    (State.HELD, Happening.GRACE_OVER): State.CLOSED,
}
"""Every move there is; whatever else ends a conversation takes it to `CLOSED` from anywhere."""


class Say(NamedTuple):
    """Send this frame."""

    frame: ServerFrame


class Verify(NamedTuple):
    """Find out whether this token is good, then call `verified` or `refused`."""

    token: str


class Join(NamedTuple):
    """Stop any stream that flows, find this user's, then call `placed`; a cursor where one was asked for.

    `armed`: cancel on disconnect after so many seconds, 0: not any more, None: as the session has it.
    """

    since: int | None
    epoch: str | None
    armed: int | None = None


class Renew(NamedTuple):
    """The same user goes on: call `placed` with the connection's own cursor; `armed` as in `Join`."""

    armed: int | None = None


class Flow(NamedTuple):
    """Let the events follow."""


class Hold(NamedTuple):
    """Write no event until `Flow`."""


class PingPeer(NamedTuple):
    """Send a ping of the protocol's own."""


class Close(NamedTuple):
    """Close with this code; `name` where the reason is not the code's own."""

    code: int
    name: str | None = None


Output = Say | Verify | Join | Renew | Flow | Hold | PingPeer | Close
"""What a connection can be told to do."""


class Place(NamedTuple):
    """Where in a stream a connection begins; `resumed` None where nothing was asked for."""

    seq: int
    head: int
    epoch: str
    resumed: bool | None = None
    reason: ResetReason | None = None


class Asked(NamedTuple):
    """What was asked for with a token: a cursor, and cancel on disconnect (see `Join`)."""

    since: int | None = None
    epoch: str | None = None
    armed: int | None = None


NOTHING_ASKED = Asked()
"""One for everybody, since every connection holds two."""


class ServerSession:
    """One conversation. Frames are taken strictly one after the other: what comes while a token is looked at waits."""

    __slots__ = (
        "_app_id",
        "_arrivals",
        "_asked",
        "_busy",
        "_kept",
        "_live",
        "_refusals",
        "_waiting",
        "_warned",
        "bearer",
        "state",
    )

    def __init__(self, app_id: str, now: int, chance: float) -> None:
        self._app_id = app_id
        self._live = Liveness(now, chance)
        self._kept = NOTHING_ASKED
        self._asked = NOTHING_ASKED
        self._busy = False
        self._waiting: deque[bytes] | None = None
        self._arrivals: deque[int] | None = None
        self._refusals: deque[int] | None = None
        self._warned = False
        self.bearer: Bearer | None = None
        self.state = State.CONNECTING

    @property
    def busy(self) -> bool:
        """A token is being looked at or a stream found: later frames wait."""
        return self._busy

    def open(self, token: str | None, asked: Asked = NOTHING_ASKED) -> list[Output]:
        """Begin; what is asked for on a connect without a token waits for the first sign-in that does not ask."""
        if token is not None:
            self._asked, self._busy = asked, True
            return [Verify(token)]
        self._kept = asked
        self._move(Happening.NO_TOKEN)
        return [Say(Connected(app_id=self._app_id))]

    # ---- what the client says

    def receive(self, text: bytes, now: int, wall: int) -> list[Output]:
        """Take a frame of the client."""
        if self.state is State.CLOSED:
            return []
        self._live.heard()
        self._arrivals = self._arrivals or deque(maxlen=FRAMES_A_SECOND)
        if _too_many(self._arrivals, FRAMES_A_SECOND, now, 1_000):
            return self._end(codes.RATE_LIMITED)
        if self._busy:
            self._waiting = self._waiting or deque()
            self._waiting.append(text)
            return []
        return self._take(text, now, wall)

    def pong(self) -> None:
        """Take a pong of the protocol's own."""
        self._live.heard()

    def _take(self, text: bytes, now: int, wall: int) -> list[Output]:
        try:
            request = decode_request(text)
        except InvalidInput as error:
            return self._refuse(error_frame(error.code, error.detail, error.path), now)
        match request:
            case Ping(id=ping_id):
                return [Say(Pong(ts=wall, id=UNSET if ping_id is None else ping_id))]
            case Authenticate(token=token, since=since, epoch=epoch, cancel_on_disconnect=armed):
                self._asked, self._busy = Asked(since, epoch, None if armed is UNSET else armed or 0), True
                return [Verify(token)]

    def _refuse(self, error: Error, now: int) -> list[Output]:
        self._refusals = self._refusals or deque(maxlen=REFUSED_A_MINUTE - 1)
        if _too_many(self._refusals, REFUSED_A_MINUTE - 1, now, 60_000):
            return [Say(error), *self._end(codes.MISBEHAVING)]
        return [Say(error)]

    def _take_waiting(self, now: int, wall: int) -> Iterable[Output]:
        while self._waiting and not self._busy and self.state is not State.CLOSED:
            yield from self._take(self._waiting.popleft(), now, wall)

    # ---- what became of a token

    def verified(self, bearer: Bearer, now: int, wall: int) -> list[Output]:
        """The token is good and proves `bearer`; from here on the connection is theirs."""
        if self.state is State.CLOSED:
            return []
        if bearer.app_id != self._app_id:
            return self.refused("token_invalid", "The token is not of this app.", now, wall)
        if bearer.expires_at <= wall:
            return self.refused("token_expired", "The token has expired.", now, wall)
        asked = self._take_asked()
        same = self.bearer is not None and self.bearer.user_id == bearer.user_id
        self.bearer = bearer
        return [Renew(asked.armed)] if same else [Join(*asked)]

    def _take_asked(self) -> Asked:
        (since, epoch, armed), kept = self._asked, self._kept
        self._asked = self._kept = NOTHING_ASKED
        if since is not None:
            self._kept = kept if kept.armed is None else kept._replace(armed=None)
        elif kept.since is not None:
            since, epoch = kept.since, kept.epoch
        return Asked(since, epoch, kept.armed if armed is None else armed)

    def refused(self, code: str, detail: str, now: int, wall: int) -> list[Output]:
        """The token is not good: what held before still holds; a connect with it ends."""
        if self.state is State.CLOSED:
            return []
        self._busy, self._asked = False, NOTHING_ASKED
        error = error_frame(code, detail)
        self._move(Happening.REFUSED)
        if self._is_closed():
            return [Say(error), Close(_CLOSES.get(code, codes.TOKEN_NEEDED), code)]
        return [*self._refuse(error, now), *self._take_waiting(now, wall)]

    def placed(self, place: Place, now: int, wall: int, armed: int = 0) -> list[Output]:
        """The connection's place in its user's stream is known: tell it, and let the events follow.

        `armed` is how many seconds its session is armed with, for certain; 0: it is not.
        """
        if self.state is State.CLOSED or self.bearer is None:
            return []
        said = self._greeting(self.bearer.user_id, place, armed)
        self._move(Happening.TAKEN)
        self._busy, self._warned = False, False
        return [Say(said), Flow(), *self._look_at_token(wall), *self._take_waiting(now, wall)]

    def _greeting(self, user_id: str, place: Place, armed: int) -> ServerFrame:
        told = Authenticated(
            user_id=user_id,
            seq=place.seq,
            head=place.head,
            epoch=place.epoch,
            resumed=UNSET if place.resumed is None else place.resumed,
            reason=place.reason or UNSET,
            cancel_on_disconnect=armed or UNSET,
        )
        return connected(self._app_id, told) if self.state is State.CONNECTING else told

    # ---- time

    def backed_up(self, now: int, sent: int) -> None:
        """Output waits in our process; `sent` bytes have left it so far."""
        self._live.queued(now, sent)

    def drained(self) -> None:
        """No output waits any more."""
        self._live.drained()

    def wake(self, now: int, wall: int, *, queued: int, sent: int, seq: int | None, chance: float) -> list[Output]:
        """Do what is due; `seq` is the last event sent on this connection, `chance` (0..1) spreads heartbeats."""
        if self.state in (State.CLOSED, State.CONNECTING):
            return []
        out = self._look_at_token(wall)
        if self._is_closed():
            return out
        match self._live.look(now, queued, sent, chance):
            case Sign.BEAT:
                out += [Say(Heartbeat(ts=wall, seq=UNSET if seq is None else seq)), PingPeer()]
            case Sign.DEAD:
                out += self._end(codes.NO_SIGN_OF_LIFE)
            case Sign.STALLED:
                out += self._end(codes.SLOW_READER)
            case Sign.FINE:
                pass
        return out

    def next_wake(self, now: int, wall: int) -> int:
        """Return when `wake` is due, in monotonic ms."""
        if self.state is State.CONNECTING:
            return now + LOOK_MS
        look = self._live.next_look(now)
        if self.bearer is None:
            return look
        expires_at = self.bearer.expires_at
        if self.state is State.SIGNED_IN:
            due = expires_at if self._warned else expires_at - WARNING_MS
        elif self.state is State.HELD and not self._busy:
            due = expires_at + GRACE_MS
        else:
            return look
        return min(look, now + due - wall)

    def end(self) -> None:
        """The connection is gone or going; nothing more is said."""
        self.state = State.CLOSED
        self._waiting = None

    def _look_at_token(self, wall: int) -> list[Output]:
        if self.bearer is None:
            return []
        out: list[Output] = []
        expires_at = self.bearer.expires_at
        if self.state is State.SIGNED_IN and not self._warned and wall >= expires_at - WARNING_MS:
            self._warned = True
            out.append(Say(TokenExpiring(expires_at=expires_at)))
        if self.state is State.SIGNED_IN and wall >= expires_at:
            self._move(Happening.EXPIRED)
            out.append(Hold())
        # A token that is being looked at came in time, however long the look takes.
        if self.state is State.HELD and not self._busy and wall >= expires_at + GRACE_MS:
            self._move(Happening.GRACE_OVER)
            out.append(Close(codes.TOKEN_NEEDED))
        return out

    def _is_closed(self) -> bool:
        return self.state is State.CLOSED

    def _move(self, happening: Happening) -> None:
        self.state = TABLE[self.state, happening]

    def _end(self, code: int) -> list[Output]:
        self.end()
        return [Close(code)]


def _too_many(times: deque[int], most: int, now: int, window_ms: int) -> bool:
    """Note that it happened once more; true if that makes more than `most` within the window."""
    over = len(times) == most and now - times[0] < window_ms
    times.append(now)
    return over
