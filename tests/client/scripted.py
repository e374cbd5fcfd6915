"""A gateway that does as each test says, as far as a client's stream sees it."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from oddswire.errors import OddswireError

Act = Callable[[ServerConnection], Awaitable[None]]
Refusal = tuple[int, dict[str, Any] | str]
"""An HTTP answer instead of a socket: a problem, or what no gateway says."""


@dataclass
class Gateway:
    """What a connection needs of a client; every refresh gives the next of `tokens` or fails with `no_refresh`."""

    base_url: str
    app_id: str = "shop"
    access_token: str | None = "token-0"
    no_refresh: OddswireError | None = None
    refreshed: list[str | None] = field(default_factory=list)

    async def refresh(self, stale: str | None = None) -> str:
        self.refreshed.append(stale)
        if self.no_refresh is not None:
            raise self.no_refresh
        self.access_token = f"token-{len(self.refreshed)}"
        return self.access_token


@dataclass
class Server:
    """Every connection does the next of `acts`; `seen` are the query and the token each came with."""

    acts: list[Act | Refusal]
    port: int = 0
    seen: list[tuple[dict[str, str], str]] = field(default_factory=list)
    frames: list[dict[str, Any]] = field(default_factory=list)

    @property
    def gateway(self) -> Gateway:
        return Gateway(f"http://127.0.0.1:{self.port}")

    async def act(self, socket: ServerConnection) -> None:
        act = self.acts.pop(0)
        assert not isinstance(act, tuple)
        await act(socket)

    def look(self, socket: ServerConnection, request: Request) -> Response | None:
        parts = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.seen.append((query, request.headers.get("authorization", "")))
        if self.acts and isinstance(self.acts[0], tuple):
            status, body = self.acts[0]
            del self.acts[0]
            return socket.respond(HTTPStatus(status), body if isinstance(body, str) else json.dumps(body))
        return None


@asynccontextmanager
async def serving(*acts: Act | Refusal) -> AsyncIterator[Server]:
    server = Server(list(acts))
    async with serve(server.act, "127.0.0.1", 0, process_request=server.look, compression=None) as listening:
        server.port = next(iter(listening.sockets)).getsockname()[1]
        yield server


def connected(seq: int, head: int, epoch: str = "E", **other: Any) -> str:
    return json.dumps(
        {"type": "connected", "appId": "shop", "userId": "u", "seq": seq, "head": head, "epoch": epoch, **other}
    )


def event(seq: int) -> str:
    return json.dumps(
        {
            **{"type": "balance_update", "venue": "paper", "timestamp": 1000 + seq, "seq": seq},
            **{"tradingBalanceCents": seq, "walletBalanceCents": seq, "reason": "fill", "aLaterField": 1},
            **{"tradingBalanceRaw": str(seq * 10_000), "walletBalanceRaw": str(seq * 10_000)},
        }
    )


def says(*frames: str, close: int | None = None, reason: str = "") -> Act:
    """Say these frames; then close with a code, or stay until the other side goes."""

    async def act(socket: ServerConnection) -> None:
        for frame in frames:
            await socket.send(frame)
        if close is None:
            await socket.wait_closed()
        else:
            await socket.close(close, reason)

    return act
