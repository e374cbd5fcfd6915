"""A reader that stops reading costs little, slows nobody, and gets everything later or is sent away to resume."""

import asyncio
import itertools
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import which

import httpx
import pytest

from oddswire.server.websocket import SEND_BUFFER
from tests.acceptance.follower import Follower, are_whole, begin
from tests.acceptance.forked import forked_server
from tests.acceptance.listener import Listener
from tests.acceptance.server import UNLIMITED, Server, an_order, running_server
from tests.acceptance.test_cursors import trim_to

READERS = 200
ORDERS = 600
AT_ONCE = 8
KIB = 1024
SMALL = 4 * KIB
STALL_SECONDS = 30
SPARED = 5
"""How many of each kind read again; as many do not, and are looked at when they are sent away."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running_server(
        tmp_path,
        ODDSWIRE_MAX_CONNECTIONS_PER_USER=str(READERS + 10),
        ODDSWIRE_PAPER_START_CENTS="1000000000",
        **UNLIMITED,
    ) as running:
        yield running


async def flood(http: httpx.AsyncClient, orders: int = ORDERS) -> float:
    """Buy and sell so often, some five events each; return the seconds it took."""
    began, left = time.monotonic(), itertools.repeat(None, orders)

    async def lane() -> None:
        for _ in left:
            answer = await http.post("/trading/orders", json=an_order(price=0.99, size=1))
            assert answer.status_code == 201, answer.text

    await asyncio.gather(*(lane() for _ in range(AT_ONCE)))
    return time.monotonic() - began


async def head_of(http: httpx.AsyncClient) -> int:
    return int((await http.get("/trading/balance")).json()["seq"])


def resident(server: Server) -> int:
    """Return the bytes of memory the process has."""
    assert server.process is not None
    (kib,) = re.findall(r"^VmRSS:\s+(\d+) kB$", Path(f"/proc/{server.process.pid}/status").read_text(), re.MULTILINE)
    return int(kib) * KIB


def kernel_queues(server: Server) -> list[int]:
    """Return the bytes that the kernel holds for each socket of the server, of those that it holds any for."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [
        int(row[4].split(":")[0], 16) for row in rows if row[1].endswith(f":{server.port:04X}") if int(row[3], 16) == 1
    ]


def send_buffers(server: Server) -> set[int]:
    """Return the SO_SNDBUF of the server's sockets as the kernel counts it, its bookkeeping included."""
    listed = subprocess.run(["ss", "-tmnH", f"sport = :{server.port}"], capture_output=True, text=True, check=True)
    return {int(size) for size in re.findall(r"\btb(\d+)", listed.stdout)}


def pause(follower: Follower) -> Follower:
    follower.client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # sockets have it
    return follower


def read_again(follower: Follower) -> Follower:
    follower.client.writer.transport.resume_reading()  # type: ignore[attr-defined]  # as above
    return follower


async def stalled(like: Follower, since: int) -> Follower:
    """Connect one more client of that user, which reads its greeting and no more."""
    reader = Follower(like.server, like.token, like.epoch, since)
    await reader.connect(receive_buffer=SMALL)
    return pause(reader)


async def follow(follower: Follower) -> None:
    while await follower.read(60):
        pass
    raise AssertionError(f"a reader that reads was closed: {follower.ended}")


async def trickle(follower: Follower, enough: asyncio.Event) -> None:
    """Read a few kilobytes a second."""
    while not enough.is_set():
        for _ in range(10):
            assert await follower.read(60), f"a reader that makes progress was closed: {follower.ended}"
        await asyncio.sleep(0.5)  # its pace


async def behind_are(server: Server, true: Callable[[int], bool], seconds: float = 5) -> None:
    """Wait until that is true of the number of connections that are behind their stream."""
    async with asyncio.timeout(seconds):
        while not true(server.details()["catchingUp"]):
            await asyncio.sleep(0.1)


