"""How a venue is doing, by whether it answers: pure."""

from typing import Literal

PulseStatus = Literal["live", "degraded", "stale"]
STALE_AFTER = 30_000
"""How long a venue may go without an answer (ms) before what we know of it is called stale."""


class Pulse:
    """`live` while it answers, `degraded` since it did not, `stale` once that has lasted; `since` in ms."""

    __slots__ = ("_silent_since", "since", "status")

    def __init__(self, now: int) -> None:
        self.status: PulseStatus = "live"
        self.since = now
        self._silent_since: int | None = None

    def answered(self, now: int) -> bool:
        """Note an answer; tell whether that changed the status."""
        self._silent_since = None
        return self._become("live", now)

    def silent(self, now: int) -> bool:
        """Note that it did not answer; tell whether that changed the status."""
        if self._silent_since is None:
            self._silent_since = now
        return self._become("stale" if now - self._silent_since >= STALE_AFTER else "degraded", now)

    def _become(self, status: PulseStatus, now: int) -> bool:
        changed = status != self.status
        if changed:
            self.status, self.since = status, now
        return changed
