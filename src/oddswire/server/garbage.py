"""Garbage collections that stop nobody for long.

A full collection looks at everything there is, which with ten thousand sockets takes a third of a second, and it comes
just when many connect. Nothing here waits for one: connections and calls are freed as soon as nobody holds them. So
what has survived one is not looked at again until `THAW_SECONDS` have passed, and each looks at little.
"""

import gc
import time
from collections.abc import Callable, Mapping

THAW_SECONDS = 600.0
"""How often a collection does look at everything, for the sake of rings that came to be of what had survived."""


class ShortCollections:
    """Told of each collection by `gc.callbacks`; `monotonic` is in seconds."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._thawed_at = monotonic()

    def look(self, phase: str, info: Mapping[str, int]) -> None:
        """Set aside what has survived a full collection; where it is time, take all back before it."""
        if info["generation"] != 2:
            return
        if phase == "stop":
            gc.freeze()
        elif self._monotonic() - self._thawed_at >= THAW_SECONDS:
            self._thawed_at = self._monotonic()
            gc.unfreeze()


def keep_collections_short() -> None:
    """From now on, in this process: code, routes and settings are set aside first."""
    gc.collect()
    gc.freeze()
    gc.callbacks.append(ShortCollections().look)
