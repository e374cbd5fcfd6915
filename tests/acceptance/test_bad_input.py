"""Bad input: the documented code each time, nothing stored, no delay."""

import asyncio
import contextlib
import json
import socket as sockets
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode

from tests.acceptance.server import ORIGIN, Server, an_order, running_server

DEEP = "[" * 100_000

BODIES: list[tuple[str, str | bytes, int, str, str | None]] = [
    ("nothing", "", 400, "invalid_json", None),
    ("no JSON", "{", 400, "invalid_json", None),
    ("no UTF-8", b'{"venue":"\xff"}', 400, "invalid_json", None),
    ("deep JSON in a field", '{"venue":' + "[" * 20_000 + "]" * 20_000 + "}", 400, "invalid_json", None),
    ("a list", "[]", 400, "invalid_body", None),
    ("no fields", "{}", 400, "invalid_body", None),
    ("a field of the wrong type", json.dumps(an_order(venue=1)), 400, "invalid_body", "$.venue"),
    ("an unknown side", json.dumps(an_order(side="hold")), 400, "invalid_body", "$.side"),
    ("an unknown field", json.dumps(an_order(leverage=10)), 400, "invalid_body", None),
    ("a bad clientOrderId", json.dumps(an_order(clientOrderId="a b")), 400, "invalid_body", "$.clientOrderId"),
    ("a newline after it", json.dumps(an_order(clientOrderId="a\n")), 400, "invalid_body", "$.clientOrderId"),
    ("a long clientOrderId", json.dumps(an_order(clientOrderId="a" * 65)), 400, "invalid_body", "$.clientOrderId"),
    ("price NaN", json.dumps(an_order(price="NaN")), 400, "invalid_amount", "$.price"),
    ("price 1_0", json.dumps(an_order(price="1_0")), 400, "invalid_amount", "$.price"),
    ("price bare NaN", json.dumps(an_order()).replace("0.01", "NaN"), 400, "invalid_json", None),
    ("price 1e-7", json.dumps(an_order()).replace("0.01", "1e-7"), 400, "invalid_amount", "$.price"),
    ("price huge exponent", json.dumps(an_order()).replace("0.01", "1e3000000"), 400, "invalid_amount", "$.price"),
    ("size huge exponent", json.dumps(an_order(size="1e3000000")), 400, "invalid_amount", "$.size"),
    ("size of 60 KB", json.dumps(an_order(size="9" * 60_000)), 400, "invalid_amount", "$.size"),
    ("7 decimals", json.dumps(an_order(price="0.0100000")), 400, "invalid_amount", "$.price"),
    ("negative", json.dumps(an_order(size=-1)), 400, "invalid_amount", "$.size"),
    ("price null", json.dumps(an_order(price=None)), 400, "invalid_amount", "$.price"),
    ("price true", json.dumps(an_order(price=True)), 400, "invalid_amount", "$.price"),
    ("price 0", json.dumps(an_order(price=0)), 422, "price_out_of_range", "$.price"),
    ("price 1", json.dumps(an_order(price=1)), 422, "price_out_of_range", "$.price"),
    ("off tick", json.dumps(an_order(price=0.015)), 422, "price_off_tick", "$.price"),
    ("size 0", json.dumps(an_order(size=0)), 422, "size_too_small", "$.size"),
    ("unknown venue", json.dumps(an_order(venue="moon")), 422, "unknown_venue", "$.venue"),
    ("unknown market", json.dumps(an_order(marketId="nope")), 422, "unknown_market", "$.marketId"),
    ("unknown outcome", json.dumps(an_order(outcomeId="maybe")), 422, "unknown_outcome", "$.outcomeId"),
    ("not enough money", json.dumps(an_order(price=0.99, size=5000)), 422, "insufficient_funds", "$.size"),
    ("nothing to sell", json.dumps(an_order(side="sell")), 422, "insufficient_holdings", "$.size"),
    ("over 64 KiB", json.dumps(an_order(clientOrderId="a" * 66_000)), 413, "body_too_large", None),
]


async def state(http: httpx.AsyncClient) -> list[str]:
    paths = ("/trading/balance", "/trading/holdings", "/trading/orders", "/trading/fills", "/trading/events")
    return [(await http.get(path)).text for path in paths]


