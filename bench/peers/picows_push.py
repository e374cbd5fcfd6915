"""Bare picows on uvloop: the gateway's own WebSocket library, with nothing around it."""

from typing import Any

import picows
import uvloop

from bench.control import obey, pushing, say

sockets: set[Any] = set()


class Listener(picows.WSListener):
    def on_ws_connected(self, transport: Any) -> None:
        sockets.add(transport)

    def on_ws_disconnected(self, transport: Any) -> None:
        sockets.discard(transport)


def wave(text: str) -> None:
    frame = text.encode()
    for socket in sockets:
        socket.send(picows.WSMsgType.TEXT, frame)


async def main() -> None:
    server = await picows.ws_create_server(lambda _: Listener(), "127.0.0.1", 0, backlog=2048)
    say({"port": server.sockets[0].getsockname()[1]})
    await obey({"push": pushing(wave)})


if __name__ == "__main__":
    uvloop.run(main())
