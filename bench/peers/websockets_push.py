"""The library `websockets` on uvloop. `broadcast` is its fastest way to send: no task and no waiting a socket."""

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

from bench.control import obey, pushing, say

sockets: set[ServerConnection] = set()


async def stay(socket: ServerConnection) -> None:
    sockets.add(socket)
    try:
        await socket.wait_closed()
    finally:
        sockets.discard(socket)


def wave(text: str) -> None:
    broadcast(sockets, text)


async def main() -> None:
    async with serve(stay, "127.0.0.1", 0, compression=None, backlog=2048) as server:
        say({"port": next(iter(server.sockets)).getsockname()[1]})
        await obey({"push": pushing(wave)})


if __name__ == "__main__":
    uvloop.run(main())
