"""The client's side of one conversation after another (pure): what was missed, what is level, what to do after a close.

One `ClientSession` lives through reconnects and carries the cursor across them. It never waits and never asks the
time: `now` is monotonic ms. Whoever owns the socket closes it on `Broken` and then calls `closed`.
"""

from typing import NamedTuple

import msgspec
from msgspec import UNSET, Struct, UnsetType

from oddswire.wire import frames
from oddswire.wire.codes import Action, action_after, read_reason
from oddswire.wire.frames import (
    Authenticate,
    Authenticated,
    Connected,
    Error,
    Heartbeat,
    Pong,
    ResetReason,
    TokenExpiring,
    VenueStatus,
)

SILENCE_MS = 50_000
"""Two and a half heartbeats."""
STEADY_MS = 5_000
FIRST_DELAY_MS = 500
LONGEST_DELAY_MS = 30_000


def backoff_ms(failures: int, chance: float) -> int:
    """Return how long to wait after that many failures: full jitter under a ceiling that doubles."""
    return int(chance * min(LONGEST_DELAY_MS, FIRST_DELAY_MS << min(failures, 10)))


class Told(NamedTuple):
    """An event of the stream: `text` is its frame, to be read with `oddswire.events.decode`."""

    seq: int
    kind: str
    text: bytes


class SignedIn(NamedTuple):
    """The server knows the user; `resumed` None where no cursor was brought."""

    user_id: str
    resumed: bool | None


class Level(NamedTuple):
    """Everything that had happened when the user was taken has now been seen."""

    seq: int


class ReadAgain(NamedTuple):
    """The cursor could not be honoured: read the state over REST; what follows comes after `seq`."""

    reason: ResetReason
    seq: int


class Broken(NamedTuple):
    """The stream cannot be trusted or nobody answers: close the socket, then call `closed`."""

    why: str


Notice = Connected | VenueStatus | TokenExpiring | Error | Pong
Heard = Told | SignedIn | Level | ReadAgain | Broken | Notice
"""What a frame turns out to mean."""


class Next(NamedTuple):
    """What to do after a close, after waiting `delay_ms`."""

    action: Action
    delay_ms: int


class _Glance(Struct):
    type: str
    seq: int | UnsetType = UNSET


_glance = msgspec.json.Decoder(_Glance)
_control: dict[str, type[frames.ServerFrame]] = {
    "connected": Connected,
    "authenticated": Authenticated,
    "heartbeat": Heartbeat,
    "token_expiring": TokenExpiring,
    "error": Error,
    "pong": Pong,
    "venue_status": VenueStatus,
}


class ClientSession:
    """What a client knows of its stream: `cursor` is the last event seen, None before the first sign-in."""

    __slots__ = ("_broken", "_failures", "_goal", "_heard_at", "_opened_at", "cursor", "epoch", "user_id")

    def __init__(self, since: int | None = None, epoch: str | None = None) -> None:
        self.cursor = since
        self.epoch = epoch
        self.user_id: str | None = None
        self._goal: int | None = None
        self._heard_at = 0
        self._opened_at: int | None = None
        self._failures = 0
        self._broken = False

    def query(self) -> dict[str, str]:
        """Return the query parameters that resume, for the next connect; none before anything was seen."""
        if self.cursor is None:
            return {}
        return {"since": str(self.cursor)} | ({"epoch": self.epoch} if self.epoch is not None else {})

    def authenticate(self, token: str) -> bytes:
        """Return the frame that brings a token, with the cursor where one is held."""
        return frames.encode(Authenticate(token=token, since=self.cursor, epoch=self.epoch))

    def opened(self, now: int) -> None:
        """A socket is open."""
        self._heard_at = now
        self._opened_at = now
        self._goal = None
        self._broken = False
        self.user_id = None

    def receive(self, text: bytes, now: int) -> list[Heard]:
        """Take a frame of the server; types that are not known are passed over, but their place is counted."""
        if self._broken:
            return []
        self._heard_at = now
        try:
            glance = _glance.decode(text)
            kind = _control.get(glance.type)
            if kind is None:
                return self._event(glance, text)
            return self._said(msgspec.json.decode(text, type=kind))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._break("a frame that cannot be read")

    def wake(self, now: int) -> list[Heard]:
        """Find out whether the server has been silent for too long."""
        if self._opened_at is None or self._broken or now < self.next_wake():
            return []
        return self._break("no sign of life")

    def next_wake(self) -> int:
        """Return when `wake` is due, in monotonic ms."""
        return self._heard_at + SILENCE_MS

    def closed(self, code: int, reason: bytes, now: int, chance: float) -> Next:
        """The socket is closed or was never opened (1006); `chance` (0..1) spreads what clients do together."""
        if self._opened_at is not None and now - self._opened_at >= STEADY_MS:
            self._failures = 0
        self._opened_at = None
        action = Action.RESUME if self._broken else action_after(code)
        wanted = read_reason(reason).retry_after_ms
        if action is Action.READ_AGAIN:
            self.cursor = self.epoch = None
        delay = self._delay(action, chance)
        if wanted is not None:
            delay = max(delay, wanted)
        self._failures += 1
        return Next(action, delay)

    def _delay(self, action: Action, chance: float) -> int:
        """Back off; what need not wait goes at once the first time."""
        if action is Action.STOP or (action is not Action.BACK_OFF and self._failures == 0):
            return 0
        return backoff_ms(self._failures, chance)

    # ---- frames

    def _said(self, frame: frames.ServerFrame) -> list[Heard]:
        match frame:
            case Connected(user_id=str()) | Authenticated():
                return self._signed_in(frame)
            case Heartbeat():
                if self.user_id is not None and frame.seq is not UNSET and frame.seq != self.cursor:
                    return self._break(f"the server has sent {frame.seq}, seen is {self.cursor}")
                return []
            case _:
                return [frame]

    def _signed_in(self, frame: Connected | Authenticated) -> list[Heard]:
        if frame.user_id is UNSET or frame.seq is UNSET or frame.head is UNSET or frame.epoch is UNSET:
            return self._break("a server that does not number its events")
        resumed = None if frame.resumed is UNSET else frame.resumed
        goes_on = resumed is True or self.user_id == frame.user_id
        if goes_on and (frame.seq != self.cursor or frame.epoch != self.epoch):
            return self._break(f"the server goes on after {frame.seq}, seen is {self.cursor}")
        self.cursor, self.epoch, self.user_id = frame.seq, frame.epoch, frame.user_id
        self._goal = frame.head
        heard: list[Heard] = [SignedIn(frame.user_id, resumed)]
        if resumed is False and frame.reason is not UNSET:
            heard.append(ReadAgain(frame.reason, frame.seq))
        return heard + self._level()

    def _event(self, glance: _Glance, text: bytes) -> list[Heard]:
        if glance.seq is UNSET:
            return []
        if self.cursor is None or self.user_id is None or glance.seq != self.cursor + 1:
            return self._break(f"event {glance.seq} does not follow {self.cursor}")
        self.cursor = glance.seq
        return [Told(glance.seq, glance.type, text), *self._level()]

    def _level(self) -> list[Heard]:
        if self._goal is None or self.cursor is None or self.cursor < self._goal:
            return []
        self._goal = None
        return [Level(self.cursor)]

    def _break(self, why: str) -> list[Heard]:
        self._broken = True
        return [Broken(why)]
