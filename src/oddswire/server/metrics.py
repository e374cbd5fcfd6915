"""What is counted: in a registry of its own a gateway, with labels that never name a user, an order or a token."""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from oddswire.store.base import Bell, Ring

OrderOutcome = Literal["taken", "replayed", "unconfirmed", "rejected", "denied"]
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Readings(Collector):
    """Numbers that are read when somebody asks, by name and help text."""

    def __init__(
        self, gauges: dict[str, tuple[str, Callable[[], float]]], counters: dict[str, tuple[str, Callable[[], float]]]
    ) -> None:
        self._gauges = gauges
        self._counters = counters

    def collect(self) -> Iterable[Metric]:
        """Yield them as they are now."""
        for name, (text, read) in self._gauges.items():
            yield GaugeMetricFamily(f"oddswire_{name}", text, value=read())
        for name, (text, read) in self._counters.items():
            yield CounterMetricFamily(f"oddswire_{name}", text, value=read())


class Metrics:
    """The counters of one gateway."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._orders = Counter(
            "oddswire_orders", "Orders by what became of the call", ("outcome",), registry=self._registry
        )
        self._events = Counter("oddswire_events", "Events committed", registry=self._registry)
        self._requests = Counter(
            "oddswire_http_requests",
            "Requests by route and status",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "oddswire_http_request_seconds",
            "Time to answer a request",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )

    def order(self, outcome: OrderOutcome) -> None:
        """Count an order."""
        self._orders.labels(outcome).inc()

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request; `route` is its template, never its path."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def committed(self, bells: Sequence[Bell]) -> None:
        """Count the events of a commit."""
        self._events.inc(sum(bell.last - bell.first + 1 for bell in bells if isinstance(bell, Ring)))

    def watch(self, readings: Readings) -> None:
        """Show these too."""
        self._registry.register(readings)

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry)
