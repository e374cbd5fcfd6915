"""A user's events as a program takes them: read ahead by a task of our own, handed out one at a time."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, Self

from oddswire.client.connection import Arrival, Told
from oddswire.wire.cursor import Cursor

READ_AHEAD: Final = 1_000
"""So many events may wait for the program; with more the socket is not read, and the gateway waits."""


class EventStream:
    """An endless `async for` of events. Whatever the program does meanwhile, the connection is kept and renewed.

    `found` is what arrives after `cursor`; that moves to the last event the program is done with: one it was handed
    counts once the next is asked for.
    """

    def __init__(self, found: AsyncGenerator[Arrival, None], cursor: Cursor | None) -> None:
        self.cursor = cursor
        self._handed: Cursor | None = None
        self._asked = False
        self._arrived: asyncio.Queue[Arrival | Exception] = asyncio.Queue(READ_AHEAD)
        self._reading = asyncio.create_task(self._read(found))

    @property
    def ended(self) -> bool:
        """It was closed, or has told why it stopped, and yields nothing more."""
        return self._reading.done() and self._arrived.empty()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Told:
        """Return the next event.

        Raises:
            Stopped: the gateway told the client to go, or no token can be had any more.
            RuntimeError: somebody else is waiting for the next event: one stream, one reader.
        """
        if self._asked:
            raise RuntimeError("one task at a time may ask for the next event of a client")
        self._asked = True
        try:
            if self._handed is not None:
                self.cursor, self._handed = self._handed, None
            while True:
                if self.ended:
                    raise StopAsyncIteration
                arrived = await self._arrived.get()
                if isinstance(arrived, Exception):
                    raise arrived
                if arrived.told is not None:
                    self._handed = arrived.cursor
                    return arrived.told
                self.cursor = arrived.cursor
        finally:
            self._asked = False

    async def aclose(self) -> None:
        """Close the connection. What was read ahead is dropped: it comes again after `cursor`."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        while not self._arrived.empty():
            self._arrived.get_nowait()

    async def _read(self, found: AsyncGenerator[Arrival, None]) -> None:
        try:
            async with aclosing(found):
                async for arrival in found:
                    await self._arrived.put(arrival)
        except Exception as fault:
            # it is the program's to see, after the events that came before it
            await self._arrived.put(fault)
