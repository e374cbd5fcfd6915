"""One connection's delivery (pure): which bytes may be written now, and when the log must be read.

A connection is level, catching up (a read in flight or output not drained) or held (token expired). Only a level one
sends a ring's bytes straight on; anything else only raises the known head, and the log is read page by page until the
cursor has reached it. First delivery, replay, slow reader and lost ring are this one path.
"""

from enum import Enum
from typing import NamedTuple

from oddswire.wire.frames import ResetReason
from oddswire.wire.session import Place


class Do(Enum):
    """What is to be done next."""

    NOTHING = "nothing"
    SEND = "send the bytes just offered, then call `blocked` or `proceed`"
    READ = "read the page after the cursor, then call `page`"
    LOST = "close: what should come next is not kept any more"


class Phase(Enum):
    """Where a delivery stands."""

    LEVEL = "level"
    CATCHING_UP = "catching up"
    HELD = "held"


class Delivery:
    """The delivery of one stream to one connection.

    `cursor` is the last event sent. It begins catching up, with the read of the stream's head in flight.
    """

    __slots__ = ("_asked", "_blocked", "_held", "_known", "_reading", "cursor", "epoch", "level")

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self.cursor = 0
        self.level = False
        self._known = 0
        self._asked = 0
        self._reading = True
        self._blocked = False
        self._held = False

    @property
    def phase(self) -> Phase:
        """Where it stands."""
        if self._held:
            return Phase.HELD
        return Phase.LEVEL if self.level else Phase.CATCHING_UP

    @property
    def known_head(self) -> int:
        """The newest event this connection has heard of."""
        return max(self._known, self.cursor)

    def begin(self, cursor: int, head: int) -> Do:
        """The head has been read: events after `cursor` follow."""
        self.cursor = cursor
        self._known = max(self._known, head)
        self._reading = False
        return self.proceed()

    def ring(self, first: int, last: int, has_bytes: bool) -> Do:
        """Events `first` to `last` have been committed. On `SEND` the cursor has moved to `last`."""
        if not self.level:
            if last > self._known:
                self._known = last
            return Do.NOTHING
        cursor = self.cursor
        if first == cursor + 1 and has_bytes:
            self.cursor = last
            return Do.SEND
        if last <= cursor:
            return Do.NOTHING
        self._known = last
        return self.proceed()

    def page(self, first: int, last: int) -> Do:
        """The page after the cursor holds `first` to `last`, or nothing. On `SEND` the cursor has moved to `last`."""
        self._reading = False
        if self._held or self._blocked:
            return Do.NOTHING  # thrown away: read again when it may be written
        if first != self.cursor + 1:
            return Do.LOST
        if last < first:
            # A ring may have told of more than there is; one that rang during the read is not judged by it.
            if self._known <= self._asked:
                self._known = self.cursor
            return self.proceed()
        self.cursor = last
        return Do.SEND

    def blocked(self) -> None:
        """Output waits in our process."""
        self._blocked = True
        self.level = False

    def drained(self) -> Do:
        """No output waits any more."""
        self._blocked = False
        return self.proceed()

    def hold(self) -> None:
        """Write no event until `release`."""
        self._held = True
        self.level = False

    def release(self) -> Do:
        """Events may be written again."""
        self._held = False
        return self.proceed()

    def proceed(self) -> Do:
        """Become level or go on reading, if nothing stands in the way."""
        self.level = False
        if self._reading or self._blocked or self._held:
            return Do.NOTHING
        if self.cursor >= self._known:
            self.level = True
            return Do.NOTHING
        self._reading = True
        self._asked = self._known
        return Do.READ


class Kept(NamedTuple):
    """What of a stream can be read: `head` is its newest event, `tail` the oldest kept."""

    head: int
    tail: int
    epoch: str


def place(kept: Kept, since: int | None, epoch: str | None) -> Place:
    """Return where a connection begins that asks for what comes after `since` of `epoch` (PROTOCOL 2.1)."""
    reason = refusal(kept, since, epoch) if since is not None else None
    if since is None:
        return Place(kept.head, kept.head, kept.epoch)
    if reason is not None:
        return Place(kept.head, kept.head, kept.epoch, False, reason)
    return Place(since, kept.head, kept.epoch, True)


def refusal(kept: Kept, since: int, epoch: str | None) -> ResetReason | None:
    """Return why a cursor cannot be honoured, None where it can. `kept` must come from a read of the store."""
    if epoch != kept.epoch:
        return "epoch_changed"
    if since > kept.head:
        return "ahead"
    if since < kept.tail - 1:
        return "expired"
    return None
