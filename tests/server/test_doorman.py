import asyncio
import errno
import itertools
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from oddswire.server import doorman
from oddswire.server.doorman import AT_ONCE, Doorman

BACKLOG = 64


class Greeter(asyncio.Protocol):
    """Says hello, and notes who came."""

    def __init__(self, came: list[asyncio.Transport]) -> None:
        self.came = came

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.came.append(transport)
        transport.write(b"hello")


class Troubled(socket.socket):
    """A listener whose first answers are faults of the system."""

    faults: list[int]

    def accept(self) -> tuple[socket.socket, object]:
        if self.faults:
            raise OSError(self.faults.pop(0), "trouble")
        return super().accept()


@asynccontextmanager
async def standing(*faults: int, most: int = 100) -> AsyncIterator[tuple[int, list[asyncio.Transport]]]:
    listener = Troubled()
    listener.faults = list(faults)
    listener.bind(("127.0.0.1", 0))
    came: list[asyncio.Transport] = []
    door = Doorman(listener, lambda: Greeter(came), BACKLOG, asyncio.get_running_loop(), lambda: len(came) >= most)
    try:
        yield listener.getsockname()[1], came
    finally:
        door.close()
        await door.wait_closed()
        for transport in came:
            transport.abort()


def callers(port: int, count: int) -> list[socket.socket]:
    return [socket.create_connection(("127.0.0.1", port), 5) for _ in range(count)]


async def turns_until(came: list[asyncio.Transport], count: int) -> list[int]:
    seen = [len(came)]
    async with asyncio.timeout(5):
        while len(came) < count:
            await asyncio.sleep(0)
            seen.append(len(came))
    return seen


async def test_everybody_is_let_in_but_only_a_few_in_one_turn() -> None:
    async with standing() as (port, came):
        waiting = callers(port, 30)
        seen = await turns_until(came, 30)
        assert max(after - before for before, after in itertools.pairwise(seen)) <= AT_ONCE
        loop = asyncio.get_running_loop()
        for caller in waiting:
            caller.setblocking(False)
            assert await asyncio.wait_for(loop.sock_recv(caller, 16), 5) == b"hello"
            caller.close()


async def test_what_is_written_leaves_at_once() -> None:
    async with standing() as (port, came):
        (caller,) = callers(port, 1)
        await turns_until(came, 1)
        assert came[0].get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        caller.close()


async def test_who_left_before_being_let_in_stops_nobody() -> None:
    async with standing(errno.ECONNABORTED) as (port, came):
        (caller,) = callers(port, 1)
        await turns_until(came, 1)
        caller.close()


async def test_when_the_system_is_exhausted_it_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorman, "RETRY_SECONDS", 0.05)
    with capture_logs() as said:
        async with standing(errno.ENFILE, errno.ENOMEM) as (port, came):
            (caller,) = callers(port, 1)
            await turns_until(came, 1)
            caller.close()
    assert [entry["event"] for entry in said] == ["cannot_accept", "cannot_accept"]


async def test_who_comes_when_it_is_full_is_sent_away_and_that_is_said_once() -> None:
    with capture_logs() as said:
        async with standing(most=1) as (port, came):
            (first,) = callers(port, 1)
            await turns_until(came, 1)
            loop = asyncio.get_running_loop()
            for caller in callers(port, 3):
                caller.setblocking(False)
                assert await asyncio.wait_for(loop.sock_recv(caller, 16), 5) == b""
                caller.close()
            first.close()
    assert [entry["event"] for entry in said] == ["sockets_full"]


async def test_for_whom_there_is_no_file_is_sent_away_at_once() -> None:
    async with standing(errno.EMFILE) as (port, came):
        first, second = callers(port, 2)
        await turns_until(came, 1)
        loop = asyncio.get_running_loop()
        for caller in (first, second):
            caller.setblocking(False)
        assert await asyncio.wait_for(loop.sock_recv(first, 16), 5) == b""
        assert await asyncio.wait_for(loop.sock_recv(second, 16), 5) == b"hello"
        first.close()
        second.close()


async def test_after_the_end_nobody_is_let_in() -> None:
    async with standing() as (port, came):
        pass
    with pytest.raises(ConnectionRefusedError):
        callers(port, 1)
    assert not came
