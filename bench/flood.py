"""What a flood of bad calls from one address costs everybody else: `python -m bench.flood`.

Rounds with and without the flood take turns, and each pair makes a ratio, so that what else the machine does falls on
both. The gateway has its default limits and one core; flood and good users share the other, and the flood's share of it
is printed. Good users come from 127.0.0.2, the flood from 127.0.0.1.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import uvloop
import websockets
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from bench.gateway import Gateway, running

KINDS: Final = ("key", "connect", "refresh", "token", "handshake", "nobody")
GOOD: Final = "127.0.0.2"
USERS: Final = 4
PAUSE_SECONDS: Final = 0.02
ORDER: Final = (
    b'{"venue":"paper","marketId":"fed-cut-dec","outcomeId":"yes","side":"buy","size":1,"price":0.01,'
    b'"clientOrderId":"%s"}'
)
MEASURES: Final = ("read", "order", "event")
Times = dict[str, list[float]]


class Flooded(Struct):
    """What a flood did."""

    sent_a_second: float
    answers: dict[str, int]
    cores: float
    seconds: float


class Round(NamedTuple):
    """What calls took in ms, by what they were; the server's share of a core, and how much it had to wait for it."""

    times: Times
    cores: float
    waited: float


class Caller:
    """A keep-alive connection from another address than the flood's, as bare as can be."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str) -> None:
        self._reader = reader
        self._writer = writer
        self._head = head

    @classmethod
    async def connect(cls, port: int, head: str) -> "Caller":
        """Return one that sends these headers with each call."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, local_addr=(GOOD, 0)), head)

    async def call(self, line: str, body: bytes = b"") -> bytes:
        """Return the body of a good answer."""
        head = f"{line} HTTP/1.1\r\nHost: 127.0.0.1\r\n{self._head}Content-Length: {len(body)}\r\n\r\n"
        self._writer.write(head.encode() + body)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = int(answer.split(b"content-length: ")[1].split(b"\r\n")[0])
        said = await self._reader.readexactly(length)
        if not answer.startswith(b"http/1.1 20"):
            raise RuntimeError(f"{answer!r}{said!r}")
        return said

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


class User:
    """A good user, with a connection for calls and a socket for events."""

    def __init__(self, name: str, port: int) -> None:
        self._name = name
        self._port = port
        self._calls = 0

    async def sign_in(self) -> None:
        """Get a token."""
        backend = await Caller.connect(self._port, "x-app-id: demo\r\nx-app-api-key: demo-key\r\n")
        said = await backend.call("POST /auth/token", b'{"userId":"%s"}' % self._name.encode())
        backend.close()
        self._token = msgspec.json.decode(said)["accessToken"]

    async def go_on(self, seconds: float, times: Times) -> None:
        """Read, place orders and wait for their events, again and again; add what each took in ms to `times`."""
        head = f"x-app-id: demo\r\nauthorization: Bearer {self._token}\r\n"
        caller = await Caller.connect(self._port, head)
        url = f"ws://127.0.0.1:{self._port}/ws?appId=demo&token={self._token}"
        async with websockets.connect(url, local_addr=(GOOD, 0), max_queue=None) as socket:
            await socket.recv()
            until = time.perf_counter() + seconds
            while time.perf_counter() < until:
                await _timed(times["read"], lambda: caller.call("GET /trading/balance"))
                await asyncio.sleep(PAUSE_SECONDS)
                self._calls += 1
                own = f"{self._name}-{self._calls}-{time.time_ns()}".encode()
                heard = asyncio.create_task(self._heard(socket, own, time.perf_counter(), times["event"]))
                await _timed(times["order"], lambda own=own: caller.call("POST /trading/orders", ORDER % own))
                await heard
                await asyncio.sleep(PAUSE_SECONDS)
        caller.close()

    async def _heard(self, socket: websockets.ClientConnection, own: bytes, started: float, times: list[float]) -> None:
        while own not in await socket.recv(decode=False):
            pass
        times.append((time.perf_counter() - started) * 1000)


async def _timed(times: list[float], work: Callable[[], Awaitable[object]]) -> None:
    started = time.perf_counter()
    await work()
    times.append((time.perf_counter() - started) * 1000)


