"""Who is connected to this node: how many may be, whose sessions end, and how everybody is sent away at the end."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import islice
from typing import NamedTuple, Protocol

import structlog
from msgspec import Struct

from oddswire.auth.identity import Identity
from oddswire.wire.codes import CLOSE_CODES, DRAINING, SIGNED_OUT, TOKEN_NEEDED, UNKNOWN_APP

CLOSED_A_TURN = 200
RETRY_FROM_MS = 2_000
RETRY_TO_MS = 10_000
FAREWELL_SECONDS = 2.0
_TOLD_CODES = frozenset({1000, 1001, 1002, 1003, 1005, 1006, 1007, 1009, *CLOSE_CODES})
_OF = {"app": "The app", "user": "The user", "address": "This address, of those without a user,"}
_logger = structlog.get_logger("oddswire.streams")


@dataclass(frozen=True, slots=True)
class Caps:
    """The most connections of one user, of one address without a user, and of one app (None: no end)."""

    user: int = 20
    address: int = 100
    app: int | None = None


class Presence(Struct, rename="camel", frozen=True):
    """A connection, as the operator sees it; times in ms, `number` counts connections from the start of the process.

    `cursor` is the last event sent, `head` the newest that the connection has heard of, `lag` what lies between;
    None where no stream flows.
    """

    number: int
    app: str
    user: str | None
    session: str | None
    address: str
    connected_at: int
    state: str
    cursor: int | None
    head: int | None
    lag: int | None
    queued_bytes: int


class Present(Protocol):
    """A connection, as the roster sees it; `number` is what `enter` returned."""

    number: int
    app_id: str
    address: str
    identity: Identity | None

    def close(self, code: int, retry_after_ms: int | None = None, name: str | None = None) -> None:
        """Close it."""
        ...

    def tell(self, frame: bytes) -> None:
        """Send a frame that is of no stream."""
        ...

    def presence(self) -> Presence:
        """Return how it is."""
        ...


class Seat(NamedTuple):
    """What a connection is counted under."""

    app_id: str
    user_id: str | None
    address: str | None


class Roster:
    """The connections of one node."""

    def __init__(self, caps: Caps, chance: Callable[[], float]) -> None:
        self._caps = caps
        self._chance = chance
        self._entered = 0
        self.closed: Counter[str] = Counter()
        """How many have gone, by close code; those that no rule of ours gives are `other`."""
        self._seats: dict[Present, Seat | None] = {}
        self._count: Counter[tuple[str, str, str]] = Counter()
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._seats)

    def __iter__(self) -> Iterator[Present]:
        return iter(tuple(self._seats))

    # ---- coming and going

    def enter(self, present: Present) -> int:
        """A connection is there, not counted under anybody yet; return its number."""
        self._seats[present] = None
        self._empty.clear()
        self._entered += 1
        return self._entered

    def seat(self, present: Present, user_id: str | None) -> bool:
        """Count a connection under a user, or its address; false, and nothing changes, where a cap is reached."""
        if present not in self._seats:
            return False
        old, new = self._seats[present], _seat(present, user_id)
        if old == new:
            return True
        if self._full(old, new):
            return False
        self._recount(old, -1)
        self._recount(new, 1)
        self._seats[present] = new
        return True

    def why_full(self, present: Present, user_id: str | None) -> str:
        """Return in words which cap leaves no seat."""
        for (kind, _, _), most in self._full(self._seats.get(present), _seat(present, user_id)).items():
            return f"{_OF[kind]} has {most} connections already, which is the most here."
        return "There is a seat again."

    def leave(self, present: Present, code: int) -> None:
        """A connection is gone, by a close code of either side."""
        if present in self._seats:
            self.closed[str(code) if code in _TOLD_CODES else "other"] += 1
        self._recount(self._seats.pop(present, None), -1)
        if not self._seats:
            self._empty.set()

    def _full(self, old: Seat | None, new: Seat) -> dict[tuple[str, str, str], int]:
        """Return the caps that are reached, of those that `old` is not counted under."""
        taken = self._keys(old)
        return {key: most for key, most in self._keys(new).items() if key not in taken and self._count[key] >= most}

    def _keys(self, seat: Seat | None) -> dict[tuple[str, str, str], int]:
        """Return what a seat is counted under, and the most there may be."""
        if seat is None:
            return {}
        keys = {} if self._caps.app is None else {("app", seat.app_id, ""): self._caps.app}
        if seat.user_id is not None:
            keys["user", seat.app_id, seat.user_id] = self._caps.user
        elif seat.address is not None:
            keys["address", "", seat.address] = self._caps.address
        return keys

    def _recount(self, seat: Seat | None, by: int) -> None:
        for key in self._keys(seat):
            self._count[key] += by
            if not self._count[key]:
                del self._count[key]

    # ---- who is there

    def of(self, app_id: str | None, user_id: str | None) -> Iterator[Present]:
        """Yield the connections of an app, of a user, or of everybody, the oldest first."""
        for present in self:
            user = None if present.identity is None else present.identity.user_id
            if app_id in (None, present.app_id) and user_id in (None, user):
                yield present

    def page(self, app_id: str | None, user_id: str | None, after: int, limit: int) -> list[Presence]:
        """Return how those are whose number is above `after`, at most `limit`."""
        those = (present for present in self.of(app_id, user_id) if present.number > after)
        return [present.presence() for present in islice(those, limit)]

    # ---- speaking to many

    def close_sessions(self, revoked: Callable[[Identity], bool]) -> None:
        """Close every connection whose identity is `revoked`."""
        for present in self:
            if present.identity is not None and revoked(present.identity):
                _close(present, SIGNED_OUT)

    def close_unproven(self, holds: Callable[[Identity], bool]) -> None:
        """Close every connection whose token would not be taken any more: a new one might be."""
        for present in self:
            if present.identity is not None and not holds(present.identity):
                _close(present, TOKEN_NEEDED, "token_invalid")

    def close_app(self, app_id: str) -> None:
        """Close every connection of an app that is no longer active."""
        for present in self:
            if present.app_id == app_id:
                _close(present, UNKNOWN_APP if present.identity is None else SIGNED_OUT)

    def tell(self, frame: bytes) -> None:
        """Send a frame that is of no stream to everybody."""
        for present in self:
            present.tell(frame)

    # ---- the end

    async def drain(self, seconds: float, *, patient: bool = True) -> None:
        """Send everybody away with 4300 at the end of the window; return when they are gone, at most 2 s later.

        `retryAfterMs` spreads over 2-10 s. The window is for those who route calls to this node too, so it lasts even
        if nobody is connected, unless nobody is that `patient`.
        """
        if patient:
            await asyncio.sleep(seconds)
        elif await self._gone_within(seconds):
            return
        for number, present in enumerate(tuple(self), 1):
            spread = RETRY_FROM_MS + int((RETRY_TO_MS - RETRY_FROM_MS) * self._chance())
            present.close(DRAINING, spread)
            if number % CLOSED_A_TURN == 0:
                await asyncio.sleep(0)
        await self._gone_within(FAREWELL_SECONDS)

    async def _gone_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._empty.wait(), seconds)
        except TimeoutError:
            return False
        return True


def _seat(present: Present, user_id: str | None) -> Seat:
    return Seat(present.app_id, user_id, None if user_id is not None else network_of(present.address))


def _close(present: Present, code: int, name: str | None = None) -> None:
    try:
        present.close(code, name=name)
    except Exception:
        # one socket's trouble must not leave the others open
        _logger.exception("socket_not_closed", code=code)


@lru_cache(maxsize=10_000)
def network_of(address: str) -> str:
    """Return what an address is counted as: itself, or the /64 of an IPv6 one; text that is none stands for itself."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, IPv6Address) and found.ipv4_mapped is None:
        return str(IPv6Address(int(found) >> 64 << 64)) + "/64"
    return str(found if isinstance(found, IPv4Address) else found.ipv4_mapped)
