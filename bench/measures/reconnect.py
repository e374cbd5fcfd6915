"""Everybody reconnects at once, each resuming over ten missed events, while others trade."""

import time
from typing import Any

from bench.load.orders import percentiles
from bench.measures.latency import checked
from bench.measures.orders import RESTING
from bench.results import Group
from bench.run import Run

MISSED = 10
OTHERS = 20
OTHERS_RATE = 100


def measure(run: Run) -> list[Group]:
    """Let 10,000 clients (1,000 where it is quick) lose their sockets, and come back."""
    count = min(int(run.either(1_000, 10_000)), run.sockets)
    level = Group(
        f"{count:,} clients reconnect at once, each over {MISSED} missed events", "seconds until all are level"
    )
    others = Group("order to event of other users meanwhile", "ms", reference="calm, p99")
    faults = Group("connections that had to be tried again", "connections")
    with run.gateway("push.db") as (server, port), run.load() as load, run.load("load of others") as other:
        tokens = server.ask("users", prefix=f"here-{count}", count=count, within=200)
        away = server.ask("users", prefix="others", count=OTHERS)
        how: dict[str, Any] = {"port": port, "tokens": away, "price": RESTING, "rate": OTHERS_RATE}
        for _ in range(run.rounds):
            load.ask("gather", port=port, kind="gateway", path="/ws?appId=demo", count=count, tokens=tokens, within=120)
            load.ask("leave")
            server.ask("push", prefix=f"here-{count}", waves=MISSED, gap=0, within=200)
            seconds = run.either(2.0, 12.0)
            other.tell("open_loop", seconds=seconds, **how)
            time.sleep(seconds / 3)  # the time before is what the storm is compared with
            back = load.ask("come_back", port=port, tokens=tokens, missed=MISSED, within=200)
            found = other.answer(120)
            checked("others", found)
            level.row("all clients").add(back["ended"] - back["began"], back["load_share"])
            calm = [took for sent, took in found["took"] if sent < back["began"]]
            storm = [took for sent, took in found["took"] if back["began"] <= sent <= back["ended"]]
            others.row("calm, p99").add(percentiles(calm)["p99_ms"])
            others.row("during the storm, p50").add(percentiles(storm)["p50_ms"])
            others.row("during the storm, p99").add(percentiles(storm)["p99_ms"])
            faults.row("all clients").add(sum(back["faults"].values()))
            faults.row("all clients").note = ", ".join(back["faults"])
            load.ask("leave")
    return [level, others, faults]
