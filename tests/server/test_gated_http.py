"""Stopped calls as bytes: what is answered, in which order, and when the connection ends."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from oddswire.server import gated_http
from oddswire.server.websocket import Turnstile
from oddswire.testing.gateway import ORIGIN, RunningGateway
from tests.server.test_abuse import gateway_with
from tests.server.test_abuse import stopped_clock as stopped_clock

HEAD = "Host: x\r\nx-app-id: demo\r\n"
STOPPED = {"reads_per_second": 1}
CROWD, LEAVES = 100, 97


async def head_of(gateway: RunningGateway, request: str) -> str:
    """Send a request on a connection of its own and return the head of the answer."""
    reader, writer = await asyncio.open_connection(gateway.address.api.host, gateway.address.api.port)
    writer.write(request.encode())
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return head.decode()


async def write_for_ever(writer: asyncio.StreamWriter, data: bytes) -> None:
    while True:
        writer.write(data)
        await writer.drain()


async def metrics(gateway: RunningGateway) -> str:
    async with httpx.AsyncClient() as http:
        return (await http.get(f"{gateway.admin_url}/metrics")).text


@asynccontextmanager
async def stopped_line(gateway: RunningGateway) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Yield a connection from an address that has used up its calls."""
    async with gateway.http() as http:
        while (await http.get("/venues")).status_code == 200:
            pass
    reader, writer = await asyncio.open_connection(gateway.address.api.host, gateway.address.api.port)
    async with asyncio.timeout(10):
        yield reader, writer
    writer.close()