@contextmanager
def flooding(kind: str, port: int, rate: float, found: list[Flooded]) -> Iterator[None]:
    """Flood while the block runs; what the flood did is added to `found`."""
    command = [sys.executable, "-m", "bench.attack", kind, str(port), str(rate)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if process.stdout.readline() != "flooding\n":
            raise RuntimeError("the flood did not begin")
        yield
        process.stdin.close()
        found.append(msgspec.json.decode(process.stdout.readline(), type=Flooded))
    finally:
        process.kill()
        process.wait()


async def a_round(gateway: Gateway, users: list[User], seconds: float) -> Round:
    """Return what everything took."""
    times: Times = {measure: [] for measure in MEASURES}
    cpu, waited, at = gateway.cpu_seconds(), gateway.waited_seconds(), time.perf_counter()
    await asyncio.gather(*(user.go_on(seconds, times) for user in users))
    took = time.perf_counter() - at
    return Round(times, (gateway.cpu_seconds() - cpu) / took, (gateway.waited_seconds() - waited) / took)


def percentile(times: list[float], share: float) -> float:
    """Return the time that this share stays below."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Figure(Struct):
    """A percentile of what something took: of all rounds together, and the ratio of each pair of rounds."""

    quiet_ms: float
    flooded_ms: float
    ratio: float
    ratios: list[float]


class Found(Struct):
    """The figures of one kind of flood, and what the flood and the server were doing meanwhile."""

    floods: list[Flooded]
    server_cores_quiet: float
    server_cores_flooded: float
    waited_quiet: list[float]
    """Of each second, how long the server was ready to run while others had its core: of each round."""
    waited_flooded: list[float]
    figures: dict[str, Figure]


async def measure(gateway: Gateway, kind: str, rate: float, rounds: int, seconds: float) -> Found:
    """Return the figures of one kind of flood."""
    users = [User(f"good-{kind}-{number}", gateway.port) for number in range(USERS)]
    for user in users:
        await user.sign_in()
    await a_round(gateway, users, 1.0)
    floods: list[Flooded] = []
    quiet: list[Round] = []
    flooded: list[Round] = []
    for _ in range(rounds):
        quiet.append(await a_round(gateway, users, seconds))
        with flooding(kind, gateway.port, rate, floods):
            # the first answers still look at what was sent
            await asyncio.sleep(0.5)
            flooded.append(await a_round(gateway, users, seconds))
    figures = {
        f"{name}_p{share * 100:.0f}": figure(quiet, flooded, name, share) for name in MEASURES for share in (0.5, 0.99)
    }
    cores = [statistics.mean(one.cores for one in some) for some in (quiet, flooded)]
    waits = [[round(one.waited, 2) for one in some] for some in (quiet, flooded)]
    return Found(floods, cores[0], cores[1], waits[0], waits[1], figures)


def figure(quiet: list[Round], flooded: list[Round], name: str, share: float) -> Figure:
    """Return one percentile of one measure."""
    ratios = [
        percentile(with_.times[name], share) / percentile(without.times[name], share)
        for without, with_ in zip(quiet, flooded, strict=True)
    ]
    whole = [percentile([took for one in some for took in one.times[name]], share) for some in (quiet, flooded)]
    return Figure(whole[0], whole[1], statistics.median(ratios), [round(ratio, 2) for ratio in ratios])


def show(kind: str, found: Found) -> None:
    """Print the figures as a table."""
    console = Console(highlight=False)
    for flood in found.floods:
        console.print(f"{kind}: {flood.sent_a_second:.0f} a second, answers {flood.answers}, {flood.cores:.2f} cores")
    console.print(f"server: {found.server_cores_quiet:.2f} cores quiet, {found.server_cores_flooded:.2f} flooded")
    console.print(f"its wait for the core: {found.waited_quiet} quiet, {found.waited_flooded} flooded")
    table = Table(kind, "quiet ms", "flooded ms", "ratio (median of pairs)", "each pair")
    for name, row in found.figures.items():
        each = " ".join(map(str, row.ratios))
        table.add_row(name.replace("_", " "), f"{row.quiet_ms:.2f}", f"{row.flooded_ms:.2f}", f"{row.ratio:.2f}", each)
    console.print(table)


def main() -> None:
    """Read the options, measure, print."""
    words = argparse.ArgumentParser(prog="python -m bench.flood", description=__doc__)
    words.add_argument("--kinds", default=",".join(KINDS), help=f"which floods, of {', '.join(KINDS)}")
    words.add_argument("--rate", type=float, default=2000, help="bad calls a second")
    words.add_argument("--rounds", type=int, default=5, help="pairs of rounds of each kind")
    words.add_argument("--seconds", type=float, default=4.0, help="length of a round")
    words.add_argument("--json", action="store_true", help="print JSON")
    said = words.parse_args()
    results: dict[str, Found] = {}
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), {"ODDSWIRE_LOG_LEVEL": "info"}) as gateway:
        for kind in said.kinds.split(","):
            results[kind] = uvloop.run(measure(gateway, kind, said.rate, said.rounds, said.seconds))
            if not said.json:
                show(kind, results[kind])
    if said.json:
        print(msgspec.json.format(msgspec.json.encode(results)).decode())


if __name__ == "__main__":
    main()