async def test_every_bad_order_is_refused_by_its_code_and_stores_nothing(server: Server) -> None:
    token = server.sign_in("ann")["accessToken"]
    async with server.http(token) as http:
        before = await state(http)
        for what, body, status, code, path in BODIES:
            started = time.perf_counter()
            answer = await http.post("/trading/orders", content=body)
            took = time.perf_counter() - started
            problem = answer.json()
            assert answer.status_code == status, (what, answer.text)
            assert answer.headers["content-type"].startswith("application/problem+json"), what
            assert {"type", "title", "status", "detail", "code", "message"} <= set(problem), what
            assert problem["message"] == problem["detail"], what
            assert problem["code"] == code, (what, answer.text)
            if path is not None:
                assert problem["path"] == path, (what, answer.text)
            assert took < 1, (what, took)
        assert await state(http) == before


@pytest.mark.parametrize("body", ["[" * 60_000, '{"venue":1', '{"leverage":10,', "[1,"], ids=lambda body: body[:15])
async def test_a_body_that_breaks_off_is_no_json_whatever_is_wrong_before(server: Server, body: str) -> None:
    async with server.http(server.sign_in("ann")["accessToken"]) as http:
        before = await state(http)
        answer = await http.post("/trading/orders", content=body)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_json"), answer.text
        assert await state(http) == before


async def test_who_may_not_ask_is_told_why(server: Server) -> None:
    token = server.sign_in("ann")["accessToken"]
    header, payload, signature = token.split(".")
    forged = f"{header}.{payload}.{signature[:-4]}AAAA"
    app, bearer = {"x-app-id": "shop"}, {"authorization": f"Bearer {token}"}
    key = {"x-app-api-key": server.api_key}
    table: list[tuple[dict[str, str], int, str]] = [
        ({}, 400, "app_id_missing"),
        (bearer, 400, "app_id_missing"),
        (app, 401, "token_missing"),
        ({**bearer, "x-app-id": "nobody"}, 403, "unknown_app"),
        ({**app, "authorization": "Bearer nonsense"}, 401, "token_invalid"),
        ({**app, "authorization": f"Bearer {forged}"}, 401, "token_invalid"),
        ({**app, **bearer, "origin": "https://evil.example"}, 403, "origin_not_allowed"),
        ({**app, **bearer, "origin": "null"}, 403, "origin_not_allowed"),
        ({**app, **bearer, **key, "origin": ORIGIN}, 403, "api_key_in_browser"),
    ]
    async with httpx.AsyncClient(base_url=server.url) as http:
        for headers, status, code in table:
            answer = await http.get("/trading/balance", headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (status, code), (headers, answer.text)
            assert token not in answer.text
        signing = [
            (app, 401, "api_key_invalid"),
            ({**app, "x-app-api-key": "wrong"}, 401, "api_key_invalid"),
            ({**app, **key, "origin": ORIGIN}, 403, "api_key_in_browser"),
        ]
        for headers, status, code in signing:
            answer = await http.post("/auth/token", headers=headers, json={"userId": "eve"})
            assert (answer.status_code, answer.json()["code"]) == (status, code), (headers, answer.text)
    with pytest.raises(InvalidStatus) as refused:
        await websockets.connect(server.ws_url().split("?")[0])
    assert refused.value.response.status_code == 400
    for headers in ({}, {"origin": ORIGIN}):
        await refused_socket(server.ws_url("nobody"), headers, 403, 4004)
    await refused_socket(server.ws_url(token=token), {"origin": "https://evil.example"}, None, 4005)
    await refused_socket(server.ws_url(token="nonsense"), {}, None, 4101)


async def refused_socket(url: str, headers: dict[str, str], status: int | None, code: int) -> None:
    """With an `Origin` (a browser, that cannot read a status) and for a bad token: an `error` frame, then the close."""
    if status is not None and "origin" not in headers:
        with pytest.raises(InvalidStatus) as refused:
            await websockets.connect(url)
        assert refused.value.response.status_code == status
        return
    async with websockets.connect(url, origin=headers.get("origin")) as socket:  # type: ignore[arg-type]  # plain text
        assert json.loads(await asyncio.wait_for(socket.recv(), 5))["type"] == "error"
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(socket.recv(), 5)
        assert socket.close_code == code
        assert len(socket.close_reason or "") <= 123


FRAMES: list[tuple[str, str, str]] = [
    ("no JSON", "{", "invalid_json"),
    ("a number", "1", "invalid_frame"),
    ("deep JSON", "[" * 8000, "invalid_json"),
    ("no action", "{}", "invalid_frame"),
    ("an unknown action", '{"action":"subscribe"}', "unknown_action"),
    ("no token", '{"action":"authenticate"}', "invalid_frame"),
    ("a token that is a number", '{"action":"authenticate","token":1}', "invalid_frame"),
    ("a bad token", '{"action":"authenticate","token":"nonsense"}', "token_invalid"),
    ("a since that is text", '{"action":"authenticate","token":"x","since":"1"}', "invalid_frame"),
]


async def test_bad_frames_are_refused_store_nothing_and_the_connection_stays(server: Server) -> None:
    token = server.sign_in("ann")["accessToken"]
    assert len(FRAMES) < 10, "the tenth refusal within a minute would be the last"
    async with server.http(token) as http, websockets.connect(server.ws_url(token=token)) as socket:
        before = await state(http)
        await socket.recv()
        for what, frame, code in FRAMES:
            await socket.send(frame)
            error: dict[str, Any] = json.loads(await asyncio.wait_for(socket.recv(), 5))
            assert error["type"] == "error", what
            assert error["code"] == code, (what, error)
        await socket.send('{"action":"ping","id":7}')
        assert json.loads(await asyncio.wait_for(socket.recv(), 5))["id"] == 7
        assert await state(http) == before


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("17 KiB", 1009),
        ("17 KiB in fragments", 1009),
        ("binary", 1003),
        ("no UTF-8", 1007),
        ("ten bad frames", 4008),
        ("a flood", 4202),
    ],
)
async def test_what_a_socket_must_not_send_closes_it_by_its_code(server: Server, what: str, code: int) -> None:
    token = server.sign_in("ann")["accessToken"]
    async with server.http(token) as http, websockets.connect(server.ws_url(token=token)) as socket:
        before = await state(http)
        await socket.recv()
        match what:
            case "17 KiB":
                await socket.send('{"action":"ping","id":"' + "x" * 17_000 + '"}')
            case "17 KiB in fragments":
                await socket.send(["x" * 5000] * 4)
            case "binary":
                await socket.send(b"{}")
            case "no UTF-8":
                await socket.send(b"\xff\xfe", text=True)
            case "ten bad frames":
                for _ in range(10):
                    await socket.send("{")
            case "a flood":
                for n in range(40):
                    await socket.send(json.dumps({"action": "ping", "id": n}))
        await asyncio.wait_for(drained(socket), 5)
        assert socket.close_code == code
        assert await state(http) == before


