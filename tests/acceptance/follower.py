"""A client of one user whose log goes on over many sockets, joined by `since` and `epoch`; it can cut them itself."""

import asyncio
import contextlib
import json
import socket
import struct
from typing import Any, Literal

import httpx

from tests.acceptance.server import Server
from tests.server.sockets import CLOSE, PING, PONG, TEXT, Client, frame, upgrade

Told = dict[str, Any]
Cut = Literal["reset", "reset in a frame", "half-close", "plain close", "goodbye"]
CUTS: tuple[Cut, ...] = ("reset", "reset in a frame", "half-close", "plain close", "goodbye")
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Follower:
    """What a user was told since event `begins`: `told` in order, whatever became of the sockets.

    Each event is looked at as it comes: one that does not follow the last is an AssertionError there and then.
    """

    def __init__(self, server: Server, token: str, epoch: str, begins: int = 0) -> None:
        self.server = server
        self.token = token
        self.epoch = epoch
        self.begins = begins
        self.told: list[bytes] = []
        self.client: Client
        self.greeting: Told = {}
        self.ended: tuple[int, Told] | None = None

    @property
    def cursor(self) -> int:
        """The last event seen."""
        return self.begins + len(self.told)

    async def connect(self, receive_buffer: int = 0) -> None:
        """Go on where the last socket ended. Raises OSError where nobody listens."""
        self.client = await Client.connect(self.server.port, receive_buffer)
        target = f"/ws?appId={self.server.app}&since={self.cursor}&epoch={self.epoch}"
        self.ended = None
        await self.client.write(upgrade(target, Authorization=f"Bearer {self.token}"))
        status, _, body = await self.client.response()
        if status != 101:
            self.client.hang_up()
            raise ConnectionRefusedError(f"{status}: {body}")
        self.greeting = json.loads((await self.client.frame(10))[1])
        assert (self.greeting["type"], self.greeting.get("resumed")) == ("connected", True), self.greeting
        assert self.greeting["seq"] == self.cursor

    async def read(self, seconds: float = 20) -> bool:
        """Take one frame; False once the socket has been closed, in good order or not."""
        try:
            kind, payload = await self.client.frame(seconds)
        except (asyncio.IncompleteReadError, ConnectionError):
            return False
        if kind == CLOSE:
            self.ended = int.from_bytes(payload[:2], "big"), json.loads(payload[2:] or b"{}")
            with contextlib.suppress(ConnectionError):
                await self.client.write(frame(CLOSE, payload[:2]))
            self.client.hang_up()
            return False
        if kind == TEXT:
            self._take(payload)
        elif kind == PING:
            await self.client.write(frame(PONG, payload))
        return True

    def _take(self, payload: bytes) -> None:
        said = json.loads(payload)
        if "seq" not in said or said["type"] == "heartbeat":
            return
        assert said["seq"] == self.cursor + 1, f"event {said['seq']} came after {self.cursor}"
        self.told.append(payload)

    async def read_to(self, seq: int, seconds: float = 20) -> None:
        """Read until event `seq` has been seen."""
        while self.cursor < seq:
            assert await self.read(seconds), f"closed after event {self.cursor}: {self.ended}"

    async def cut(self, how: Cut) -> None:
        """End the socket in one of many ways; what still arrives whole is seen."""
        writer = self.client.writer
        if how == "reset in a frame":
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, TimeoutError):
                async with asyncio.timeout(0.05):  # where nothing more comes, it is a reset between frames
                    await self.client.reader.readexactly(7)
        if how in ("reset", "reset in a frame"):
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            self.client.hang_up()
        elif how == "plain close":
            writer.close()
        else:
            if how == "half-close":
                writer.write_eof()
            else:
                writer.write(frame(CLOSE, b"\x03\xe8"))
            while await self.read():
                pass
        self.client.hang_up()


async def begin(server: Server, user: str) -> Follower:
    """Sign a user in and return a follower of the whole stream, not connected yet."""
    token = str(server.sign_in(user)["accessToken"])
    async with server.http(token) as http:
        epoch = (await http.get("/trading/balance")).json()["epoch"]
    return Follower(server, token, epoch)


async def events_of(http: httpx.AsyncClient, epoch: str) -> list[Told]:
    """Return the whole log of a user as REST tells it: 1..N."""
    events: list[Told] = []
    while True:
        answer = await http.get("/trading/events", params={"since": len(events), "epoch": epoch, "limit": 100})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        events += page["events"]
        if not page["hasMore"]:
            assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
            return events


async def are_whole(*followers: Follower) -> None:
    """Check that what clients of one user have heard is the stream to its present end, with the bodies REST tells."""
    async with followers[0].server.http(followers[0].token) as http:
        log = [json.dumps(event) for event in await events_of(http, followers[0].epoch)]
    for follower in followers:
        assert [json.dumps(json.loads(text)) for text in follower.told] == log[follower.begins :]
