"""Who sees what: every socket of a user the same frames in the same order, nobody else any of them."""

import asyncio
import json
from typing import Any

import websockets

from tests.acceptance.server import Server, an_order, command


class Screen:
    """One socket that keeps every frame it gets."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self.socket = socket
        self.frames: list[str] = []
        self._task = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, url: str) -> "Screen":
        return cls(await websockets.connect(url))

    async def _read(self) -> None:
        async for frame in self.socket:
            assert isinstance(frame, str)
            self.frames.append(frame)

    @property
    def events(self) -> list[str]:
        return [frame for frame in self.frames[1:] if '"type":"heartbeat"' not in frame]

    @property
    def first(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.frames[0])
        return told

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.frames) <= count and self.socket.close_code is None:
                await asyncio.sleep(0.005)
        assert len(self.frames) > count, self.frames

    async def until_seq(self, seq: int) -> None:
        async with asyncio.timeout(20):
            while not self.frames or not any(json.loads(frame).get("seq", 0) >= seq for frame in self.frames[-2:]):
                await asyncio.sleep(0.005)

    async def close(self) -> None:
        await self.socket.close()
        await self._task


async def sign_in_soon(server: Server, user: str, app: str, api_key: str) -> str:
    """Sign in to an app made by another process: a running gateway knows it within a moment."""
    async with asyncio.timeout(5):
        while True:
            try:
                return str(server.sign_in(user, app, api_key)["accessToken"])
            except AssertionError:
                await asyncio.sleep(0.05)


async def test_two_screens_of_a_user_see_the_same_and_nobody_else_anything(server: Server) -> None:
    other = json.loads(command("app", "create", "rival", "--database", str(server.database), "--json").stdout)
    ann, bob = server.sign_in("ann")["accessToken"], server.sign_in("bob")["accessToken"]
    twin = await sign_in_soon(server, "ann", "rival", other["apiKey"])
    screens = [
        await Screen.open(server.ws_url(token=ann)),
        await Screen.open(server.ws_url(token=ann)),
        await Screen.open(server.ws_url(token=bob)),
        await Screen.open(server.ws_url("rival", token=twin)),
        await Screen.open(server.ws_url()),
    ]
    for screen in screens:
        await screen.until(0)
    async with server.http(ann) as http:
        answers = await asyncio.gather(
            *(http.post("/trading/orders", json=an_order(size=1 + n % 3, price=0.01 + n % 2 * 0.98)) for n in range(30))
        )
    assert {answer.status_code for answer in answers} == {201}
    one, two, *others = screens
    await one.until(60)
    head = json.loads(one.frames[-1])["seq"]
    async with server.http(ann) as http:
        head = (await http.get("/trading/balance")).json()["seq"]
    await one.until_seq(head)
    await two.until_seq(head)
    assert one.events == two.events
    start = one.first["seq"]
    assert [json.loads(frame)["seq"] for frame in one.events] == list(range(start + 1, head + 1))
    assert [screen.events for screen in others] == [[], [], []]
    for screen in screens:
        await screen.close()


async def test_a_missed_stretch_is_replayed_and_joined_without_hole_or_repeat(server: Server) -> None:
    token = server.sign_in("ann")["accessToken"]
    screen = await Screen.open(server.ws_url(token=token))
    await screen.until(0)
    seq, epoch = screen.first["seq"], screen.first["epoch"]
    await screen.close()
    async with server.http(token) as http:
        for _ in range(5):
            await http.post("/trading/orders", json=an_order())
        back = await Screen.open(server.ws_url(token=token, since=seq, epoch=epoch))
        await asyncio.gather(*(http.post("/trading/orders", json=an_order()) for _ in range(5)))
        await back.until_seq(seq + 20)
        assert (back.first["resumed"], back.first["seq"]) == (True, seq)
        assert [json.loads(frame)["seq"] for frame in back.events] == list(range(seq + 1, seq + 21))
        page = (await http.get("/trading/events", params={"since": seq, "epoch": epoch})).json()
        assert [json.dumps(event) for event in page["events"]] == [json.dumps(json.loads(f)) for f in back.events]
    await back.close()
