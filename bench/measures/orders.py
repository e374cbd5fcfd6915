"""Durable orders a second, `synchronous=FULL`: at the desk, over REST, and beside the usual way to write the same."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.lineup import PEER_PYTHON, Entry
from bench.process import Failed, Process
from bench.results import Group
from bench.run import Run, Used

RESTING, FILLING = "0.01", "0.99"
CALLERS = 32


def measure(run: Run) -> list[Group]:
    """Place resting and filling orders, in turn at each of them."""
    rates = Group("durable orders", "orders a second", reference="REST, resting", chart=True)
    costs = Group("what an order costs", "CPU µs an order", reference="REST, resting")
    waits = Group(f"answers to {CALLERS} callers", "ms, p99", reference="REST, resting")
    with contextlib.ExitStack() as stack:
        load = stack.enter_context(run.load())
        desk = stack.enter_context(_desk(run))
        server, port = stack.enter_context(run.gateway("orders.db"))
        tokens = server.ask("users", prefix="orders", count=CALLERS)
        stands = [("REST, resting", server, port, tokens, RESTING), ("REST, filling", server, port, tokens, FILLING)]
        try:
            stands.append(stack.enter_context(_fastapi(run)))
        except Failed as why:
            rates.without("FastAPI + SQLAlchemy + aiosqlite", str(why))
        for number in range(run.rounds):
            for subject, process, at, who, price in stands[number % 2 :] + stands[: number % 2]:
                _rest(run, load, process, (rates, costs, waits), subject, port=at, tokens=who, price=price)
            for subject, price in (("desk, resting", RESTING), ("desk, filling", FILLING)):
                seconds = run.either(0.4, 1.5)
                before = desk.cpu()
                rate = desk.ask("place", price=price, seconds=seconds, callers=64)
                rates.row(subject).add(rate)
                costs.row(subject).add((desk.cpu() - before) / (rate * seconds) * 1e6)
    return [rates, costs, waits]


def _rest(run: Run, load: Process, server: Process, into: tuple[Group, ...], subject: str, **how: Any) -> None:
    with Used(server, load) as used:
        found = load.ask("closed_loop", seconds=run.either(0.5, 2.0), **how)
    if found["other"] or not found["placed"]:
        raise Failed(f"{subject}: answers that were no 201: {found['other']}, such as {found['last']}")
    rates, costs, waits = into
    rates.row(subject).add(found["placed"] / found["seconds"], used.load_share)
    costs.row(subject).add(used.server / found["placed"] * 1e6, used.load_share)
    waits.row(subject).add(found["p99_ms"])


@contextlib.contextmanager
def _desk(run: Run) -> Iterator[Process]:
    command = (sys.executable, "-m", "bench.servers.desk", str(run.folder / "desk.db"))
    process, _ = Entry("desk", command).start(run.folder)
    try:
        yield process
    finally:
        process.stop()


@contextlib.contextmanager
def _fastapi(run: Run) -> Iterator[tuple[str, Process, int, str, str]]:
    missing = "" if PEER_PYTHON.exists() else ".venv-bench is not built: `make bench` builds it"
    command = (str(PEER_PYTHON), "-m", "bench.peers.fastapi_orders", str(run.folder / "fastapi.db"))
    name = "FastAPI + SQLAlchemy + aiosqlite"
    process, port = Entry(name, command, missing=missing).start(run.folder)
    try:
        tokens = Path(run.folder, "fastapi.tokens")
        tokens.write_text("\n".join(process.ask("users", prefix="orders", count=CALLERS)))
        yield name, process, port, str(tokens), RESTING
    finally:
        process.stop()
