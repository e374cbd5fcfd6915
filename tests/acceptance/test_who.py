"""Whatever happens in whatever order: nothing is written to a client of one it is not at that moment."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from structlog.testing import capture_logs

from oddswire.auth import apps, sessions
from oddswire.auth.authority import Authority
from oddswire.auth.identity import Identity
from oddswire.server.event_stream import EventStream
from oddswire.streams.connection import Connection
from oddswire.streams.delivery import Delivery
from oddswire.streams.roster import Roster
from tests.acceptance.who import APPS, KEY_AGE_MS, NOBODY, USERS, Client, Pass, Reader, Screen, World, world

SEEDS = 12
STEPS = 400
MOST_CLIENTS = 24
REST_SECONDS = 5
ENDED = "session (that )?has ended|is still connected|has not ended"


def _takes_anything(authority: Authority, token: str, app_id: str) -> Identity:
    """Verify a token but for its end and for revocations."""
    with patch.object(authority.revocations, "is_revoked", lambda _: False):
        before = authority._clock.now() - KEY_AGE_MS // 2
        return replace(authority._verifier.verify(token, app_id, before), expires_at=1 << 62)


class Driver:
    """Does one random thing after the other, many of them while others are still under way."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self.world = world
        self.chance = chance
        self.under_way: set[asyncio.Task[None]] = set()
        self.one_at_a_time = asyncio.Lock()
        self.steps: list[tuple[int, Callable[[], Awaitable[None] | None]]] = [
            (10, self.connect),
            (4, self.follow),
            (24, self.authenticate),
            (40, self.commit),
            (12, self.time_passes),
            (10, self.stop_reading),
            (12, self.read_on),
            (3, self.hang_up),
            (3, self.sign_out),
            (2, self.revoke_elsewhere),
            (1, self.kick),
        ]

    async def run(self) -> None:
        """Do it all, then let it come to rest and see that nobody was forgotten."""
        weights = [weight for weight, _ in self.steps]
        for number in range(STEPS):
            if number == STEPS * 3 // 4:
                self._start(self.switch_off())
            (step,) = self.chance.choices([step for _, step in self.steps], weights)
            doing = step()
            if doing is not None:
                self._start(doing)
            self.world.clock.ms += self.chance.choice((0, 0, 20, 100, 200))
            for _ in range(self.chance.choice((0, 0, 1, 2, 5))):
                await asyncio.sleep(self.chance.choice((0, 0, 0.001)))
            self._look()
        await self.rest()

    def _start(self, doing: Awaitable[None]) -> None:
        task = asyncio.ensure_future(doing)
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)

    async def rest(self) -> None:
        """Let everything end: who is connected then has heard all there is."""
        await asyncio.gather(*self.under_way)
        for client in self.world.clients:
            if isinstance(client, Screen):
                client.read_on()
            elif isinstance(client, Reader):
                client.flowing.set()
        deadline = time.monotonic() + REST_SECONDS
        for client in self.world.clients:
            while not await self.is_level(client):
                assert time.monotonic() < deadline, f"{client.taken} is at {client.cursor} and has not ended"
                await asyncio.sleep(0.002)
        self._look()

    def _look(self) -> None:
        if self.world.faults:
            raise AssertionError("\n".join(self.world.faults))

    async def is_level(self, client: Client) -> bool:
        """Tell whether a client has ended, is held by the end of its token, or has heard everything."""
        if client.is_over or (not client.sent and client.taken is None):
            return True
        if client.sent or client.taken is None or client.is_revoked:
            return False
        if client.taken.expires_at <= self.world.clock.ms:
            return True
        return client.cursor == await self.world.head(client.app, str(client.taken.user))

    # ---- what happens

    def a_token(self, app: str) -> Pass:
        """Any token: nearly always one of this app that is good for some seconds."""
        chance = self.chance.random()
        if chance < 0.04:
            return NOBODY
        of_app = [session for session in self.world.live if session[0] == app]
        some = self.world.dead if chance < 0.16 else self.world.live if chance < 0.2 else of_app
        of = self.chance.choice(some or self.world.live)
        return self.world.token(of, self.chance.choice((-1, 1, 2, 3, 5, 9, 300)))

    def open_clients(self, kind: type[Client] = Client) -> list[Client]:
        return [client for client in self.world.clients if isinstance(client, kind) and not client.is_over]

    async def connect(self) -> None:
        if len(self.open_clients()) < MOST_CLIENTS:
            app = self.chance.choice(APPS)
            await Screen.open(self.world, app, self.a_token(app) if self.chance.random() < 0.8 else None)

    def follow(self) -> None:
        if len(self.open_clients()) < MOST_CLIENTS:
            app = self.chance.choice(APPS)
            Reader(self.world, app, self.a_token(app))

    def authenticate(self) -> None:
        screens = self.open_clients(Screen)
        if screens:
            screen = self.chance.choice(screens)
            assert isinstance(screen, Screen)
            for _ in range(self.chance.choice((1, 1, 1, 2, 3))):
                screen.authenticate(self.a_token(screen.app))

    async def commit(self) -> None:
        await self.world.commit(self.chance.choice(APPS), self.chance.choice(USERS), self.chance.choice((1, 1, 2, 40)))

    def time_passes(self) -> None:
        self.world.clock.ms += self.chance.choice((50, 500, 1_000, 2_000, 5_000))
        if self.chance.random() < 0.7:
            self.world.wake()

    def stop_reading(self) -> None:
        for client in self.chance.sample(self.open_clients(), min(2, len(self.open_clients()))):
            if isinstance(client, Screen):
                client.stuck = True
            elif isinstance(client, Reader):
                client.flowing.clear()

    def read_on(self) -> None:
        for client in self.open_clients():
            if self.chance.random() < 0.5:
                if isinstance(client, Screen):
                    client.read_on()
                elif isinstance(client, Reader):
                    client.flowing.set()

    def hang_up(self) -> None:
        clients = self.open_clients()
        if clients:
            client = self.chance.choice(clients)
            assert isinstance(client, Screen | Reader)
            client.hang_up()

    async def sign_out(self) -> None:
        """A session ends itself, and the user signs in again."""
        async with self.one_at_a_time:
            app, user, session = one = self._one_that_ends()
            now = self.world.clock.ms
            await self.world.gateway.authority.sign_out(Identity(app, user, session, now, now + 1000))
            self.world.have_ended(one)
            await self.world.sign_in(app, user)

    async def revoke_elsewhere(self) -> None:
        """Another process ends a session: known here once the revocation has been read."""
        async with self.one_at_a_time:
            app, user, session = one = self._one_that_ends()
            now, revocations = self.world.clock.ms, self.world.gateway.authority.revocations
            await self.world.gateway.store.write(lambda tx: sessions.revoke_any(tx, session, now))
            async with asyncio.timeout(1):
                while not revocations.is_revoked(Identity(app, user, session, now, now)):
                    await asyncio.sleep(0.001)
            self.world.have_ended(one)
            await self.world.sign_in(app, user)

    def _one_that_ends(self) -> tuple[str, str, str]:
        one = self.chance.choice(self.world.live)
        self.world.end(one)
        return one

    async def kick(self) -> None:
        """A user is sent away everywhere."""
        async with self.one_at_a_time:
            app, user, _ = self.chance.choice(self.world.live)
            those = [one for one in self.world.live if one[:2] == (app, user)]
            self.world.end(*those)
            await self.world.gateway.authority.revoke_user(app, user, "me")
            self.world.have_ended(*those)
            await self.world.sign_in(app, user)

    async def switch_off(self) -> None:
        """An app is switched off."""
        async with self.one_at_a_time:
            app, now = APPS[1], self.world.clock.ms
            self.world.off.add(app)
            those = [one for one in self.world.live if one[0] == app]
            self.world.end(*those)
            await self.world.gateway.store.write(lambda tx: apps.disable(tx, app, now))
            await self.world.gateway.authority.refresh()
            self.world.have_ended(*those)


