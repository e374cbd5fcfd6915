"""A socket that keeps all it hears, and how it ended."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any, Self

import websockets
from websockets.exceptions import ConnectionClosed

Told = dict[str, Any]
EVENTS = frozenset({"order_submitted", "balance_update", "order_event", "holding_update", "market_settled"})


class Listener:
    """`async with Listener(url) as heard`; `ended_at` is the monotonic time of the close, which `code` says."""

    def __init__(self, url: str, origin: str | None = None) -> None:
        self._connecting = websockets.connect(url, origin=origin)  # type: ignore[arg-type]  # plain text
        self._news = asyncio.Condition()
        self.texts: list[str] = []
        self.ended_at: float | None = None

    async def __aenter__(self) -> Self:
        self.socket = await self._connecting
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.socket.close()
        await self._reading

    async def _read(self) -> None:
        try:
            while True:
                self.texts.append(str(await self.socket.recv()))
                async with self._news:
                    self._news.notify_all()
        except ConnectionClosed:
            self.ended_at = time.monotonic()
        async with self._news:
            self._news.notify_all()

    @property
    def code(self) -> int | None:
        return self.socket.close_code

    @property
    def frames(self) -> list[Told]:
        return [json.loads(text) for text in self.texts]

    @property
    def events(self) -> list[Told]:
        return [frame for frame in self.frames if frame["type"] in EVENTS]

    async def until(self, true: Callable[[], bool], seconds: float = 10) -> None:
        try:
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(true)
        except TimeoutError:
            raise AssertionError(f"after {seconds} s it had heard {self.texts}, code {self.code}") from None

    async def first(self) -> Told:
        await self.until(lambda: bool(self.texts))
        return self.frames[0]

    async def told(self, count: int, seconds: float = 10) -> list[Told]:
        """Return the first `count` events once they are there."""
        await self.until(lambda: len(self.events) >= count, seconds)
        return self.events[:count]

    async def ended(self, seconds: float = 10) -> float:
        """Return when it was closed."""
        await self.until(lambda: self.ended_at is not None, seconds)
        assert self.ended_at is not None
        return self.ended_at
