"""A real server on a free port, a conversation that records, and a client that sends exactly the bytes it is told."""

import asyncio
import base64
import functools
import json
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, ClassVar, ParamSpec

import uvloop

from oddswire.server.picows_protocol import websocket_protocol
from oddswire.server.uvicorn_server import GatewayServer, server_for
from oddswire.server.websocket import Accept, Conversation, Refusal, Upgrade, listening_socket
from oddswire.streams.socket import Socket

TEXT, CONT, BINARY, CLOSE, PING, PONG = 0x1, 0x0, 0x2, 0x8, 0x9, 0xA
DEADLINE = 5.0
P = ParamSpec("P")


def on_uvloop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test on the loop that serves in production."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        uvloop.run(test(*args, **kwargs))

    return run


async def until(condition: Callable[[], object], what: str = "") -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0.002)


class Recorder:
    """A conversation that notes what it is told, and echoes if asked to."""

    def __init__(self, echo: bool = False) -> None:
        self.echo = echo
        self.upgrade: Upgrade | None = None
        self.socket: Socket
        self.is_open = False
        self.texts: list[bytes] = []
        self.pongs = 0
        self.drains = 0
        self.ends: list[int] = []

    def opened(self, socket: Socket) -> None:
        self.socket = socket
        self.is_open = True

    def text(self, message: bytes) -> None:
        self.texts.append(message)
        if self.echo:
            self.socket.send(message)

    def pong(self) -> None:
        self.pongs += 1

    def drained(self) -> None:
        self.drains += 1

    def closed(self, code: int) -> None:
        self.ends.append(code)


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/slow":
        await asyncio.sleep(0.05)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


class House:
    """A running server and the conversations it has begun, oldest first."""

    def __init__(self, echo: bool = False, accept: Accept | None = None) -> None:
        self.echo = echo
        self.conversations: list[Recorder] = []
        self.accept = accept or self._accept
        self.server: GatewayServer
        self.port = 0
        self.shutdowns = 0

    async def _accept(self, upgrade: Upgrade) -> Refusal | Conversation:
        conversation = Recorder(self.echo)
        conversation.upgrade = upgrade
        self.conversations.append(conversation)
        return conversation

    def shutdown(self) -> None:
        self.shutdowns += 1

    @property
    def connections(self) -> set[Any]:
        return set(self.server.server_state.connections)

    async def client(self, target: str = "/ws", **headers: str) -> "Client":
        """Connect, shake hands and wait until the conversation has its socket."""
        client = await Client.connect(self.port)
        await client.write(upgrade(target, **headers))
        status, _, _ = await client.response()
        assert status == 101
        return client


@asynccontextmanager
async def serving(house: House | None = None, **settings: Any) -> AsyncIterator[House]:
    house = house or House()
    listener = listening_socket("127.0.0.1", 0)
    house.port = listener.getsockname()[1]
    websocket = websocket_protocol(house.accept, on_shutdown=house.shutdown, **settings)
    house.server = server_for(app, websocket, shutdown_timeout=3, lifespan="off")
    task = asyncio.create_task(house.server.serve(sockets=[listener]))
    await house.server.listening.wait()
    try:
        yield house
    finally:
        house.server.should_exit = True
        Client.hang_up_all()
        await task


def upgrade(target: str = "/ws", method: str = "GET", version: str = "1.1", **headers: str) -> bytes:
    fields = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "keep-alive, Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
    }
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})
    lines = [f"{method} {target} HTTP/{version}", *(f"{name}: {value}" for name, value in fields.items() if value)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def frame(kind: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, claim: int | None = None) -> bytes:
    """Make one masked frame; `claim` is the length its header gives, if not the true one."""
    length = len(payload) if claim is None else claim
    head = bytes(((0x80 if fin else 0) | rsv << 4 | kind,))
    if length < 126:
        head += bytes((0x80 | length,))
    elif length < 65536:
        head += b"\xfe" + length.to_bytes(2, "big")
    else:
        head += b"\xff" + length.to_bytes(8, "big")
    mask = os.urandom(4)
    key = (mask * (len(payload) // 4 + 1))[: len(payload)]
    masked = (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(len(payload), "big")
    return head + mask + masked


class Client:
    """A raw client: bytes out, HTTP answers and frames in; `serving` hangs it up."""

    everyone: ClassVar[set["Client"]] = set()

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.loop = asyncio.get_running_loop()
        self.everyone.add(self)

    @classmethod
    async def connect(cls, port: int, receive_buffer: int = 0) -> "Client":
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        except BaseException:
            sock.close()
            raise
        return cls(*await asyncio.open_connection(sock=sock, limit=4096 if receive_buffer else 65536))

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def response(self) -> tuple[int, dict[str, str], Any]:
        """Read one HTTP answer: status, headers in lower case, body (decoded if JSON)."""
        async with asyncio.timeout(DEADLINE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {line.split(": ")[0].lower(): line.split(": ")[1] for line in head[1:] if line}
            body: Any = await self.reader.readexactly(int(headers.get("content-length", 0)))
        if "json" in headers.get("content-type", ""):
            body = json.loads(body)
        return int(head[0].split()[1]), headers, body

    async def frame(self, seconds: float = DEADLINE) -> tuple[int, bytes]:
        async with asyncio.timeout(seconds):
            first, second = await self.reader.readexactly(2)
            if second == 126:
                length = int.from_bytes(await self.reader.readexactly(2), "big")
            elif second == 127:
                length = int.from_bytes(await self.reader.readexactly(8), "big")
            else:
                length = second
            return first & 0xF, await self.reader.readexactly(length)

    async def closing(self) -> tuple[int, bytes]:
        """Read on to the close frame, answer it and read to the end of the connection; its code and reason."""
        kind, payload = await self.frame()
        while kind != CLOSE:
            kind, payload = await self.frame()
        self.writer.write(frame(CLOSE, payload[:2]))
        await self.ended()
        return int.from_bytes(payload[:2], "big"), payload[2:]

    async def ended(self) -> None:
        async with asyncio.timeout(DEADLINE):
            assert await self.reader.read() == b""
        self.hang_up()

    @classmethod
    def hang_up_all(cls) -> None:
        """Hang up all of this loop; those whose loop has ended have nobody who could."""
        left, loop = [*cls.everyone], asyncio.get_running_loop()
        cls.everyone.clear()
        for client in left:
            if client.loop is loop:
                client.hang_up()

    def hang_up(self) -> None:
        self.everyone.discard(self)
        self.writer.transport.abort()
