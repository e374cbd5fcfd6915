"""How much of something is let through, by whom: token buckets in a table that cannot grow without end."""

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple


class Standing(NamedTuple):
    """How somebody stands with an allowance: the most at once, how many are left, and seconds until all are again."""

    limit: int
    remaining: int
    reset: float

    def headers(self) -> dict[str, str]:
        """Return it as the `RateLimit-*` fields of an answer; seconds are whole ones, rounded up."""
        return {
            "ratelimit-limit": str(self.limit),
            "ratelimit-remaining": str(self.remaining),
            "ratelimit-reset": str(math.ceil(self.reset)),
        }


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

    def standing(self, key: str, now: float) -> Standing:
        """Return how a key stands; takes nothing."""
        level = self._level(key, now)
        return Standing(int(self._burst), max(0, int(level + 1e-9)), (self._burst - level) / self._rate)

    def take(self, key: str, now: float) -> float:
        """Take one and return 0.0; or take nothing and return the seconds after which to try again."""
        level = self._level(key, now)
        missing = self._missing(level)
        self._keep(key, level if missing else level - 1.0, now)
        return missing

    def give_back(self, key: str, now: float) -> None:
        """Take back a `take`."""
        self._keep(key, min(self._burst, self._level(key, now) + 1.0), now)

    def charge(self, key: str, now: float) -> None:
        """Take one even if there is none, down to a burst's debt: for what is known only once it has happened."""
        self._keep(key, max(-self._burst, self._level(key, now) - 1.0), now)

    def _keep(self, key: str, level: float, now: float) -> None:
        self._buckets[key] = (level, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._keys:
            self._buckets.popitem(last=False)

    def _level(self, key: str, now: float) -> float:
        level, at = self._buckets.get(key, (self._burst, now))
        return min(self._burst, level + max(0.0, now - at) * self._rate)

    def _missing(self, level: float) -> float:
        # Levels are sums of fractions: a hair below a whole one is a whole one.
        return 0.0 if level >= 1.0 - 1e-9 else (1.0 - level) / self._rate


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of what is let through: of users, of apps and of addresses; None is no limit.

    Failures are counted apart from what failed: `failed_sign_ins` by address, `failed_tokens` by address and, of tokens
    that are ours but not good any more, by token; `refused` by address, all calls of nobody that got a 4xx.
    """

    orders: Allowance
    reads: Allowance
    sign_ins: Allowance
    failed_sign_ins: Allowance
    failed_tokens: Allowance
    refused: Allowance
    app: Allowance | None
    address: Allowance | None
