"""Starlette on uvicorn and uvloop, with the WebSocket implementation uvicorn takes by itself."""

import asyncio

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from bench.control import obey, pushing, say

sockets: set[WebSocket] = set()


async def stay(socket: WebSocket) -> None:
    await socket.accept()
    sockets.add(socket)
    try:
        while True:
            await socket.receive_text()
    except WebSocketDisconnect:
        pass
    finally:
        sockets.discard(socket)


async def wave(text: str) -> None:
    for socket in sockets:
        await socket.send_text(text)


async def main() -> None:
    app = Starlette(routes=[WebSocketRoute("/ws", stay)])
    config = uvicorn.Config(
        app, port=0, log_level="error", ws_per_message_deflate=False, access_log=False, lifespan="off"
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    say({"port": server.servers[0].sockets[0].getsockname()[1]})
    await obey({"push": pushing(wave)})
    server.should_exit = server.force_exit = True
    await serving


if __name__ == "__main__":
    uvloop.run(main())
