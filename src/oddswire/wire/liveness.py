"""Whether the other end still lives and reads: heartbeats, pings and progress, in monotonic ms (pure)."""

from enum import Enum

BEAT_MS = 20_000
BEAT_SPREAD = 0.2
ANSWER_MS = 10_000
STALL_MS = 30_000
LOOK_MS = 1_000


class Sign(Enum):
    """What `Liveness.look` finds."""

    FINE = "fine"
    BEAT = "a heartbeat and a ping are due"
    DEAD = "no sign of life for 10 s after a ping"
    STALLED = "no progress for 30 s"


class Liveness:
    """One connection's signs of life.

    A ping is due only when nothing is queued; while something is queued only progress counts, since a pong would have
    to wait behind the queue.
    """

    __slots__ = ("_answer_until", "_next_beat", "_progress_at", "_sent")

    def __init__(self, now: int, chance: float) -> None:
        self._next_beat = now + _interval(chance)
        self._answer_until: int | None = None
        self._progress_at: int | None = None
        self._sent = 0

    def heard(self) -> None:
        """Anything came from the other end."""
        self._answer_until = None

    def queued(self, now: int, sent: int) -> None:
        """Output has begun to wait in our process; `sent` is the number of bytes that have left it so far."""
        if self._progress_at is None:
            self._progress_at, self._sent = now, sent
            self._answer_until = None

    def drained(self) -> None:
        """Nothing waits any more."""
        self._progress_at = None

    def look(self, now: int, queued: int, sent: int, chance: float) -> Sign:
        """Return what is to be done now, given the bytes queued and those that have left our process so far.

        `chance` (0..1) places the next heartbeat within its spread.
        """
        if queued:
            self.queued(now, sent)
            if sent != self._sent:
                self._progress_at, self._sent = now, sent
            if self._progress_at is not None and now - self._progress_at >= STALL_MS:
                return Sign.STALLED
            return Sign.FINE
        self._progress_at = None
        if self._answer_until is not None and now >= self._answer_until:
            return Sign.DEAD
        if now < self._next_beat:
            return Sign.FINE
        self._next_beat = now + _interval(chance)
        self._answer_until = now + ANSWER_MS
        return Sign.BEAT

    def next_look(self, now: int) -> int:
        """Return when to look again, in monotonic ms."""
        if self._progress_at is not None:
            return now + LOOK_MS
        return self._next_beat if self._answer_until is None else min(self._next_beat, self._answer_until)


def _interval(chance: float) -> int:
    return int(BEAT_MS * (1 + BEAT_SPREAD * (2 * chance - 1)))
