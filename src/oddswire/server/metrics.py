"""What is counted: in a registry of its own a gateway, with labels that never name a user, an order or a token."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from oddswire.store.base import Bell, Ring

OrderOutcome = Literal["taken", "replayed", "unconfirmed", "rejected", "denied"]
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


@dataclass(frozen=True, slots=True)
class Reading:
    """A number, or one for each value of its labels, that is read when somebody asks."""

    kind: Literal["gauge", "counter"]
    name: str
    text: str
    read: Callable[[], Mapping[tuple[str, ...], float]]
    labels: tuple[str, ...] = ()


class _Readings(Collector):
    def __init__(self, readings: Sequence[Reading]) -> None:
        self._readings = readings

    def collect(self) -> Iterable[Metric]:
        """Yield them as they are now."""
        for reading in self._readings:
            kind = GaugeMetricFamily if reading.kind == "gauge" else CounterMetricFamily
            family = kind(f"oddswire_{reading.name}", reading.text, labels=reading.labels)
            for labels, value in reading.read().items():
                family.add_metric(labels, value)
            yield family


class Metrics:
    """The counters of one gateway."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
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

        self._outcomes: dict[OrderOutcome, Counter] = {
            outcome: self._orders.labels(outcome) for outcome in get_args(OrderOutcome)
        }
        self._counted: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def order(self, outcome: OrderOutcome) -> None:
        """Count an order."""
        self._outcomes[outcome].inc()

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request; `route` is its template, never its path."""
        counted = self._counted.get((method, route, status))
        if counted is None:
            # looking labels up costs more than counting
            counted = self._requests.labels(method, route, str(status)), self._seconds.labels(route)
            self._counted[method, route, status] = counted
        requests, took = counted
        requests.inc()
        took.observe(seconds)

    def committed(self, bells: Sequence[Bell]) -> None:
        """Count the events of a commit."""
        self._events.inc(sum(bell.last - bell.first + 1 for bell in bells if isinstance(bell, Ring)))

    def watch(self, readings: Sequence[Reading]) -> None:
        """Show these too."""
        self._registry.register(_Readings(readings))

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry)