async def drained(socket: websockets.ClientConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            await socket.recv()


def test_bytes_before_the_upgrade_is_answered_are_refused(server: Server) -> None:
    token = server.sign_in("ann")["accessToken"]
    request = (
        f"GET /ws?appId=shop&token={token} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()
    early = Frame(Opcode.TEXT, b'{"action":"ping"}').serialize(mask=True)
    for rest in (early, request, b"x"):
        with sockets.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
            raw.sendall(request + rest)
            answer = b""
            while chunk := raw.recv(65536):
                answer += chunk
        assert answer.startswith(b"HTTP/1.1 400 "), answer[:200]
        assert b"early_bytes" in answer
        assert token.encode() not in answer
    assert httpx.get(f"{server.url}/healthz").status_code == 200


def test_no_log_line_holds_a_token(tmp_path: Path) -> None:
    with running_server(tmp_path, ODDSWIRE_LOG_LEVEL="debug") as server:
        look_through_the_log(server)


def look_through_the_log(server: Server) -> None:
    tokens = server.sign_in("ann")
    secrets = [tokens["accessToken"], tokens["refreshToken"], server.api_key]
    headers = {"x-app-id": "shop", "authorization": f"Bearer {tokens['accessToken']}"}
    httpx.get(f"{server.url}/trading/balance?token={tokens['accessToken']}", headers=headers)
    httpx.get(f"{server.url}/ws?appId=shop&token={tokens['accessToken']}")
    httpx.post(f"{server.url}/auth/token/refresh", headers={"x-app-id": "shop"}, content=tokens["refreshToken"])

    async def connect() -> None:
        async with websockets.connect(server.ws_url(token=tokens["accessToken"])) as socket:
            await socket.recv()

    asyncio.run(connect())
    server.terminate()
    log = server.log()
    assert log, "an empty log proves nothing"
    assert [secret[:12] for secret in secrets if secret in log or secret[-24:] in log] == []
