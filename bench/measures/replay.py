"""One client catches up over 100,000 events: how fast, and how much memory the server takes for it."""

from bench.results import Group
from bench.run import Run, Used


def measure(run: Run) -> list[Group]:
    """Resume from the beginning, again and again."""
    events = int(run.either(20_000, 100_000))
    rate = Group(f"replay of {events:,} events to one client", "events a second")
    cost = Group("what it costs", "CPU µs an event")
    growth = Group("how much the server's memory rose meanwhile", "KiB")
    with run.gateway("replay.db") as (server, port), run.load() as load:
        tokens = server.ask("users", prefix="replay", count=1)
        server.ask("fill", prefix="replay", events=events, within=200)
        path = f"/ws?appId=demo&since=0&epoch={server.ask('epoch', prefix='replay')}"
        for _ in range(run.rounds):
            server.forget_peak()
            before = server.memory()["rss"]
            load.ask("expect", events=events)
            with Used(server, load) as used:
                load.ask("gather", port=port, kind="gateway", path=path, count=1, tokens=tokens)
                load.ask("received", within=120, seconds=110)
            rate.row("one client").add(events / used.seconds, used.load_share)
            cost.row("one client").add(used.server / events * 1e6)
            growth.row("peak over before").add((server.memory()["peak"] - before) / 1024)
            load.ask("leave")
    return [rate, cost, growth]
