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
FEW, APART = 64, 0.003
"""Sockets that get an event together, as from one commit, and seconds from one such wave to the next."""
OURS = "oddswire"


@dataclass(slots=True)
class Stand:
    """A server, its load, and so many sockets between them."""

    entry: Entry
    server: Process
    port: int
    load: Process
    sockets: int = 0

    def gather(self, count: int) -> None:
        """Have so many sockets, all of them new."""
        tokens = None
        if self.entry.name == OURS:
            tokens = self.server.ask("users", prefix=f"here-{count}", count=count, within=200)
            self.server.ask("users", prefix=f"away-{away(count)}", count=away(count), within=200)
        kind, path = self.entry.kind, self.entry.path
        self.load.ask("leave")
        self.load.ask("gather", port=self.port, kind=kind, path=path, count=count, tokens=tokens, within=120)
        self.sockets = count

    def stop(self) -> None:
        """End both."""
        self.server.stop()
        self.load.stop()


def measure(run: Run) -> list[Group]:
    """Push to 100, 1,000 and 10,000 sockets of as many users, and to three sockets of each."""
    events = int(run.either(4_000, 20_000))
    groups = _sizes(run, (FEW, 100, 1_000), lineup(run.folder), events)
    if not run.quick:
        groups += _sizes(run, (10_000,), [entry for entry in lineup(run.folder) if entry.large], events)
    return [*groups, _three(run, events)]


def _sizes(run: Run, sizes: tuple[int, ...], entries: list[Entry], events: int) -> list[Group]:
    """Push to crowds of these sizes, one after the other, all servers in turn in each round."""
    found: list[Group] = []
    few = int(run.either(2_000, 4_000))
    stands, missing = [], {}
    try:
        for entry in entries:
            try:
                server, port = entry.start(run.folder)
            except Failed as why:
                missing[entry.name] = str(why)
                continue
            stands.append(Stand(entry, server, port, run.start_load(f"load of {entry.name}")))
        for size in sizes:
            how = (few, APART) if size == FEW else (events, None)
            found += _push(run, min(size, run.sockets), stands, missing, *how)
    finally:
        for stand in stands:
            stand.stop()
    return found


def _push(
    run: Run, count: int, stands: list[Stand], missing: dict[str, str], events: int, gap: float | None = None
) -> list[Group]:
    how = "" if gap is None else f", {gap * 1000:.0f} ms apart"
    group = Group(f"push to {count:,} sockets, one a user{how}", "CPU µs an event", reference=OURS, chart=True)
    parts = Group(f"the gateway's own parts at {count:,} sockets{how}", "CPU µs an event", reference="commit and push")
    group.row(OURS, note="bells rung as a peer's timer would")
    for stand in stands:
        stand.gather(count)
    text = next(stand.server.ask("sample") for stand in stands if stand.entry.name == OURS)
    waves, gap = max(1, events // count), gap or count * SECONDS_A_SOCKET
    first = (Group("", ""), Group("", ""))
    for number in range(run.rounds + 1):
        # the first round warms everything up, and does not count
        into = (group, parts) if number else first
        for stand in stands[number % len(stands) :] + stands[: number % len(stands)]:
            _round(stand, *into, text, waves, gap)
    for name, why in missing.items():
        group.without(name, why)
    return [group, parts]


def away(count: int) -> int:
    """Return for how many users who are not connected the same number of events is committed."""
    return min(count, 1_000)


def _round(stand: Stand, group: Group, parts: Group, text: str, waves: int, gap: float) -> None:
    events = waves * stand.sockets
    if stand.entry.name != OURS:
        used = pushed(stand.server, stand.load, events, "push", text=text, waves=waves, gap=gap)
        group.row(stand.entry.name).add(used.server / events * 1e6, used.load_share)
        return
    here = f"here-{stand.sockets}"
    with Used(stand.server, stand.load) as alone:
        gone = away(stand.sockets)
        stand.server.ask("push", prefix=f"away-{gone}", waves=events // gone, gap=gap * gone / stand.sockets)
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
        server.ask(do, within=120, **how)
        load.ask("received", within=120, seconds=110)
    return used


def _three(run: Run, events: int) -> Group:
    """Push to three sockets of each user, beside one socket of each of three times as many."""
    group = Group("three sockets a user", "CPU µs a frame", reference="one socket a user")
    users = min(300, run.sockets // 6)
    gap = 3 * users * SECONDS_A_SOCKET
    with run.gateway("three.db") as (server, port), run.load("load of one") as one, run.load("load of three") as three:
        for prefix, load, count, each in (("one", one, 3 * users, 1), ("three", three, users, 3)):
            tokens = server.ask("users", prefix=prefix, count=count)
            load.ask(
                "gather", port=port, kind="gateway", path="/ws?appId=demo", count=3 * users, tokens=tokens, each=each
            )
        waves = max(1, events // (3 * users))
        for _ in range(run.rounds):
            for prefix, load, subject in (("one", one, "one socket a user"), ("three", three, "three sockets a user")):
                server.ask("hold", prefix=prefix, waves=waves)
                used = pushed(server, load, waves * 3 * users, "let_go", waves=waves, gap=gap)
                group.row(subject).add(used.server / (waves * 3 * users) * 1e6, used.load_share)
    return group
