import asyncio
from collections.abc import Iterator, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
import websockets
from structlog.testing import capture_logs

from oddswire.auth.apps import AppDirectory
from oddswire.server.cors import Cors
from oddswire.server.front import Front
from oddswire.server.metrics import Metrics
from oddswire.testing.gateway import RunningGateway, running_gateway
from tests.server.gateways import code_of


@pytest.fixture(autouse=True)
def fresh_loggers() -> Iterator[None]:
    """Loggers bound before a capture would pass it by."""
    kept = structlog.get_config()
    structlog.configure(cache_logger_on_first_use=False)
    yield
    structlog.configure(**kept)


async def until_logged(logged: Sequence[MutableMapping[str, Any]], event: str) -> None:
    async with asyncio.timeout(5):
        while event not in [line["event"] for line in logged]:
            await asyncio.sleep(0.005)


async def test_a_request_is_one_line_without_query_or_headers(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        token = (await gateway.sign_in("ann")).access_token
        with capture_logs() as logged:
            async with gateway.http(token) as http:
                await http.get("/trading/balance", params={"token": token, "venue": "paper"})
            async with websockets.connect(gateway.ws_url(token=token)) as socket:
                await socket.recv()
    told = [line for line in logged if line["event"] == "request"]
    assert [set(line) for line in told] == [
        {"event", "log_level", "method", "path", "status", "ms", "client"},
        {"event", "log_level", "method", "path", "status", "client"},
    ]
    assert [(line["method"], line["path"], line["status"], line["client"]) for line in told] == [
        ("GET", "/trading/balance", 400, "127.0.0.1"),
        ("GET", "/ws", 101, "127.0.0.1"),
    ]
    assert token not in repr(logged)


async def send_half_a_body(gateway: RunningGateway, token: str) -> None:
    _, writer = await asyncio.open_connection(gateway.address.api.host, gateway.address.api.port)
    writer.write(
        f"POST /trading/orders HTTP/1.1\r\nHost: x\r\nx-app-id: {gateway.app_id}\r\n"
        f"Authorization: Bearer {token}\r\nContent-Length: 100\r\n\r\n{{".encode()
    )
    await writer.drain()
    writer.close()


async def test_a_caller_who_hangs_up_is_no_fault_of_ours(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        token = (await gateway.sign_in("ann")).access_token
        with capture_logs() as logged:
            await send_half_a_body(gateway, token)
            await until_logged(logged, "request")
    assert "request_failed" not in [line["event"] for line in logged]


async def test_a_fault_that_nobody_turned_into_an_answer_is_told_as_ours_and_logged() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("hunter2")

    front = Front(broken, Cors(AppDirectory([])), Metrics(), lambda address: None)
    with capture_logs() as logged:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(front), base_url="http://x") as http:  # type: ignore[arg-type]  # the same ASGI under another name
            answer = await http.get("/trading/balance")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "hunter2" not in answer.text
    failed, request = logged
    assert (failed["event"], failed["log_level"], str(failed["exc_info"])) == ("request_failed", "error", "hunter2")
    assert (request["event"], request["status"]) == ("request", 500)


async def exchanged(gateway: RunningGateway, *requests: str) -> bytes:
    """Return all that comes back on one connection."""
    reader, writer = await asyncio.open_connection(gateway.address.api.host, gateway.address.api.port)
    for number, request in enumerate(requests, 1):
        last = "Connection: close\r\n" if number == len(requests) else ""
        writer.write(f"{request} HTTP/1.1\r\nHost: x\r\n{last}\r\n".encode())
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    return answer


async def test_head_is_answered_as_get_without_a_body(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.http() as http:
        for path in ("/healthz", "/readyz", "/markets", "/openapi.json", "/docs", "/trading/balance", "/nothing"):
            get, head = await http.get(path), await http.head(path)
            assert (head.status_code, head.content) == (get.status_code, b"")
            assert {**head.headers, "date": ""} == {**get.headers, "date": ""}
        assert (await http.head("/auth/token")).status_code == 405
        # not a byte of a body: the next answer on the connection begins right after the head
        told = await exchanged(gateway, "HEAD /healthz", "GET /healthz")
        first, second, body = told.split(b"\r\n\r\n")
        assert first.startswith(b"HTTP/1.1 200 ")
        assert second.startswith(b"HTTP/1.1 200 ")
        assert body == b'{"status":"ok"}'


@pytest.mark.parametrize(
    "path", ["/openapi.json/x", "/openapi.json/x/y", "/openapi.json/openapi.json", "/openapi.json/x/"]
)
async def test_below_the_description_there_is_nothing(tmp_path: Path, path: str) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.http() as http:
        assert code_of(await http.get(path)) == (404, "not_found")
        assert (await http.get("/openapi.json")).status_code == 200
