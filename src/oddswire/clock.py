"""Time, handed to the code that needs it: pure rules take milliseconds as an argument and never ask."""

import time
from typing import Protocol


class Clock(Protocol):
    """What the I/O shells ask for the time."""

    def now(self) -> int:
        """Return Unix epoch milliseconds; may step when the machine's time is set."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go backwards; only differences mean anything."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> int:
        """Return Unix epoch milliseconds."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Return the machine's monotonic seconds."""
        return time.monotonic()