async def drive(folder: Path, seed: int) -> World:
    """Drive a world of its own to its end; raises AssertionError where something was written that must not be."""
    chance = random.Random(seed)
    async with world(folder, chance) as made:
        driver = Driver(made, chance)
        try:
            await driver.run()
        finally:
            for task in driver.under_way:
                task.cancel()
            await asyncio.gather(*driver.under_way, return_exceptions=True)
    return made


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_nobody_is_told_what_is_anothers(tmp_path: Path, seed: int) -> None:
    with capture_logs() as logged:
        made = await drive(tmp_path, seed)
    assert [said for said in logged if said["log_level"] in ("error", "critical")] == []
    assert made.events > 500
    assert sum(client.switches for client in made.clients) > 0
    assert made.revoked
    assert sum(client.cursor > 0 for client in made.clients) > 5


@pytest.mark.parametrize(
    ("whose", "name", "broken", "found"),
    [
        pytest.param(Delivery, "hold", lambda _: None, "the token ended", id="events are not held"),
        pytest.param(
            Connection,
            "_leave_feed",
            lambda _: None,
            # who has come back to the user before hears each event twice
            "it is told to|the cursor was",
            id="the stream of the user before is not left",
        ),
        pytest.param(
            Roster,
            "close_sessions",
            lambda *_: None,
            ENDED,
            id="sockets of a revoked session are not closed",
        ),
        pytest.param(
            EventStream,
            "close",
            lambda *_: None,
            ENDED,
            id="responses of a revoked session are not ended",
        ),
        pytest.param(
            Authority,
            "verify_token",
            _takes_anything,
            f"a token that had ended was taken|the token ended|{ENDED}",
            id="what has ended is taken",
        ),
    ],
)
async def test_a_gateway_that_breaks_a_rule_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whose: type, name: str, broken: Callable[..., Any], found: str
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(whose, name, broken)
        with pytest.raises(AssertionError, match=found):
            await _until_it_is_found(tmp_path)


async def _until_it_is_found(folder: Path) -> None:
    for seed in range(SEEDS):
        (folder / str(seed)).mkdir()
        await drive(folder / str(seed), seed)
