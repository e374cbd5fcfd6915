"""From sending an order to receiving its `order_submitted`, at a rate that does not wait for answers."""

import statistics
from typing import Any

from bench import machine
from bench.load.orders import percentiles
from bench.measures.orders import RESTING
from bench.process import Failed, Process
from bench.results import Group
from bench.run import Run, Used

USERS = 64
RATE = 500
BUSY = 0.85
"""How much of its core the server is to be kept busy with, where it is to be busy."""
PROBES = 4


def measure(run: Run) -> list[Group]:
    """Send 500 orders a second, then as many as take the server 85 % of its core."""
    group = Group("order sent to its order_submitted received", "ms", reference="fdatasync, p50")
    busy = Group("how busy the server was", "share of its core")
    rates = Group("orders sent a second", "orders a second")
    with run.gateway("latency.db") as (server, port), run.load() as load:
        tokens = server.ask("users", prefix="latency", count=USERS)
        rate = _keeping_busy(run, server, load, port, tokens)
        for _ in range(run.rounds):
            flush = machine.fdatasync_ms(run.folder)
            group.row("fdatasync, p50").add(statistics.median(flush))
            used = _flow(run, server, load, group, f"{RATE} orders a second", RATE, port, tokens)
            busy.row(f"{RATE} orders a second").add(used.server_share, used.load_share)
            rates.row("as many as keep it busy").add(rate)
            used = _flow(run, server, load, group, "as many as keep it busy", rate, port, tokens)
            busy.row("as many as keep it busy").add(used.server_share, used.load_share)
            busy.row("its loop's thread alone").add(used.loop / used.seconds)
    return [group, busy, rates]


def _flow(
    run: Run, server: Process, load: Process, group: Group, subject: str, rate: float, port: int, tokens: str
) -> Used:
    seconds = run.either(1.0, 4.0)
    with Used(server, load) as used:
        found = load.ask("open_loop", port=port, tokens=tokens, price=RESTING, rate=rate, seconds=seconds, within=120)
    checked(subject, found)
    for name, value in percentiles([took for _, took in found["took"]]).items():
        if name != "most_ms":
            group.row(f"{subject}, {name.removesuffix('_ms')}").add(value)
    return used


def _keeping_busy(run: Run, server: Process, load: Process, port: int, tokens: str) -> float:
    """Return a rate that keeps the server so busy: above what it can do every order would only wait in a queue."""
    seconds = run.either(0.5, 2.0)
    found = load.ask("closed_loop", port=port, tokens=tokens, price=RESTING, seconds=seconds)
    most = float(found["placed"]) / float(found["seconds"])
    rate = BUSY * most
    for _ in range(PROBES):
        with Used(server, load) as used:
            load.ask("open_loop", port=port, tokens=tokens, price=RESTING, rate=rate, seconds=seconds, within=120)
        rate = min(rate * BUSY / used.server_share, most)
    return rate


def checked(subject: str, found: dict[str, Any]) -> None:
    """Raise Failed where an order was refused or never told."""
    if found["other"] or found["untold"] or not found["took"]:
        raise Failed(f"{subject}: refused {found['other']}, never told {found['untold']}")
