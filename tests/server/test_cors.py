from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from oddswire.auth.apps import App, AppDirectory
from oddswire.server.cors import Cors
from oddswire.testing.gateway import ORIGIN, RunningGateway, running_gateway
from tests.server.gateways import an_order, code_of

FOREIGN = "https://evil.example"
ASK = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,x-app-id"}


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[RunningGateway]:
    async with running_gateway(tmp_path) as running:
        yield running


@pytest.mark.parametrize(
    ("origin", "headers", "may_read"),
    [
        ("https://shop.example", {}, True),
        ("https://shop.example", {"x-app-id": "shop"}, True),
        ("https://shop.example", {"x-app-id": "rival"}, False),
        ("https://shop.example", {"x-app-id": "nobody"}, True),
        ("https://shop.example", {"x-app-id": "shop", "x-app-api-key": "k"}, False),
        ("https://rival.example", {"x-app-id": "shop"}, False),
        ("https://gone.example", {}, False),
        ("https://gone.example", {"x-app-id": "gone"}, False),
        ("https://shop.example.evil.example", {}, False),
        ("null", {}, False),
        ("", {}, False),
    ],
)
def test_a_page_reads_answers_of_its_own_app(origin: str, headers: dict[str, str], may_read: bool) -> None:
    cors = Cors(
        AppDirectory(
            [
                App("shop", ("https://shop.example",), True, 0),
                App("rival", ("https://rival.example",), True, 0),
                App("gone", ("https://gone.example",), False, 0),
            ]
        )
    )
    answer = cors.answer({"origin": origin, **headers})
    assert answer.get("access-control-allow-origin") == (origin if may_read else None)
    assert answer["vary"] == "origin"
    assert "access-control-allow-credentials" not in answer


async def test_a_preflight_is_answered_for_any_app_s_origin(gateway: RunningGateway) -> None:
    async with httpx.AsyncClient(base_url=gateway.base_url) as http:
        for path in ("/auth/token/refresh", "/trading/orders", "/trading/orders/ord_1/cancel", "/venues", "/markets"):
            answer = await http.options(path, headers={"origin": ORIGIN, **ASK})
            assert (answer.status_code, answer.content) == (204, b""), path
            assert answer.headers["access-control-allow-origin"] == ORIGIN
            assert answer.headers["vary"] == "origin"
            assert {"GET", "POST", "DELETE"} <= set(answer.headers["access-control-allow-methods"].split(", "))
            allowed = set(answer.headers["access-control-allow-headers"].split(", "))
            assert allowed >= {"authorization", "content-type", "x-app-id"}
            assert "x-app-api-key" not in allowed
            assert int(answer.headers["access-control-max-age"]) > 0
            foreign = await http.options(path, headers={"origin": FOREIGN, **ASK})
            assert code_of(foreign) == (403, "origin_not_allowed")
            assert "access-control-allow-origin" not in foreign.headers
        elsewhere = await http.options("/healthz", headers={"origin": ORIGIN, **ASK})
        assert "access-control-allow-origin" not in elsewhere.headers


async def test_answers_and_errors_can_be_read_by_the_app_s_pages_only(gateway: RunningGateway) -> None:
    token = (await gateway.sign_in("ann")).access_token
    async with gateway.http(token) as http:
        body = an_order(clientOrderId="one")
        for status in (201, 200):
            answer = await http.post("/trading/orders", json=body, headers={"origin": ORIGIN})
            assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, ORIGIN)
            assert "idempotent-replay" in answer.headers["access-control-expose-headers"]
            assert "retry-after" in answer.headers["access-control-expose-headers"]
        for method, path, sent in [
            ("POST", "/trading/orders", "{"),
            ("POST", "/trading/orders", " " * 70_000),
            ("GET", "/trading/nothing", ""),
            ("PUT", "/trading/orders", ""),
        ]:
            problem = await http.request(method, path, content=sent, headers={"origin": ORIGIN})
            assert problem.status_code >= 400
            assert problem.headers["access-control-allow-origin"] == ORIGIN, (method, path)
        refused = await http.get("/trading/balance", headers={"origin": FOREIGN})
        assert code_of(refused) == (403, "origin_not_allowed")
        assert "access-control-allow-origin" not in refused.headers
        assert refused.headers["vary"] == "origin"
    async with gateway.http() as http:
        unsigned = await http.get("/trading/balance", headers={"origin": ORIGIN})
        assert code_of(unsigned) == (401, "token_missing")
        assert unsigned.headers["access-control-allow-origin"] == ORIGIN
        key = {"x-app-api-key": gateway.api_key, "origin": ORIGIN}
        with_key = await http.post("/auth/token", json={"userId": "ann"}, headers=key)
        assert code_of(with_key) == (403, "api_key_in_browser")
        assert "access-control-allow-origin" not in with_key.headers
