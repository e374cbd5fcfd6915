"""HTTP below the routes: what passes for a header, and how much a request may be."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from oddswire.testing.gateway import RunningGateway, running_gateway
from tests.server.gateways import an_order


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[RunningGateway]:
    async with running_gateway(tmp_path) as running:
        yield running


class Line:
    """A connection to the gateway, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, gateway: RunningGateway) -> "Line":
        return cls(*await asyncio.open_connection(gateway.address.api.host, gateway.address.api.port))

    async def answer(self) -> tuple[int, bytes]:
        async with asyncio.timeout(5):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            return int(head.split()[1]), head + await self.reader.readexactly(length)

    async def ended(self) -> None:
        async with asyncio.timeout(5):
            while await self.reader.read(65536):
                pass
        self.writer.close()


async def test_a_trailer_is_no_header(gateway: RunningGateway) -> None:
    token = (await gateway.sign_in("ann")).access_token
    line = await Line.open(gateway)
    body = json.dumps(an_order()).encode()
    line.writer.write(
        b"POST /trading/orders HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        + f"{len(body):x}\r\n".encode()
        + body
        + f"\r\n0\r\nx-app-id: {gateway.app_id}\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    )
    status, answer = await line.answer()
    assert (status, b"app_id_missing" in answer) == (400, True)
    line.writer.close()


async def test_a_request_that_never_ends_is_cut(gateway: RunningGateway) -> None:
    line = await Line.open(gateway)
    line.writer.write(b"POST /trading/orders HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
    sent = 0
    try:
        async with asyncio.timeout(5):
            while sent < 16 * 1024 * 1024:
                line.writer.write(b"x: " + b"y" * 8192 + b"\r\n")
                sent += 8197
                await line.writer.drain()
    except ConnectionError:
        pass
    assert sent < 16 * 1024 * 1024
    line.writer.close()


@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nx: " + b"y" * 40_000 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"x: y\r\n" * 10_000 + b"\r\n",
        b"GET /healthz?" + b"q" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["one long header", "many short ones", "a long target"],
)
async def test_a_head_over_its_size_is_refused_however_it_arrives(gateway: RunningGateway, head: bytes) -> None:
    line = await Line.open(gateway)
    line.writer.write(head)
    status, answer = await line.answer()
    assert (status, b"head_too_large" in answer) == (431, True)
    await line.ended()


@pytest.mark.parametrize("said", [b"NONSENSE\r\n\r\n", b"FLY / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01"])
async def test_what_is_no_http_is_refused_as_every_error_is(gateway: RunningGateway, said: bytes) -> None:
    line = await Line.open(gateway)
    line.writer.write(said)
    status, answer = await line.answer()
    assert status == 400
    assert b"application/problem+json" in answer
    assert b"invalid_http" in answer
    await line.ended()


GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("requests", [1, 3])
async def test_who_sends_no_more_gets_what_was_asked_for(gateway: RunningGateway, requests: int) -> None:
    line = await Line.open(gateway)
    line.writer.write(GET * requests)
    line.writer.write_eof()
    for _ in range(requests):
        status, answer = await line.answer()
        assert (status, b'"ok"' in answer) == (200, True)
    await line.ended()


async def test_an_order_of_who_sends_no_more_is_answered(gateway: RunningGateway) -> None:
    token = (await gateway.sign_in("ann")).access_token
    body = json.dumps(an_order()).encode()
    head = f"POST /trading/orders HTTP/1.1\r\nHost: x\r\nx-app-id: {gateway.app_id}\r\n"
    head += f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n"
    line = await Line.open(gateway)
    line.writer.write(head.encode() + body)
    line.writer.write_eof()
    status, answer = await line.answer()
    assert (status, b"fed-cut-dec" in answer) == (201, True)
    await line.ended()


@pytest.mark.parametrize("body", [None, b"", b"{"])
async def test_who_sends_no_more_and_has_asked_for_nothing_whole_is_gone(
    gateway: RunningGateway, body: bytes | None
) -> None:
    token = (await gateway.sign_in("ann")).access_token
    head = f"POST /trading/orders HTTP/1.1\r\nHost: x\r\nx-app-id: {gateway.app_id}\r\n"
    head += f"Authorization: Bearer {token}\r\nContent-Length: 9\r\n"
    line = await Line.open(gateway)
    line.writer.write(head.encode() if body is None else head.encode() + b"\r\n" + body)
    line.writer.write_eof()
    async with asyncio.timeout(5):
        assert await line.reader.read() == b""
    line.writer.close()


async def test_a_stream_ends_with_its_reader(gateway: RunningGateway) -> None:
    token = (await gateway.sign_in("ann")).access_token
    line = await Line.open(gateway)
    head = f"GET /trading/events/stream HTTP/1.1\r\nHost: x\r\nx-app-id: {gateway.app_id}\r\n"
    line.writer.write(head.encode() + f"Authorization: Bearer {token}\r\n\r\n".encode())
    async with asyncio.timeout(5):
        await line.reader.readuntil(b"event: connected")
    line.writer.write_eof()
    await line.ended()


@pytest.mark.parametrize(
    "nonsense", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"a" * 40_000, b"CONNECT x:1 HTTP/1.1\r\n\r\n"]
)
async def test_what_is_no_request_is_never_answered_before_the_one_ahead_of_it(
    gateway: RunningGateway, nonsense: bytes
) -> None:
    token = (await gateway.sign_in("ann")).access_token
    body = json.dumps(an_order()).encode()
    line = await Line.open(gateway)
    line.writer.write(order_with(b"X: y", gateway, token, b"Content-Length: %d" % len(body), body) + nonsense)
    assert (await line.answer())[0] == 201
    await line.ended()


