"""Memory of an idle connection, at 10,000 of them."""

from pathlib import Path

from bench.lineup import Entry, lineup
from bench.measures.push import OURS
from bench.process import Failed, Process
from bench.results import Group, Row
from bench.run import Run


def measure(run: Run) -> list[Group]:
    """Start each server, connect, and look how much larger it has become."""
    count = min(int(run.either(1_000, 10_000)), run.sockets)
    rss = Group(f"memory of an idle connection, at {count:,}", "KiB, RSS", reference=OURS, chart=True)
    pss = Group(f"the same without what processes share, at {count:,}", "KiB, PSS", reference=OURS)
    entries = [entry for entry in lineup(run.folder) if entry.large]
    for _ in range(run.rounds):
        for entry in entries:
            try:
                if entry.name == OURS:
                    _prepare(run, entry, count)
                before, after = _grown(run, entry, count)
            except Failed as why:
                rss.without(entry.name, str(why))
                pss.without(entry.name, str(why))
                continue
            for group, kind in ((rss, "rss"), (pss, "pss")):
                group.row(entry.name).add((after[kind] - before[kind]) / count / 1024)
    return [rss, pss]


def _grown(run: Run, entry: Entry, count: int) -> tuple[dict[str, int], dict[str, int]]:
    server, port = entry.start(run.folder)
    try:
        before = server.memory()
        with run.load() as load:
            _gather(load, entry, port, count, _tokens(run, entry, count))
            return before, server.memory()
    finally:
        server.stop()


def _prepare(run: Run, entry: Entry, count: int) -> None:
    """Make the users once for all rounds, in a process of their own: making them leaves its traces in memory."""
    if not Path(_tokens(run, entry, count) or "").exists():
        server, _ = entry.start(run.folder)
        try:
            server.ask("users", prefix=f"here-{count}", count=count, within=200)
        finally:
            server.stop()


def _tokens(run: Run, entry: Entry, count: int) -> str | None:
    return str(run.folder / f"push-here-{count}.tokens") if entry.name == OURS else None


def _gather(load: Process, entry: Entry, port: int, count: int, tokens: str | None) -> None:
    load.ask("gather", port=port, kind=entry.kind, path=entry.path, count=count, tokens=tokens, within=120)


def profile(run: Run) -> list[Group]:
    """Tell which lines of the gateway hold the memory of its connections; slow, and nothing else is measured."""
    count = min(1_000, run.sockets)
    group = Group(f"who allocated what {count:,} idle connections keep", "bytes a connection")
    entry = lineup(run.folder)[0]
    _prepare(run, entry, count)
    server, port = entry.start(run.folder)
    try:
        server.ask("trace")
        with run.load() as load:
            _gather(load, entry, port, count, _tokens(run, entry, count))
            for line in server.ask("traced", lines=30):
                where = "/".join(str(line["where"]).split("/")[-2:])
                group.rows.append(Row(where, [line["bytes"] / count], note=f"{line['objects'] / count:.1f} objects"))
    finally:
        server.stop()
    return [group]
