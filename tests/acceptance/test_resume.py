"""Sockets may end at any moment in any way: joined by `since` and `epoch`, what a client hears is its stream."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.acceptance.follower import CUTS, Follower, are_whole, begin
from tests.acceptance.forked import forked_server
from tests.acceptance.server import UNLIMITED, Server, an_order

USERS = 20
ORDERS = 1_000
AT_ONCE = 16
FEWEST_CUTS = 200


@pytest.fixture
def forked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with forked_server(tmp_path_factory.mktemp("resume"), **UNLIMITED) as running:
        yield running


class Trading:
    """So many orders of many users, which also fill each other."""

    def __init__(self, followers: list[Follower], chance: random.Random) -> None:
        self.placed: Counter[Follower] = Counter()
        self.over = False
        self._news = asyncio.Condition()
        self._left = [follower for follower in followers for _ in range(ORDERS // len(followers))]
        self._chance = chance
        chance.shuffle(self._left)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            lanes = [group.create_task(self._lane()) for _ in range(AT_ONCE)]
        assert all(lane.done() for lane in lanes)
        await self._tell(over=True)

    async def _lane(self) -> None:
        while self._left:
            follower = self._left.pop()
            side = self._chance.choice(("yes", "no"))
            order = an_order(outcomeId=side, price=self._chance.choice((0.01, 0.5, 0.99)), size=1)
            async with follower.server.http(follower.token) as http:
                answer = await http.post("/trading/orders", json=order)
            assert answer.status_code == 201, answer.text
            self.placed[follower] += 1
            await self._tell()

    async def _tell(self, over: bool = False) -> None:
        async with self._news:
            self.over = self.over or over
            self._news.notify_all()

    async def missed(self, follower: Follower, orders: int) -> None:
        """Wait until that user has placed so many more orders, or all is placed."""
        goal = self.placed[follower] + orders
        async with self._news:
            await self._news.wait_for(lambda: self.over or self.placed[follower] >= goal)


class Cuts:
    """What has been done to the sockets, counted."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.catching_up = 0
        self.level = 0


async def live(follower: Follower, trading: Trading, chance: random.Random, cuts: Cuts) -> None:
    """Connect, hear a little, cut, stay away for a while; again and again until nothing more happens."""
    while True:
        await follower.connect()
        if trading.over:
            await follower.read_to(follower.greeting["head"])
            return
        behind = follower.greeting["head"] - follower.cursor
        wanted = follower.cursor + chance.randint(0, behind if chance.random() < 0.6 else behind + 4)
        listening = asyncio.create_task(follower.read_to(wanted))
        over = asyncio.create_task(trading.missed(follower, ORDERS))
        await asyncio.wait({listening, over}, return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        if not listening.done():  # nothing more will come, and it may have been stopped within a frame
            listening.cancel()
            await follower.cut("reset")
            continue
        listening.result()
        how = chance.choice(CUTS)
        cuts.kinds[how] += 1
        if follower.cursor < follower.greeting["head"]:
            cuts.catching_up += 1
        else:
            cuts.level += 1
        await follower.cut(how)
        await trading.missed(follower, chance.choice((0, 0, 1, 3, 8)))


async def test_cut_at_random_every_log_is_whole(forked: Server) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - shown where the test fails
    chance, cuts = random.Random(seed), Cuts()
    followers = [await begin(forked, f"user-{number}") for number in range(USERS)]
    trading = Trading(followers, chance)
    async with asyncio.TaskGroup() as group:
        group.create_task(trading.run())
        for follower in followers:
            group.create_task(live(follower, trading, random.Random(chance.random()), cuts))
    assert trading.placed.total() == ORDERS
    for follower in followers:
        await are_whole(follower)
    assert set(cuts.kinds) == set(CUTS)
    assert min(cuts.catching_up, cuts.level) > FEWEST_CUTS / 4, vars(cuts)
    assert cuts.kinds.total() > FEWEST_CUTS, vars(cuts)
