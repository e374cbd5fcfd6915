"""Everybody comes back at once, each with the cursor it left with."""

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Any

from bench.load.sockets import Client, connect, connected_at, upgrade_request

TRIES = 20


class Return:
    """A crowd that reconnects; `cursors` says which event each had last, and of which epoch."""

    def __init__(self, port: int, tokens: str, cursors: list[tuple[int, str]], missed: int) -> None:
        self._port, self._missed, self._cursors = port, missed, cursors
        self._tokens = Path(tokens).read_text().split()
        self._seen = [0] * len(cursors)
        self._level = 0
        self._all_level = asyncio.Event()
        self.not_resumed = 0
        self.faults: Counter[str] = Counter()
        self.clients: list[Client] = []

    async def at_once(self) -> dict[str, Any]:
        """Connect all, and return how long it took until each had all it missed."""
        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(self._one(number) for number in range(len(self._cursors))))
        await asyncio.wait_for(self._all_level.wait(), 60)
        ended = time.perf_counter()
        load = (time.process_time() - cpu) / (ended - began)
        return {"began": began, "ended": ended, "load_share": load, "faults": dict(self.faults)}

    async def _one(self, number: int) -> None:
        seq, epoch = self._cursors[number]
        path = f"/ws?appId=demo&since={seq}&epoch={epoch}"
        upgrade = upgrade_request(path, self._port, self._tokens[number])
        for attempt in range(TRIES):
            try:
                self.clients.append(await connect(self._port, upgrade, self._heard, number, number))
                return
            except OSError as fault:
                self.faults[type(fault).__name__] += 1
                await asyncio.sleep(0.05 * (attempt + 1))
        raise RuntimeError(f"{TRIES} tries and no connection: {dict(self.faults)}")

    def _heard(self, client: Client, data: bytes, begin: int, after: int) -> None:
        if not client.first:
            client.first = data[begin:after]
            self.not_resumed += b'"resumed":true' not in client.first
        elif data[begin + 9] == 0x6F:
            self._seen[client.key] += 1
            if self._seen[client.key] == self._missed:
                self._level += 1
                if self._level == len(self._seen):
                    self._all_level.set()


def cursors_of(clients: list[Client]) -> list[tuple[int, str]]:
    """Return where each of a crowd's sockets began, by its number."""
    return [connected_at(client.first) for client in sorted(clients, key=lambda client: client.key)]
