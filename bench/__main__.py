"""Measure the gateway on this machine and print a table; `--quick` is shorter, `--json` is for programs.

The server runs in a process of its own on one core, the load on the other. The load's own share of its core is printed:
a bench whose load is the bottleneck says nothing of the server. Read the figures as ratios of one run, not as capacity.
"""

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import httpx
import uvloop
import websockets
from rich.console import Console
from rich.table import Table

from bench.desk import orders_a_second
from bench.gateway import Gateway, running

ORDER = {"venue": "paper", "marketId": "fed-cut-dec", "outcomeId": "yes", "side": "buy", "size": 1}
RESTING, FILLING = "0.01", "0.99"


def flush_ms(folder: Path, rounds: int = 50) -> float:
    """Return the median time of an fdatasync after a 4 KiB append: the least a durable commit waits for."""
    took = []
    with (folder / "flush").open("wb", buffering=0) as file:
        for _ in range(rounds):
            file.write(b"x" * 4096)
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - started) * 1000)
    return statistics.median(took)


async def rest_orders(gateway: Gateway, seconds: float, callers: int = 32) -> dict[str, float]:
    """Place resting orders over keep-alive connections; return the rate and both sides' share of a core."""
    tokens = [gateway.sign_in(f"rest-{n}") for n in range(callers)]
    done, cpu, own, started = 0, gateway.cpu_seconds(), time.process_time(), time.perf_counter()

    async def call(token: str) -> None:
        nonlocal done
        headers = {"x-app-id": "demo", "authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=gateway.url, headers=headers) as http:
            while time.perf_counter() < started + seconds:
                answer = await http.post("/trading/orders", json={**ORDER, "price": RESTING})
                if answer.status_code == 201:
                    done += 1
                elif answer.json()["code"] != "insufficient_funds":
                    raise RuntimeError(answer.text)

    await asyncio.gather(*(call(token) for token in tokens))
    took = time.perf_counter() - started
    server, load = (gateway.cpu_seconds() - cpu) / took, (time.process_time() - own) / took
    return {"orders_a_second": done / took, "server_cores": server, "load_cores": load}


async def order_to_event_ms(gateway: Gateway, count: int) -> dict[str, float]:
    """Return how long after sending an order its `order_submitted` is received, one order at a time."""
    token, took = gateway.sign_in("latency"), []
    headers = {"x-app-id": "demo", "authorization": f"Bearer {token}"}
    socket = await websockets.connect(gateway.ws_url, additional_headers={"authorization": f"Bearer {token}"})
    async with socket, httpx.AsyncClient(base_url=gateway.url, headers=headers) as http:
        await socket.recv()
        for _ in range(count):
            started = time.perf_counter()
            placing = asyncio.create_task(http.post("/trading/orders", json={**ORDER, "price": RESTING}))
            while json.loads(await socket.recv())["type"] != "order_submitted":
                pass
            took.append((time.perf_counter() - started) * 1000)
            await placing
    took.sort()
    return {"p50_ms": took[len(took) // 2], "p99_ms": took[len(took) * 99 // 100]}


async def push(gateway: Gateway, sockets: int, orders: int) -> dict[str, float]:
    """Return the server's CPU an event more, for each further socket of one user that sees it."""
    token = gateway.sign_in(f"push-{sockets}")
    headers = {"x-app-id": "demo", "authorization": f"Bearer {token}"}
    opened = [await websockets.connect(gateway.ws_url, additional_headers=headers) for _ in range(sockets)]
    for socket in opened:
        await socket.recv()

    async def read(socket: websockets.ClientConnection) -> None:
        for _ in range(2 * orders):
            await socket.recv(decode=False)

    reading = [asyncio.create_task(read(socket)) for socket in opened]
    cpu = gateway.cpu_seconds()
    async with httpx.AsyncClient(base_url=gateway.url, headers=headers) as http:
        for _ in range(orders):
            await http.post("/trading/orders", json={**ORDER, "price": RESTING})
    await asyncio.gather(*reading)
    used = gateway.cpu_seconds() - cpu
    for socket in opened:
        await socket.close()
    return {"cpu_us_an_order": used / orders * 1e6}


async def measure(folder: Path, quick: bool) -> dict[str, float]:
    """Run everything once; return each figure by its name."""
    seconds = 2.0 if quick else 8.0
    found = {"fdatasync_p50_ms": flush_ms(folder)}
    found["desk_resting_a_second"] = await orders_a_second(folder, seconds, RESTING)
    found["desk_filling_a_second"] = await orders_a_second(folder, seconds, FILLING)
    with running(folder) as gateway:
        for name, value in (await rest_orders(gateway, seconds)).items():
            found[f"rest_{name}"] = value
        for name, value in (await order_to_event_ms(gateway, 200 if quick else 1000)).items():
            found[f"order_to_event_{name}"] = value
        few, many = 1, 20 if quick else 50
        one = await push(gateway, few, 300)
        more = await push(gateway, many, 300)
        difference = more["cpu_us_an_order"] - one["cpu_us_an_order"]
        found["push_cpu_us_an_event_and_socket"] = difference / (2 * (many - few))
    return found


def main() -> None:
    """Read the options, measure, print."""
    words = argparse.ArgumentParser(prog="make bench", description=__doc__)
    words.add_argument("--quick", action="store_true", help="about twenty seconds")
    words.add_argument("--json", action="store_true", help="print JSON")
    said = words.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = uvloop.run(measure(Path(folder), said.quick))
    if said.json:
        print(json.dumps(found, indent=2))
        return
    table = Table("measure", "figure")
    for name, value in found.items():
        table.add_row(name.replace("_", " "), f"{value:,.2f}" if value < 100 else f"{value:,.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