async def test_a_broken_body_is_answered_at_once(gateway: RunningGateway) -> None:
    token = (await gateway.sign_in("ann")).access_token
    line = await Line.open(gateway)
    line.writer.write(order_with(b"X: y", gateway, token, b"Transfer-Encoding: chunked", b"5\r\n{"))
    await line.writer.drain()
    line.writer.write(b"12345nonsense\r\n")
    assert (await line.answer())[0] == 400
    await line.ended()


UPGRADES = [
    b"Connection: Upgrade\r\nUpgrade: foo",
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk",
    b"Connection: upgrade\r\nConnection: keep-alive\r\nUpgrade: websocket",
    b"Upgrade: foo\r\nUpgrade: bar\r\nConnection: keep-alive, UPGRADE",
]


def order_with(upgrade: bytes, gateway: RunningGateway, token: str, framing: bytes, body: bytes) -> bytes:
    return (
        b"POST /trading/orders HTTP/1.1\r\nHost: x\r\n"
        + upgrade
        + f"\r\nx-app-id: {gateway.app_id}\r\nAuthorization: Bearer {token}\r\n".encode()
        + framing
        + b"\r\n\r\n"
        + body
    )


@pytest.mark.parametrize("upgrade", UPGRADES)
async def test_an_upgrade_that_is_not_spoken_here_is_left_out(gateway: RunningGateway, upgrade: bytes) -> None:
    token = (await gateway.sign_in("ann")).access_token
    line = await Line.open(gateway)
    body = json.dumps(an_order()).encode()
    chunked = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
    line.writer.write(order_with(upgrade, gateway, token, b"Content-Length: %d" % len(body), body))
    assert (await line.answer())[0] == 201
    line.writer.write(order_with(upgrade, gateway, token, b"Transfer-Encoding: chunked", chunked))
    line.writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + upgrade + b"\r\n\r\n")
    assert [(await line.answer())[0] for _ in range(2)] == [201, 200]
    line.writer.close()


@pytest.mark.parametrize("upgrade", UPGRADES)
@pytest.mark.parametrize("pieces", [1, 7])
async def test_the_body_of_a_request_is_never_read_as_a_request(
    gateway: RunningGateway, upgrade: bytes, pieces: int
) -> None:
    token = (await gateway.sign_in("ann")).access_token
    line = await Line.open(gateway)
    inner = f"POST /auth/sign-out HTTP/1.1\r\nx-app-id: {gateway.app_id}\r\nAuthorization: Bearer {token}\r\n\r\n"
    sent = order_with(upgrade, gateway, token, b"Content-Length: %d" % len(inner), inner.encode())
    size = -(-len(sent) // pieces)
    for start in range(0, len(sent), size):
        line.writer.write(sent[start : start + size])
        await line.writer.drain()
        await asyncio.sleep(0)
    assert (await line.answer())[0] == 400
    line.writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await line.answer())[0] == 200
    line.writer.close()
    async with gateway.http(token) as http:
        assert (await http.get("/trading/balance")).status_code == 200


async def test_upgrades_sent_ahead_are_answered_like_any_request(gateway: RunningGateway) -> None:
    line = await Line.open(gateway)
    line.writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n" * 2000)
    assert [(await line.answer())[0] for _ in range(9)] == [200] * 9
    await line.ended()


@pytest.mark.parametrize("upgrade", UPGRADES)
async def test_the_operator_s_listener_reads_no_body_as_a_request_either(
    gateway: RunningGateway, upgrade: bytes
) -> None:
    host, port = gateway.admin_url.removeprefix("http://").split(":")
    line = Line(*await asyncio.open_connection(host, int(port)))
    body = b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    head = b"POST /connections/kick HTTP/1.1\r\nHost: 127.0.0.1\r\n" + upgrade + b"\r\nContent-Length: %d\r\n\r\n"
    line.writer.write(head % len(body) + body)
    assert (await line.answer())[0] >= 400
    line.writer.write(b"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert (await line.answer())[0] == 404
    line.writer.close()


async def test_connect_is_refused(gateway: RunningGateway) -> None:
    line = await Line.open(gateway)
    line.writer.write(b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await line.answer())[0] == 400
    await line.ended()