async def test_a_stopped_connection_is_kept_and_bodies_pass_by(tmp_path: Path) -> None:
    async with gateway_with(tmp_path, failed_sign_ins_per_minute=1) as gateway:
        reader, writer = await asyncio.open_connection(gateway.address.api.host, gateway.address.api.port)
        body = b'{"userId":"a"}' + b" " * 40_000
        call = f"POST /auth/token HTTP/1.1\r\n{HEAD}x-app-api-key: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        chunked = f"POST /auth/token HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".encode()
        statuses = []
        async with asyncio.timeout(5):
            for request in (call + body, call + body, chunked, call + body):
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                statuses.append(int(head.split()[1]))
                assert b"connection: close" not in head.lower()
                length = int(head.lower().split(b"content-length: ")[1].split()[0])
                assert json.loads(await reader.readexactly(length))["status"] == statuses[-1]
            writer.write(call.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\nConnection: close\r\n") + body)
            last = await reader.read()
        assert statuses == [401, 429, 429, 429]
        assert last.startswith(b"HTTP/1.1 429 ")
        assert b"connection: close" in last.lower()
        writer.close()


async def test_a_stopped_head_has_no_body_and_who_asks_before_sending_one_is_told_at_once(tmp_path: Path) -> None:
    async with gateway_with(tmp_path, **STOPPED) as gateway:
        async with stopped_line(gateway) as (reader, writer):
            writer.write(f"HEAD /venues HTTP/1.1\r\n{HEAD}\r\nGET /healthz HTTP/1.1\r\n{HEAD}\r\n".encode())
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 429 ")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        async with stopped_line(gateway) as (reader, writer):
            writer.write(f"GET /venues HTTP/1.1\r\n{HEAD}Expect: 100-continue\r\nContent-Length: 9\r\n\r\n".encode())
            assert (await reader.read()).startswith(b"HTTP/1.1 429 ")


async def test_answers_keep_their_order_and_the_one_before_a_stopped_call_is_the_last(tmp_path: Path) -> None:
    async with gateway_with(tmp_path, **STOPPED) as gateway, stopped_line(gateway) as (reader, writer):
        writer.write(f"GET /healthz HTTP/1.1\r\n{HEAD}\r\nGET /venues HTTP/1.1\r\n{HEAD}\r\n".encode() * 3)
        answers = await reader.read()
        assert answers.startswith(b"HTTP/1.1 200 ")
        assert answers.count(b"HTTP/1.1") == 1


async def test_who_sends_far_ahead_is_cut_off_after_what_waits(tmp_path: Path) -> None:
    async with gateway_with(tmp_path) as gateway:
        reader, writer = await asyncio.open_connection(gateway.address.api.host, gateway.address.api.port)
        writer.write(f"GET /healthz HTTP/1.1\r\n{HEAD}\r\n".encode() * 100)
        async with asyncio.timeout(5):
            answers = await reader.read()
        assert answers.count(b"HTTP/1.1 200") == 1 + gated_http.MOST_WAITING
        writer.close()


@pytest.mark.parametrize("second", [ORIGIN, "https://evil.example"])
@pytest.mark.parametrize(
    "request_", ["GET /venues", "OPTIONS /trading/orders", "POST /auth/token", "GET /ws?appId=demo", "GET /healthz"]
)
async def test_two_origins_are_refused(tmp_path: Path, request_: str, second: str) -> None:
    upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
    upgrade += "dGhlIHNhbXBsZSBub25jZQ==\r\n"
    head = f"{request_} HTTP/1.1\r\n{HEAD}{upgrade if '/ws' in request_ else ''}Origin: {ORIGIN}\r\n"
    async with gateway_with(tmp_path) as gateway:
        assert not (await head_of(gateway, f"{head}\r\n")).startswith("HTTP/1.1 400 ")
        refused = await head_of(gateway, f"{head}Origin: {second}\r\n\r\n")
        assert refused.startswith("HTTP/1.1 400 ")
        assert "access-control-allow-origin" not in refused.lower()


async def test_who_reads_no_answer_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gated_http, "UNREAD", 1024)
    async with gateway_with(tmp_path, **STOPPED) as gateway, stopped_line(gateway) as (_, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        with pytest.raises(ConnectionError):
            await write_for_ever(writer, f"GET /venues HTTP/1.1\r\n{HEAD}\r\n".encode() * 100)


async def test_what_is_stopped_is_counted_and_logged_once_a_minute(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with gateway_with(tmp_path, **STOPPED) as gateway, gateway.http() as http:
        stopped = [(await http.get("/venues")).status_code for _ in range(20)].count(429)
        assert f'oddswire_calls_stopped_total{{reason="address"}} {stopped}.0' in await metrics(gateway)
    assert capsys.readouterr().out.count("calls_stopped") == 1


@pytest.mark.parametrize("path", ["/auth/token", "//auth///token/", "/auth/%74oken", "http://x/auth/token?a=b"])
async def test_a_path_is_the_same_however_it_is_written(tmp_path: Path, path: str) -> None:
    rest = "x-app-api-key: guess\r\nContent-Length: 2\r\n\r\n{}"
    async with gateway_with(tmp_path, failed_sign_ins_per_minute=1) as gateway:
        for status in ("401", "429"):
            answer = await head_of(gateway, f"POST {path} HTTP/1.1\r\n{HEAD}{rest}")
            assert answer.startswith(f"HTTP/1.1 {status} "), answer
        assert 'calls_stopped_total{reason="sign_in"} 1.0' in await metrics(gateway)


@pytest.mark.parametrize("pieces", [1, 3], ids=["whole requests", "requests in pieces"])
async def test_newcomers_who_all_speak_at_once_are_heard_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pieces: int
) -> None:
    """Nobody is forgotten in the queue, also not beside one who has left it."""
    at_once: list[bool] = []
    enter = Turnstile.enter

    def entered(turnstile: Turnstile, start: Callable[[], None]) -> bool:
        at_once.append(enter(turnstile, start))
        return at_once[-1]

    monkeypatch.setattr(Turnstile, "enter", entered)
    async with gateway_with(tmp_path) as gateway, asyncio.timeout(20):
        lines = [
            await asyncio.open_connection(gateway.address.api.host, gateway.address.api.port) for _ in range(CROWD)
        ]
        request = f"GET /venues HTTP/1.1\r\n{HEAD}Connection: close\r\n\r\n".encode()
        size = -(-len(request) // pieces)
        for start in range(0, len(request), size):
            for number, (_, writer) in enumerate(lines):
                if number == LEAVES and start:
                    continue
                # the loop does not turn in between, so all are there when it does
                os.write(writer.get_extra_info("socket").fileno(), request[start : start + size])
                if number == LEAVES:
                    writer.transport.abort()
            await asyncio.sleep(0)
        answers = [await reader.read() for number, (reader, _) in enumerate(lines) if number != LEAVES]
        for _, writer in lines:
            writer.close()
    assert [answer.split(b" ")[1] for answer in answers] == [b"200"] * (CROWD - 1)
    assert len(at_once) >= CROWD - 1
    assert at_once.count(False) > CROWD / 2
