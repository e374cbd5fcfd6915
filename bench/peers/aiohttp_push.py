"""aiohttp on uvloop."""

import uvloop
from aiohttp import WSMsgType, web

from bench.control import obey, pushing, say

sockets: set[web.WebSocketResponse] = set()


async def stay(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(compress=False)
    await socket.prepare(request)
    sockets.add(socket)
    try:
        async for _ in socket:
            pass
    finally:
        sockets.discard(socket)
    return socket


async def wave(text: str) -> None:
    frame = text.encode()
    for socket in sockets:
        await socket.send_frame(frame, WSMsgType.TEXT)


async def main() -> None:
    app = web.Application()
    app.router.add_get("/ws", stay)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=2048)
    await site.start()
    say({"port": runner.addresses[0][1]})
    await obey({"push": pushing(wave)})


if __name__ == "__main__":
    uvloop.run(main())
