"""What an order and an event cost as more and more events are stored, and how long a start takes then."""

import contextlib
import time
from pathlib import Path

from bench.measures.orders import CALLERS, RESTING
from bench.measures.push import SECONDS_A_SOCKET, pushed
from bench.process import Failed, Process
from bench.results import Group
from bench.run import Run, Used
from bench.servers.stored import store_events

KEEPERS = 100
"""Users whose streams hold the stored events."""
SOCKETS = 100


def measure(run: Run) -> list[Group]:
    """Run a gateway on each of the databases, and take turns."""
    most = min(run.stored, 10_000) if run.quick else run.stored
    sizes = [10**power for power in range(3, 8) if 10**power <= most]
    reference = named(sizes[0])
    orders = Group("an order, as the log grows", "CPU µs an order", reference=reference)
    events = Group("an event, committed and pushed, as the log grows", "CPU µs an event", reference=reference)
    with contextlib.ExitStack() as stack:
        stands = []
        for size in sizes:
            server, port = stack.enter_context(run.gateway(stored(run, size).name))
            load = stack.enter_context(run.load(f"load of {size}"))
            tokens = server.ask("users", prefix="placing", count=CALLERS)
            hearing = server.ask("users", prefix="hearing", count=SOCKETS)
            load.ask("gather", port=port, kind="gateway", path="/ws?appId=demo", count=SOCKETS, tokens=hearing)
            stands.append((named(size), server, load, port, tokens))
        for number in range(run.rounds):
            for subject, server, load, port, tokens in stands[number % len(stands) :] + stands[: number % len(stands)]:
                _orders(run, orders, subject, server, load, port, tokens)
                waves = int(run.either(5, 20))
                used = pushed(
                    server,
                    load,
                    SOCKETS * waves,
                    "push",
                    prefix="hearing",
                    waves=waves,
                    gap=SOCKETS * SECONDS_A_SOCKET,
                )
                events.row(subject).add(used.server / (SOCKETS * waves) * 1e6, used.load_share)
    return [orders, events]


def starts(run: Run) -> list[Group]:
    """Start a gateway on a database with many events and on one with none, in turn."""
    most = min(run.stored, 100_000) if run.quick else min(run.stored, 1_000_000)
    group = Group("from start to ready", "seconds", reference=named(0))
    databases = [(named(0), stored(run, 0)), (named(most), stored(run, most))]
    for number in range(run.rounds):
        for subject, database in databases[:: 1 if number % 2 else -1]:
            began = time.perf_counter()
            with run.gateway(database.name):
                group.row(subject).add(time.perf_counter() - began)
    return [group]


def named(size: int) -> str:
    """Return what the figures of that many events are called."""
    return f"{size:,} events stored"


def stored(run: Run, size: int) -> Path:
    """Return a database with that many events, made where it is not there yet."""
    database = run.folder / f"stored-{size}.db"
    if not database.exists():
        with run.gateway(database.name) as (server, _):
            server.ask("users", prefix="keeping", count=KEEPERS)
        if size:
            store_events(database, "keeping", size)
    return database


def _orders(run: Run, group: Group, subject: str, server: Process, load: Process, port: int, tokens: str) -> None:
    with Used(server, load) as used:
        found = load.ask("closed_loop", port=port, tokens=tokens, price=RESTING, seconds=run.either(0.3, 1.0))
    if found["other"] or not found["placed"]:
        raise Failed(f"{subject}: answers that were no 201: {found['other']}, such as {found['last']}")
    group.row(subject).add(used.server / found["placed"] * 1e6, used.load_share)
