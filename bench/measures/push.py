"""From a committed event to the socket: CPU of the whole server process for one event to one socket.

A peer is told to send the bytes of an event to every socket. The gateway is measured twice: with its commits, less what
the same commits cost for users who are away; and with bells that were held back, rung as a peer's timer would.
"""

from dataclasses import dataclass

from bench.lineup import Entry, lineup
from bench.process import Failed, Process
from bench.results import Group
from bench.run import Run, Used

SECONDS_A_SOCKET = 20e-6
"""From wave to wave, so that a server which needs 10 µs an event is half busy."""
OURS = "oddswire"


@dataclass(slots=True)
class Stand:
    """A server, its load, and so many sockets between them."""

    entry: Entry
    server: Process
    load: Process
    sockets: int


def measure(run: Run) -> list[Group]:
    """Push to 100, 1,000 and 10,000 sockets of as many users, and to three sockets of each."""
    events = int(run.either(4_000, 20_000))
    groups = [_push(run, count, events) for count in (100, 1_000, *(() if run.quick else (10_000,)))]
    return [group for found in groups for group in found] + [_three(run, events)]


def _push(run: Run, count: int, events: int) -> list[Group]:
    count = min(count, run.sockets)
    group = Group(f"push to {count:,} sockets, one a user", "CPU µs an event", reference=OURS, chart=True)
    parts = Group(f"the gateway's own parts at {count:,} sockets", "CPU µs an event", reference="commit and push")
    group.row(OURS, note="bells rung as a peer's timer would")
    stands = []
    try:
        for entry in lineup(run.folder):
            if count <= 1_000 or entry.large:
                try:
                    stands.append(_stand(run, entry, count))
                except Failed as why:
                    group.without(entry.name, str(why))
        text = next(stand.server.ask("sample") for stand in stands if stand.entry.name == OURS)
        waves, gap = max(1, events // count), count * SECONDS_A_SOCKET
        for number in range(run.rounds + 1):
            for stand in stands[number % len(stands) :] + stands[: number % len(stands)]:
                _round(stand, group if number else Group("", ""), parts if number else Group("", ""), text, waves, gap)
    finally:
        for stand in stands:
            stand.server.stop()
            stand.load.stop()
    return [group, parts]


def _stand(run: Run, entry: Entry, count: int) -> Stand:
    server, port = entry.start(run.folder)
    try:
        tokens = None
        if entry.name == OURS:
            tokens = server.ask("users", prefix=f"here-{count}", count=count)
            server.ask("users", prefix=f"away-{count}", count=count)
        load = run.start_load(f"load of {entry.name}")
        load.ask("gather", port=port, kind=entry.kind, path=entry.path, count=count, tokens=tokens, seconds=120)
        return Stand(entry, server, load, count)
    except BaseException:
        server.stop()
        raise


def _round(stand: Stand, group: Group, parts: Group, text: str, waves: int, gap: float) -> None:
    events = waves * stand.sockets
    if stand.entry.name != OURS:
        used = pushed(stand.server, stand.load, events, "push", text=text, waves=waves, gap=gap)
        group.row(stand.entry.name).add(used.server / events * 1e6, used.load_share)
        return
    here, away = f"here-{stand.sockets}", f"away-{stand.sockets}"
    with Used(stand.server, stand.load) as alone:
        stand.server.ask("push", prefix=away, waves=waves, gap=gap)
    whole = pushed(stand.server, stand.load, events, "push", prefix=here, waves=waves, gap=gap)
    stand.server.ask("hold", prefix=here, waves=waves)
    rung = pushed(stand.server, stand.load, events, "let_go", waves=waves, gap=gap)
    parts.row("commit and push").add(whole.server / events * 1e6, whole.load_share)
    parts.row("commit, nobody connected").add(alone.server / events * 1e6)
    parts.row("push: the difference").add((whole.server - alone.server) / events * 1e6)
    parts.row("push: bells held back, then rung").add(rung.server / events * 1e6, rung.load_share)
    group.row(OURS).add(rung.server / events * 1e6, rung.load_share)


def pushed(server: Process, load: Process, events: int, do: str, **how: object) -> Used:
    """Return what was used from the order to push until the last event had been received."""
    load.ask("expect", events=events)
    with Used(server, load) as used:
        server.ask(do, seconds=120, **how)
        load.ask("received", seconds=120)
    return used


def _three(run: Run, events: int) -> Group:
    """Push to three sockets of each user, beside one socket of each of three times as many."""
    group = Group("three sockets a user", "CPU µs a frame", reference="one socket a user")
    users = min(300, run.sockets // 6)
    gap = 3 * users * SECONDS_A_SOCKET
    with run.gateway("three.db") as (server, port), run.load("load of one") as one, run.load("load of three") as three:
        for prefix, load, count, each in (("one", one, 3 * users, 1), ("three", three, users, 3)):
            tokens = server.ask("users", prefix=prefix, count=count)
            load.ask("gather", port=port, kind="gateway", path="/ws?appId=demo", count=3 * users, tokens=tokens, each=each)
        waves = max(1, events // (3 * users))
        for _ in range(run.rounds):
            for prefix, load, subject in (("one", one, "one socket a user"), ("three", three, "three sockets a user")):
                server.ask("hold", prefix=prefix, waves=waves)
                used = pushed(server, load, waves * 3 * users, "let_go", waves=waves, gap=gap)
                group.row(subject).add(used.server / (waves * 3 * users) * 1e6, used.load_share)
    return group
