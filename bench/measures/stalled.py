"""One reader in a thousand that reads nothing: what an event to the others costs."""

from bench.measures.push import SECONDS_A_SOCKET, pushed
from bench.process import Failed
from bench.results import Group
from bench.run import Run

FULL = 3_000
"""Events that fill what the kernel keeps for a socket at both its ends."""


def measure(run: Run) -> list[Group]:
    """Push to a crowd that reads, and to one in which one does not."""
    count, waves = min(1_000, run.sockets // 3), 5
    events, gap = count * waves, count * SECONDS_A_SOCKET
    group = Group(f"one stalled reader in {count:,}", "CPU µs an event to the others", reference="everybody reads")
    group.row("everybody reads")
    with (
        run.gateway("stalled.db") as (server, port),
        run.load("load of readers") as well,
        run.load("load of one") as ill,
    ):
        for prefix, load in (("well", well), ("ill", ill)):
            tokens = server.ask("users", prefix=prefix, count=count, within=120)
            load.ask("gather", port=port, kind="gateway", path="/ws?appId=demo", count=count, tokens=tokens)
        place = ill.ask("stall")
        server.ask("fill", prefix="ill", events=FULL, first=place, count=1)
        sides = [("everybody reads", "well", well, events), ("one does not", "ill", ill, events - waves)]
        for number in range(run.rounds):
            for subject, prefix, load, read in sides[:: 1 if number % 2 else -1]:
                server.ask("hold", prefix=prefix, waves=waves)
                used = pushed(server, load, read, "let_go", waves=waves, gap=gap)
                group.row(subject).add(used.server / read * 1e6, used.load_share)
        if gone := ill.ask("closed"):
            raise Failed(f"the stalled reader was closed within the measure: {gone}")
    return [group]
