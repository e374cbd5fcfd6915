"""Bad input over HTTP: the documented code each time, nothing stored, no delay."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from oddswire.clock import SystemClock
from oddswire.testing.gateway import ORIGIN, RunningGateway, running_gateway
from tests.server.gateways import an_order, code_of

PAGED = ("/trading/orders", "/trading/fills", "/trading/events", "/markets")
PLAIN = json.dumps(an_order())


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[RunningGateway]:
    async with running_gateway(tmp_path) as running:
        yield running


def other(**fields: object) -> str:
    return json.dumps(an_order(**fields))


def bare(price: str) -> str:
    return PLAIN.replace("0.01", price)


BODIES: list[tuple[str, str | bytes, int, str, str | None]] = [
    ("nothing", b"", 400, "invalid_json", None),
    ("blanks", b"  ", 400, "invalid_json", None),
    ("cut off", "{", 400, "invalid_json", None),
    ("two documents", PLAIN + "{}", 400, "invalid_json", None),
    ("a form", "venue=paper&side=buy", 400, "invalid_json", None),
    ("no UTF-8", b'{"venue":"\xff"}', 400, "invalid_json", None),
    ("half a character", other(marketId="\ud800"), 400, "invalid_json", None),
    ("bare NaN", bare("NaN"), 400, "invalid_json", None),
    ("a list", "[]", 400, "invalid_body", "$"),
    ("null", "null", 400, "invalid_body", "$"),
    ("deep", "[" * 60_000, 400, "invalid_json", None),
    ("deep in a known field", '{"venue":' + "[" * 20_000 + "]" * 20_000 + "}", 400, "invalid_json", None),
    ("deep in an amount", '{"price":' + "[" * 20_000 + "]" * 20_000 + "}", 400, "invalid_json", None),
    ("nothing in it", "{}", 400, "invalid_body", "$.venue"),
    ("an unknown field", other(leverage=10), 400, "invalid_body", "$.leverage"),
    ("an unspeakable field", json.dumps({"`{}": 1}), 400, "invalid_body", "$"),
    ("a number as venue", other(venue=1), 400, "invalid_body", "$.venue"),
    ("an empty venue", other(venue=""), 400, "invalid_body", "$.venue"),
    ("a long venue", other(venue="v" * 129), 400, "invalid_body", "$.venue"),
    ("an unknown side", other(side="hold"), 400, "invalid_body", "$.side"),
    ("an unknown timeInForce", other(timeInForce="day"), 400, "invalid_body", "$.timeInForce"),
    ("postOnly as text", other(postOnly="yes"), 400, "invalid_body", "$.postOnly"),
    ("a wrong clientOrderId", other(clientOrderId="a b"), 400, "invalid_body", "$.clientOrderId"),
    ("a long clientOrderId", other(clientOrderId="a" * 65), 400, "invalid_body", "$.clientOrderId"),
    ("a negative expiresAt", other(timeInForce="gtd", expiresAt=-1), 400, "invalid_body", "$.expiresAt"),
    ("an expiresAt beyond 64 bits", other(timeInForce="gtd", expiresAt=10**25), 400, "invalid_body", "$.expiresAt"),
    ("an expiresAt with a point", other(timeInForce="gtd", expiresAt=1.5), 400, "invalid_body", "$.expiresAt"),
    ("NaN", other(price="NaN"), 400, "invalid_amount", "$.price"),
    ("Infinity", other(price="Infinity"), 400, "invalid_amount", "$.price"),
    ("an underscore", other(price="1_0"), 400, "invalid_amount", "$.price"),
    ("a small exponent", bare("1e-7"), 400, "invalid_amount", "$.price"),
    ("a huge exponent", bare("1e3000000"), 400, "invalid_amount", "$.price"),
    ("a huge exponent as text", other(size="1e3000000"), 400, "invalid_amount", "$.size"),
    ("60,000 digits", other(size="9" * 60_000), 400, "invalid_amount", "$.size"),
    ("seven decimals", bare("0.0100000"), 400, "invalid_amount", "$.price"),
    ("a minus", other(size=-1), 400, "invalid_amount", "$.size"),
    ("a plus", other(size="+1"), 400, "invalid_amount", "$.size"),
    ("a leading zero", other(size="01"), 400, "invalid_amount", "$.size"),
    ("digits of another script", other(size="١"), 400, "invalid_amount", "$.size"),
    ("null as price", other(price=None), 400, "invalid_amount", "$.price"),
    ("true as price", other(price=True), 400, "invalid_amount", "$.price"),
    ("an object as price", other(price={}), 400, "invalid_amount", "$.price"),
    ("price 0", other(price=0), 422, "price_out_of_range", "$.price"),
    ("price 1", other(price=1), 422, "price_out_of_range", "$.price"),
    ("price 2", other(price=2), 422, "price_out_of_range", "$.price"),
    ("off the tick", other(price="0.555"), 422, "price_off_tick", "$.price"),
    ("no size", other(size=0), 422, "size_too_small", "$.size"),
    ("a huge size", other(size=999_999_999_999), 422, "size_too_large", "$.size"),
    ("off the step", other(size="1.001"), 422, "size_off_step", "$.size"),
    ("an unknown venue", other(venue="nowhere"), 422, "unknown_venue", "$.venue"),
    ("an unknown market", other(marketId="nothing"), 422, "unknown_market", "$.marketId"),
    ("an unknown outcome", other(outcomeId="perhaps"), 422, "unknown_outcome", "$.outcomeId"),
    ("too little money", other(price=0.99, size=90_000), 422, "insufficient_funds", "$.size"),
    ("nothing to sell", other(side="sell"), 422, "insufficient_holdings", "$.size"),
    ("gtd without end", other(timeInForce="gtd"), 422, "expiry_invalid", "$.expiresAt"),
    ("gtc with an end", other(expiresAt=4_000_000_000_000), 422, "expiry_invalid", "$.expiresAt"),
    ("gtd in the past", other(timeInForce="gtd", expiresAt=1), 422, "expiry_invalid", "$.expiresAt"),
    ("post-only ioc", other(timeInForce="ioc", postOnly=True), 422, "post_only_invalid", "$.postOnly"),
    ("65 KiB", " " * (65 * 1024), 413, "body_too_large", None),
]


async def state(http: httpx.AsyncClient) -> list[str]:
    paths = ("/trading/balance", "/trading/holdings", "/trading/orders", "/trading/fills", "/trading/events")
    return [(await http.get(path)).text for path in paths]


async def test_every_bad_order_is_refused_by_its_code_and_stores_nothing(gateway: RunningGateway) -> None:
    async with gateway.http((await gateway.sign_in("ann")).access_token) as http:
        assert (await http.post("/trading/orders", content=PLAIN)).status_code == 201
        before = await state(http)
        for what, body, status, code, path in BODIES:
            started = time.perf_counter()
            answer = await http.post("/trading/orders", content=body)
            took = time.perf_counter() - started
            assert code_of(answer) == (status, code), (what, answer.text)
            assert answer.json().get("path") == path, (what, answer.text)
            assert took < 1, (what, took)
        assert await state(http) == before


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "nonsense"])
async def test_a_body_is_json_whatever_it_is_called(gateway: RunningGateway, kind: str) -> None:
    async with gateway.http((await gateway.sign_in("ann")).access_token) as http:
        answer = await http.post("/trading/orders", content=PLAIN, headers={"content-type": kind})
        assert answer.status_code == 201, answer.text
        broken = await http.post("/trading/orders", content="{", headers={"content-type": kind})
        assert code_of(broken) == (400, "invalid_json")


PARAMETERS = [
    ("/trading/orders?limit=0", "limit"),
    ("/trading/orders?limit=101", "limit"),
    ("/trading/orders?limit=ten", "limit"),
    ("/trading/orders?limit=" + "9" * 5000, "limit"),
    ("/trading/orders?limit=1e3000000", "limit"),
    *((f"{path}?limit={text}", "limit") for path in PAGED for text in ("1.0", "1e1", "null", "%2B1", "true", "-0", "")),
    ("/trading/events?since=null", "since"),
    ("/trading/events?since=1.0", "since"),
    ("/trading/events?since=", "since"),
    ("/trading/events?since=1&since=null", "since"),
    ("/trading/events/stream?since=null", "since"),
    ("/trading/events/stream?since=1.0", "since"),
    ("/trading/orders?status=pending", "status"),
    ("/trading/orders?status=nonsense", "status"),
    ("/trading/orders?clientOrderId=" + "a" * 65, "clientOrderId"),
    ("/trading/orders?cursor=", "cursor"),
    ("/trading/fills?limit=0", "limit"),
    ("/trading/fills?orderId=" + "a" * 129, "orderId"),
    ("/trading/events?since=-1", "since"),
    ("/trading/events?since=x", "since"),
    ("/trading/events?since=9007199254740993", "since"),
    ("/trading/events?limit=257", "limit"),
    ("/markets?limit=0", "limit"),
    ("/markets?cursor=nonsense", "cursor"),
    ("/markets?cursor=%C3%A9", "cursor"),
    ("/markets?cursor=a", "cursor"),
]


async def test_a_wrong_parameter_is_named(gateway: RunningGateway) -> None:
    async with gateway.http((await gateway.sign_in("ann")).access_token) as http:
        for target, path in PARAMETERS:
            answer = await http.get(target)
            assert answer.status_code == 400, (target[:80], answer.text)
            assert code_of(answer) == (400, "invalid_parameter"), (target[:80], answer.text)
            assert answer.json()["path"] == path, target[:80]


async def test_a_venue_that_is_none_is_refused_wherever_it_is_named(gateway: RunningGateway) -> None:
    async with gateway.http((await gateway.sign_in("ann")).access_token) as http:
        for path in ("/trading/balance", "/trading/holdings", "/trading/orders", "/trading/fills", "/markets"):
            for venue in ("zz", "", "Paper", "v" * 500):
                answer = await http.get(path, params={"venue": venue})
                assert (code_of(answer), answer.json()["path"]) == ((422, "unknown_venue"), "venue"), (path, venue)
                assert "only paper" in answer.json()["detail"]
            assert (await http.get(path, params={"venue": "paper"})).status_code == 200
        for body, code, where in (
            ({"venue": "zz"}, "unknown_venue", "$.venue"),
            ({"marketId": "zz"}, "unknown_market", "$.marketId"),
            ({"venue": "paper", "marketId": "zz"}, "unknown_market", "$.marketId"),
        ):
            answer = await http.post("/trading/orders/cancel-all", json=body)
            assert (code_of(answer), answer.json()["path"]) == ((422, code), where), body


async def test_a_parameter_that_a_call_does_not_take_is_refused(gateway: RunningGateway) -> None:
    async with gateway.http((await gateway.sign_in("ann")).access_token) as http:
        paths = (await http.get("/openapi.json")).json()["paths"]
        calls = [(path, method) for path, methods in paths.items() for method in methods]
        assert len(calls) > 15
        for path, method in calls:
            answer = await http.request(
                method,
                path.format(orderId="ord_x", sessionId="ses_x"),
                params={"vennue": "paper"},
                headers={"x-app-api-key": gateway.api_key},
            )
            if path in ("/healthz", "/readyz", "/auth/jwks.json"):
                assert answer.status_code == 200, path
                continue
            assert (code_of(answer), answer.json()["path"]) == ((400, "invalid_parameter"), "vennue"), path
        told = (await http.get("/trading/fills", params={"order_id": "x"})).json()
        assert told["detail"] == "This call takes the query parameters venue, orderId, cursor, limit."
        assert len((await http.get("/trading/orders/x", params={"y" * 9000: ""})).json()["path"]) == 100


async def test_who_may_not_ask_is_told_that_before_what_is_wrong_with_it(gateway: RunningGateway) -> None:
    async with gateway.http() as http:
        assert code_of(await http.get("/trading/balance?vennue=x")) == (401, "token_missing")


async def test_who_opens_the_address_in_a_browser_finds_the_page(gateway: RunningGateway) -> None:
    async with gateway.http() as http:
        answer = await http.get("/")
        assert (answer.status_code, answer.headers["location"]) == (307, "docs")
        assert (await http.get("/", follow_redirects=True)).headers["content-type"].startswith("text/html")


async def test_what_is_not_there_is_not_found_and_methods_are_named(gateway: RunningGateway) -> None:
    async with gateway.http((await gateway.sign_in("ann")).access_token) as http:
        for target in ("/trading", "/trading/nothing", "/trading/orders/ord_x", "/trading/orders/%00"):
            assert code_of(await http.get(target)) == (404, "not_found"), target
        assert code_of(await http.get("/ws", params={"appId": gateway.app_id})) == (400, "bad_handshake")
        wrong = await http.delete("/trading/orders")
        assert code_of(wrong) == (405, "method_not_allowed")
        assert {"GET", "POST"} <= set(wrong.headers["allow"].split(", "))
        asked = await http.options("/trading/orders")
        assert (asked.status_code, asked.headers["allow"]) == (204, "GET, OPTIONS, POST")


async def test_a_body_that_may_be_left_out_is_not_null(gateway: RunningGateway) -> None:
    async with gateway.http((await gateway.sign_in("ann")).access_token) as http:
        answer = await http.post("/trading/orders/cancel-all", content="null")
        assert code_of(answer) == (400, "invalid_body")
        assert answer.json()["path"] == "$"
        assert (await http.post("/trading/orders/cancel-all")).status_code == 202


async def test_who_may_not_ask_is_told_why_in_the_documented_order(gateway: RunningGateway) -> None:
    token = (await gateway.sign_in("ann")).access_token
    head, payload, signature = token.split(".")
    app, bearer = {"x-app-id": gateway.app_id}, {"authorization": f"Bearer {token}"}
    key, page, foreign = {"x-app-api-key": gateway.api_key}, {"origin": ORIGIN}, {"origin": "https://evil.example"}
    table: list[tuple[dict[str, str], int, str]] = [
        ({}, 400, "app_id_missing"),
        ({**bearer, **key, **page}, 400, "app_id_missing"),
        ({"x-app-id": "nobody", **bearer, **key, **page}, 403, "api_key_in_browser"),
        ({"x-app-id": "nobody", **bearer, **foreign}, 403, "unknown_app"),
        ({**app, **foreign}, 403, "origin_not_allowed"),
        ({**app, **bearer, "origin": "null"}, 403, "origin_not_allowed"),
        (app, 401, "token_missing"),
        ({**app, "authorization": "Basic YTpi"}, 401, "token_missing"),
        ({**app, "authorization": "Bearer"}, 401, "token_missing"),
        ({**app, "authorization": "Bearer nonsense"}, 401, "token_invalid"),
        ({**app, "authorization": f"Bearer {head}.{payload}.{signature[:-4]}AAAA"}, 401, "token_invalid"),
        ({**app, "authorization": f"Bearer {'a' * 5000}"}, 401, "token_invalid"),
    ]
    async with httpx.AsyncClient(base_url=gateway.base_url) as http:
        for headers, status, code in table:
            for method, path in (("GET", "/trading/balance"), ("POST", "/trading/orders")):
                # a body nobody may read: who may not ask is not told what is wrong with it
                answer = await http.request(method, path, headers=headers, content="{")
                assert code_of(answer) == (status, code), headers
                assert token not in answer.text
                assert "nonsense" not in answer.text
                assert ("www-authenticate" in answer.headers) == (status == 401)
        for headers, status, code in [
            (app, 401, "api_key_invalid"),
            ({**app, "x-app-api-key": "wrong"}, 401, "api_key_invalid"),
            ({**app, **key, **page}, 403, "api_key_in_browser"),
        ]:
            answer = await http.post("/auth/token", headers=headers, json={"userId": "eve"})
            assert code_of(answer) == (status, code), headers
            assert gateway.api_key not in answer.text


async def test_an_expired_token_and_one_of_another_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_gateway(tmp_path) as gateway:
        token = (await gateway.sign_in("ann")).access_token
        async with gateway.http(token) as http:
            assert (await http.get("/trading/balance")).status_code == 200
            elsewhere = await http.get("/trading/balance", headers={"x-app-id": "other"})
            assert code_of(elsewhere) == (403, "unknown_app")
            later = SystemClock().now() + 3_600_001
            monkeypatch.setattr(SystemClock, "now", lambda self: later)
            assert code_of(await http.get("/trading/balance")) == (401, "token_expired")
            assert code_of(await http.post("/trading/orders", content=PLAIN)) == (401, "token_expired")


async def test_a_body_without_end_is_refused_as_soon_as_it_is_too_large(gateway: RunningGateway) -> None:
    token = (await gateway.sign_in("ann")).access_token
    for framing in ("Content-Length: 1000000000", "Transfer-Encoding: chunked"):
        reader, writer = await asyncio.open_connection(gateway.address.api.host, gateway.address.api.port)
        head = (
            f"POST /trading/orders HTTP/1.1\r\nHost: x\r\nx-app-id: {gateway.app_id}\r\n"
            f"Authorization: Bearer {token}\r\n{framing}\r\n\r\n"
        )
        writer.write(head.encode())
        if "chunked" in framing:
            for _ in range(9):
                writer.write(b"2000\r\n" + b" " * 0x2000 + b"\r\n")
        async with asyncio.timeout(1):
            answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 413 "), framing
        assert b"connection: close" in answer.lower()
        async with asyncio.timeout(5):
            assert b"body_too_large" in await reader.read()
        writer.close()


async def test_a_body_that_does_not_come_is_refused(gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oddswire.server.calls.BODY_SECONDS", 0.2)
    token = (await gateway.sign_in("ann")).access_token
    reader, writer = await asyncio.open_connection(gateway.address.api.host, gateway.address.api.port)
    head = f"POST /trading/orders HTTP/1.1\r\nHost: x\r\nx-app-id: {gateway.app_id}\r\n"
    writer.write(f"{head}Authorization: Bearer {token}\r\nContent-Length: 100\r\n\r\n{{".encode())
    async with asyncio.timeout(5):
        answer = await reader.readuntil(b"}")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"body_too_slow" in answer
    writer.close()


async def test_a_token_in_the_query_is_none(gateway: RunningGateway) -> None:
    token = (await gateway.sign_in("ann")).access_token
    async with gateway.http() as http:
        answer = await http.get("/trading/balance", params={"token": token})
        assert code_of(answer) == (401, "token_missing")