@pytest.mark.timeout(240)
async def test_readers_that_stop_cost_little_slow_nobody_and_lose_nothing(server: Server) -> None:
    fast, slow, enough = await begin(server, "ann"), await begin(server, "ann"), asyncio.Event()
    await fast.connect()
    async with server.http(fast.token) as http, asyncio.TaskGroup() as group:
        following = group.create_task(follow(fast))
        await flood(http, ORDERS // 3)  # what grows once has grown
        alone, head, without = await flood(http), await head_of(http), resident(server)
        first_stop = time.monotonic()
        behind = [await stalled(fast, 0) for _ in range(READERS // 2)]
        await behind_are(server, lambda count: count >= READERS // 2)
        with_behind = resident(server)
        level = [await stalled(fast, head) for _ in range(READERS // 2)]
        await slow.connect(receive_buffer=SMALL)
        trickling = group.create_task(trickle(slow, enough))

        among, last_stop, head = await flood(http), time.monotonic(), await head_of(http)

        assert fast.cursor >= head - AT_ONCE, "the one that reads is level at once"
        costs = (with_behind - without, resident(server) - with_behind)
        what_they_cost(server, max(costs) // (READERS // 2), alone, among)
        await some_read_again([*behind[:SPARED], *level[:SPARED]], head)
        for reader in [*behind[2 * SPARED :], *level[2 * SPARED :]]:
            reader.client.hang_up()
        await sent_away([*behind[SPARED : 2 * SPARED], *level[SPARED : 2 * SPARED]], head, first_stop, last_stop)
        enough.set()
        await trickling
        await slow.read_to(head)
        await are_whole(slow, fast)
        following.cancel()


def what_they_cost(server: Server, ours: int, alone: float, among: float) -> None:
    assert server.details()["catchingUp"] >= READERS
    kernels = kernel_queues(server)
    print(  # noqa: T201 - figures to look at with -s
        f"a reader that stopped: {ours / KIB:.1f} KiB of ours, up to {max(kernels) / KIB:.0f} KiB of the kernel's; "
        f"{ORDERS} orders: {alone:.2f} s, among {READERS} such {among:.2f} s"
    )
    assert ours <= 64 * KIB
    assert len(kernels) >= READERS
    assert max(kernels) <= SEND_BUFFER
    if which("ss"):
        assert send_buffers(server) == {SEND_BUFFER}
    assert among <= 3 * alone + 1


async def some_read_again(readers: list[Follower], head: int) -> None:
    await asyncio.gather(*(read_again(reader).read_to(head) for reader in readers))
    await are_whole(*readers)
    for reader in readers:
        reader.client.hang_up()


async def sent_away(readers: list[Follower], head: int, first_stop: float, last_stop: float) -> None:
    """Closed 4301 after 30 s without progress, not before; what they had not read they are told when they resume."""
    server = readers[0].server
    await behind_are(server, lambda count: count <= len(readers) + 1)
    await behind_are(server, lambda count: count <= len(readers), STALL_SECONDS + 5)
    assert time.monotonic() - first_stop >= STALL_SECONDS
    await behind_are(server, lambda count: count <= 1, last_stop + STALL_SECONDS + 5 - time.monotonic())
    for reader in readers:
        read_again(reader)
        while await reader.read():
            pass
        assert reader.ended == (4301, {"code": "slow_reader"})
        assert reader.cursor < head
    for reader in readers:
        await reader.connect()
        await reader.read_to(head)
    await are_whole(*readers)


async def test_history_that_expires_while_catching_up_ends_the_connection_and_a_new_one_begins(tmp_path: Path) -> None:
    with forked_server(tmp_path, **UNLIMITED) as server:
        ann = await begin(server, "ann")
        async with server.http(ann.token) as http:
            await flood(http, 300)
            head = await head_of(http)
            reader = await stalled(ann, 0)
            async with asyncio.timeout(5):
                while not kernel_queues(server):
                    await asyncio.sleep(0.01)
            await trim_to(server.database, "ann", head - 10)

            read_again(reader)
            while await reader.read():
                pass

            assert reader.ended == (4302, {"code": "history_expired"})
            assert 0 < reader.cursor < head - 11, "what was told before had no hole"
            page = await http.get("/trading/events", params={"since": reader.cursor, "epoch": ann.epoch})
            assert (page.status_code, page.json()["code"]) == (410, "history_expired")
            async with Listener(server.ws_url(token=ann.token)) as heard:
                greeting = await heard.first()
                assert (greeting["seq"], greeting["head"], "resumed" in greeting) == (head, head, False)
                await flood(http, 1)
                told = await heard.told(2)
            assert [event["seq"] for event in told] == [head + 1, head + 2]
