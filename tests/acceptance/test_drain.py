"""SIGTERM: sockets stay to the end of the window, are sent away with when to come back, and the process exits 0.

Started again on the same port, the gateway sees them all return, spread over the seconds that they were told.
"""

import asyncio
import contextlib
import itertools
import random
import resource
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.acceptance.follower import Follower, are_whole, begin
from tests.acceptance.server import UNLIMITED, Server, an_order, running_server

USERS = 25
SCREENS = 20
CLIENTS = USERS * SCREENS
DRAIN_SECONDS = 2
FIRST, LAST = 2, 10
"""Seconds over which those who were sent away come back."""
LATEST = 3
"""Seconds that one may be late for having found nobody there, on a slow machine."""


class Return(NamedTuple):
    """One client's: when it was closed (monotonic seconds), for how many seconds it was sent away, when it was back."""

    closed_at: float
    away: float
    back_at: float


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running_server(tmp_path, ODDSWIRE_DRAIN_SECONDS=str(DRAIN_SECONDS), **UNLIMITED) as running:
        yield running


@contextlib.contextmanager
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096) if hard != resource.RLIM_INFINITY else 4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def screens_of(server: Server, user: str) -> list[Follower]:
    first = await begin(server, user)
    return [first] + [Follower(server, first.token, first.epoch) for _ in range(SCREENS - 1)]


async def until_sent_away_and_back(client: Follower, closed: asyncio.Event) -> Return:
    """Hear events until the close, wait as long as it says, and resume."""
    while await client.read(30):
        pass
    closed_at = time.monotonic()
    closed.set()
    assert client.ended is not None, "the socket broke off without a close frame"
    code, reason = client.ended
    assert (code, reason["code"]) == (4300, "draining")
    away = reason["retryAfterMs"] / 1000
    await asyncio.sleep(away)
    async with asyncio.timeout(30):
        while True:
            try:
                await client.connect()
                return Return(closed_at, away, time.monotonic())
            except OSError:  # not started again yet
                await asyncio.sleep(random.uniform(0.5, 1.5))


@dataclass
class Trading:
    """Orders of all users in turn, also while nobody answers; `answers` counts them by status."""

    owners: list[Follower]
    answers: Counter[int] = field(default_factory=Counter)
    over: bool = False

    async def run(self) -> None:
        async with self.owners[0].server.http("") as http:
            for owner in itertools.cycle(self.owners):
                if self.over:
                    return
                headers = {"authorization": f"Bearer {owner.token}"}
                try:
                    answer = await http.post("/trading/orders", json=an_order(size=1), headers=headers)
                except httpx.TransportError:
                    await asyncio.sleep(0.1)  # its next try
                else:
                    self.answers[answer.status_code] += 1

    async def goes_on(self, orders: int = USERS) -> None:
        """Wait until so many more have been taken."""
        goal = self.answers[201] + orders
        async with asyncio.timeout(20):
            while self.answers[201] < goal:
                await asyncio.sleep(0.01)


@pytest.mark.timeout(120)
async def test_five_hundred_are_sent_away_and_come_back_without_a_herd_or_a_hole(server: Server) -> None:
    by_user = [await screens_of(server, f"user-{number}") for number in range(USERS)]
    clients = list(itertools.chain.from_iterable(by_user))
    closed, trading = asyncio.Event(), Trading([screens[0] for screens in by_user])
    with many_files():
        await asyncio.gather(*(client.connect() for client in clients))
        async with asyncio.TaskGroup() as group:
            group.create_task(trading.run())
            away = [group.create_task(until_sent_away_and_back(client, closed)) for client in clients]
            await trading.goes_on()
            assert server.details()["connections"] == CLIENTS
            assert server.process is not None
            server.process.send_signal(signal.SIGTERM)
            asked = time.monotonic()
            await trading.goes_on(2)
            assert not closed.is_set(), "orders are taken while the window lasts"
            assert await asyncio.to_thread(server.process.wait, DRAIN_SECONDS + 10) == 0
            await asyncio.to_thread(server.start, ODDSWIRE_DRAIN_SECONDS="0", **UNLIMITED)
            up_at = time.monotonic()
            returns = await asyncio.gather(*away)
            await trading.goes_on()
            trading.over = True
        for screens in by_user:
            async with server.http(screens[0].token) as http:
                head = (await http.get("/trading/balance")).json()["seq"]
            await asyncio.gather(*(screen.read_to(head) for screen in screens))
            await are_whole(*screens)
            for screen in screens:
                screen.client.hang_up()
    assert set(trading.answers) <= {201, 503}
    assert min(one.closed_at for one in returns) - asked >= DRAIN_SECONDS - 0.1
    is_no_herd(returns, up_at)


def is_no_herd(returns: list[Return], up_at: float) -> None:
    """Check that they were spread over the promised seconds, and that each was back when it was due."""
    by_second = Counter(int(one.away) for one in returns)
    assert by_second.total() == CLIENTS
    assert all(FIRST <= one.away <= LAST for one in returns)
    assert all(0 < by_second[second] <= CLIENTS / 4 for second in range(FIRST, LAST)), by_second
    late = [one.back_at - max(one.closed_at + one.away, up_at) for one in returns]
    assert max(late) <= LATEST, "those who come back are served at once"
    assert any(one.closed_at + one.away > up_at for one in returns)
