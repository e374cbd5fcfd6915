"""Orders: as many as go through, or so many a second whatever becomes of them."""

import asyncio
import time
from collections import Counter, deque
from pathlib import Path
from typing import Any

from bench.load.http import Caller, call, request
from bench.load.sockets import Client, connect, upgrade_request

PLACED = 201
FIND, NAME_BYTES = b'"clientOrderId":"', 15


def order_request(port: int, token: str, price: str, client_order_id: str = "") -> bytes:
    """Return the request that buys one contract."""
    named = f',"clientOrderId":"{client_order_id}"' if client_order_id else ""
    body = (
        '{"venue":"paper","marketId":"fed-cut-dec","outcomeId":"yes","side":"buy","size":1,"price":'
        + price
        + named
        + "}"
    )
    headers = {"x-app-id": "demo", "authorization": f"Bearer {token}"}
    return request("POST", "/trading/orders", port, headers, body.encode())


def percentiles(took: list[float]) -> dict[str, float]:
    """Return p50, p99 and the most, in ms."""
    took.sort()
    at = {"p50_ms": len(took) // 2, "p99_ms": len(took) * 99 // 100, "most_ms": len(took) - 1}
    return {name: took[place] * 1000 for name, place in at.items()} if took else {}


async def closed_loop(port: int, tokens: str, price: str, seconds: float) -> dict[str, Any]:
    """Place the same order over one connection a token, each as soon as the one before is answered."""
    known = Path(tokens).read_text().split()
    took: list[float] = []
    other: Counter[int] = Counter()
    until, ended, running = time.perf_counter() + seconds, asyncio.Event(), len(known)
    last = b""

    def answered(caller: Caller, status: int, body: bytes) -> None:
        nonlocal running, last
        now = time.perf_counter()
        if status == PLACED:
            took.append(now - caller.sent_at)
        elif caller.sent_at:
            other[status] += 1
            last = body
        if now < until and status:
            caller.sent_at = now
            caller.transport.write(wanted[caller.token])
        elif caller.sent_at:
            caller.sent_at = 0.0
            running -= 1
            if not running:
                ended.set()

    wanted = {token: order_request(port, token, price) for token in known}
    callers = [await call(port, token, answered, number) for number, token in enumerate(known)]
    started = time.perf_counter()
    until = started + seconds
    for caller in callers:
        caller.sent_at = time.perf_counter()
        caller.transport.write(wanted[caller.token])
    await asyncio.wait_for(ended.wait(), seconds + 60)
    spent = time.perf_counter() - started
    for caller in callers:
        caller.transport.abort()
    return {
        "placed": len(took),
        "seconds": spent,
        "other": dict(other),
        "last": last.decode()[:300],
        **percentiles(took),
    }


class Flow:
    """Users who each have a connection for orders and a socket for events."""

    def __init__(self, port: int, price: str) -> None:
        self._port, self._price = port, price
        self._free: deque[Caller] = deque()
        self._waiting: deque[str] = deque()
        self._sent: dict[bytes, float] = {}
        self._callers: list[Caller] = []
        self._sockets: list[Client] = []
        self.to_event: list[tuple[float, float]] = []
        self.late = 0
        self.other: Counter[int] = Counter()

    async def connect(self, tokens: list[str]) -> None:
        """Open both for every user."""
        for number, token in enumerate(tokens):
            upgrade = upgrade_request("/ws?appId=demo", self._port, token)
            self._sockets.append(await connect(self._port, upgrade, self._heard, number, number))
            self._callers.append(await call(self._port, token, self._answered, number))
        self._free.extend(self._callers)

    async def run(self, rate: float, seconds: float) -> None:
        """Send orders at that rate, and wait a while for the last event."""
        # a client's id names one order for ever: the orders of another run of ours are not these
        started, salt = time.perf_counter(), time.time_ns() // 1000 % 16**6
        for number in range(int(rate * seconds)):
            wait = started + number / rate - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            name = f"{salt:06x}{number:09d}"
            self._sent[name.encode()] = time.perf_counter()
            if self._free:
                self._send(self._free.popleft(), name)
            else:
                self.late += 1
                self._waiting.append(name)
        deadline = time.perf_counter() + 10
        while self._sent and time.perf_counter() < deadline:
            await asyncio.sleep(0.01)

    def close(self) -> int:
        """End every connection; return how many orders were never told."""
        for transport in (*(one.transport for one in self._callers), *(one.transport for one in self._sockets)):
            transport.abort()
        return len(self._sent)

    def _send(self, caller: Caller, name: str) -> None:
        caller.transport.write(order_request(self._port, caller.token, self._price, name))

    def _answered(self, caller: Caller, status: int, body: bytes) -> None:  # noqa: ARG002
        if status != PLACED:
            self.other[status] += 1
        if self._waiting:
            self._send(caller, self._waiting.popleft())
        else:
            self._free.append(caller)

    def _heard(self, client: Client, data: bytes, begin: int, after: int) -> None:  # noqa: ARG002
        # {"type":"order_submitted": the one type with an `s` at that place
        if data[begin + 15] != 0x73:
            return
        at = data.find(FIND, begin, after) + len(FIND)
        sent = self._sent.pop(data[at : at + NAME_BYTES], None)
        if sent is not None:
            self.to_event.append((sent, time.perf_counter() - sent))


async def open_loop(port: int, tokens: str, price: str, rate: float, seconds: float) -> dict[str, Any]:
    """Place orders at a rate; return how long after being sent each `order_submitted` was received."""
    flow = Flow(port, price)
    await flow.connect(Path(tokens).read_text().split())
    await flow.run(rate, seconds)
    untold = flow.close()
    await asyncio.sleep(0)
    other = {status: count for status, count in flow.other.items() if status}
    return {"took": flow.to_event, "untold": untold, "late": flow.late, "other": other}


async def sign_in(port: int, prefix: str, count: int, callers: int) -> dict[str, Any]:
    """Sign so many users in, one after the other on each of a few connections."""
    headers = {"x-app-id": "demo", "x-app-api-key": "demo-key"}
    waiting = [
        request("POST", "/auth/token", port, headers, f'{{"userId":"{prefix}-{number}"}}'.encode())
        for number in range(count)
    ]
    done, other, ended = 0, Counter[int](), asyncio.Event()

    def answered(caller: Caller, status: int, body: bytes) -> None:  # noqa: ARG001
        nonlocal done
        if not status:
            return
        done += 1
        if status not in (200, PLACED):
            other[status] += 1
        if waiting:
            caller.transport.write(waiting.pop())
        elif done == count:
            ended.set()

    opened = [await call(port, "", answered, number) for number in range(callers)]
    for caller in opened:
        caller.transport.write(waiting.pop())
    await asyncio.wait_for(ended.wait(), 60)
    for caller in opened:
        caller.transport.abort()
    return {"other": dict(other)}
