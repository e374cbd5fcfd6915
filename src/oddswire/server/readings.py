"""The numbers that are not counted as things happen, but read when somebody asks for the metrics."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, Protocol, get_args

from oddswire.auth.outside import Outside
from oddswire.clock import Clock
from oddswire.errors import Unavailable
from oddswire.orders.pulse import Pulse, PulseStatus
from oddswire.server.metrics import Reading
from oddswire.store.base import Store
from oddswire.streams.disconnects import Disconnects
from oddswire.streams.hub import Hub
from oddswire.streams.roster import Roster

READ_SECONDS: Final = 2.0
"""How long the store may take to count orders before the metrics are told without them."""
Values = Mapping[tuple[str, ...], float]


class Diligence(Protocol):
    """What a store counts of its own work."""

    units: int
    batches: int
    failures: int

    @property
    def waiting(self) -> int:
        """How many units wait for the writer now."""
        ...


class Unsettled(NamedTuple):
    """Orders of a venue that have a status whose end is not known yet; `oldest` in ms."""

    venue: str
    status: str
    orders: int
    oldest: int


class Census:
    """Unsettled orders, as of the last `take`; none are told where the store could not be read."""

    def __init__(self, store: Store, clock: Clock, pulses: Mapping[str, Pulse]) -> None:
        self._store = store
        self._clock = clock
        self._pulses = pulses
        self._rows: list[Unsettled] | None = None

    async def take(self) -> None:
        """Count them, once for everything that is told next."""
        self._rows = None
        try:
            async with asyncio.timeout(READ_SECONDS):
                self._rows = await self._store.read(lambda tx: tx.all(Unsettled, "census.unsettled"))
        except (Unavailable, TimeoutError):
            # that they are missing is what can be told; why is in the log of whoever needed the store
            return

    def counts(self) -> Values:
        """Return how many there are, by venue and status."""
        if self._rows is None:
            return {}
        counts: dict[tuple[str, ...], float] = {}
        for venue in self._pulses:
            counts[venue, "pending"] = counts[venue, "unconfirmed"] = 0.0
        for row in self._rows:
            counts[row.venue, row.status] = float(row.orders)
        return counts

    def ages(self) -> Values:
        """Return the age of the oldest in seconds, by venue; 0 where there is none."""
        if self._rows is None:
            return {}
        now = self._clock.now()
        ages: dict[tuple[str, ...], float] = {(venue,): 0.0 for venue in self._pulses}
        for row in self._rows:
            ages[(row.venue,)] = max(ages.get((row.venue,), 0.0), (now - row.oldest) / 1000)
        return ages


def readings(
    store: Diligence,
    roster: Roster,
    hub: Hub,
    pulses: Mapping[str, Pulse],
    census: Census,
    disconnects: Disconnects,
    stopped: Mapping[str, int],
) -> list[Reading]:
    """Return what is read of these parts of a gateway."""
    return [
        Reading("gauge", "connections", "Open sockets", _alone(lambda: len(roster))),
        Reading("gauge", "connections_catching_up", "Sockets behind their stream", _alone(hub.catching_up)),
        Reading("gauge", "streams_heard", "Streams that some socket hears", _alone(lambda: len(hub))),
        Reading(
            "counter",
            "sockets_closed",
            "Sockets that ended, by close code",
            lambda: {(code,): float(count) for code, count in roster.closed.items()},
            ("code",),
        ),
        Reading(
            "gauge", "sessions_armed", "Sessions armed with cancel on disconnect", _alone(lambda: len(disconnects))
        ),
        Reading(
            "counter",
            "orders_canceled_on_disconnect",
            "Orders canceled because their session had been gone too long",
            _alone(lambda: disconnects.canceled),
        ),
        Reading(
            "counter",
            "calls_stopped",
            "Calls and connects stopped before anything of them was looked at",
            lambda: {(why,): float(count) for why, count in stopped.items()},
            ("reason",),
        ),
        Reading("gauge", "store_waiting", "Units of work that wait for the writer", _alone(lambda: store.waiting)),
        Reading("counter", "store_units", "Units of work committed", _alone(lambda: store.units)),
        Reading("counter", "store_batches", "Commits", _alone(lambda: store.batches)),
        Reading("counter", "store_failures", "Units of work that could not be stored", _alone(lambda: store.failures)),
        Reading("gauge", "orders_unsettled", "Orders whose end is not known yet", census.counts, ("venue", "status")),
        Reading("gauge", "orders_unsettled_oldest_seconds", "Age of the oldest of these", census.ages, ("venue",)),
        Reading(
            "gauge",
            "venue_status",
            "1 for how a venue is doing now",
            lambda: {
                (venue, status): float(pulse.status == status)
                for venue, pulse in pulses.items()
                for status in get_args(PulseStatus)
            },
            ("venue", "status"),
        ),
    ]


def provider_readings(outside: Outside) -> list[Reading]:
    """Return what is read of the apps' identity providers."""
    return [
        Reading(
            "gauge",
            "provider_keys_age_seconds",
            "Age of the keys of an app's identity provider",
            lambda: {(app,): age for app, age in outside.ages().items()},
            ("app",),
        ),
        Reading(
            "counter",
            "provider_keys_failures",
            "How often they could not be read",
            lambda: {(app,): float(count) for app, count in outside.failures().items()},
            ("app",),
        ),
    ]


def _alone(read: Callable[[], float]) -> Callable[[], Values]:
    return lambda: {(): float(read())}
