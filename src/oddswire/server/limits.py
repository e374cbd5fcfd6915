"""How much of something is let through, by whom: token buckets in a table that cannot grow without end."""

from collections import OrderedDict


class Allowance:
    """So many `per_second` for each key (a user, an address), with up to `burst` of them at once.

    Pure: the time is an argument, in seconds of any clock that never goes backwards. It knows `keys` keys; the one
    asked for least recently is forgotten first, and begins anew with a full bucket.
    """

    def __init__(self, per_second: float, burst: int, keys: int = 50_000) -> None:
        if per_second <= 0 or burst < 1 or keys < 1:
            raise ValueError("an allowance lets something through")
        self._rate = per_second
        self._burst = float(burst)
        self._keys = keys
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def wait(self, key: str, now: float) -> float:
        """Return the seconds until one more is let through, 0.0 for now; takes nothing."""
        return self._missing(self._level(key, now))

    def take(self, key: str, now: float) -> float:
        """Take one and return 0.0; or take nothing and return the seconds after which to try again."""
        level = self._level(key, now)
        missing = self._missing(level)
        self._buckets[key] = (level if missing else level - 1.0, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._keys:
            self._buckets.popitem(last=False)
        return missing

    def _level(self, key: str, now: float) -> float:
        level, at = self._buckets.get(key, (self._burst, now))
        return min(self._burst, level + max(0.0, now - at) * self._rate)

    def _missing(self, level: float) -> float:
        # Levels are sums of fractions: a hair below a whole one is a whole one.
        return 0.0 if level >= 1.0 - 1e-9 else (1.0 - level) / self._rate
