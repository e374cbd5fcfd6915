"""The description says what is there: every route, every answer, every field."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from oddswire.errors import CODES
from oddswire.testing.gateway import RunningGateway, running_gateway
from tests.server.gateways import an_order
from tests.server.test_rest_refusals import BODIES

ROUTES = {
    *("post /auth/token", "post /auth/token/refresh", "post /auth/sign-out", "get /auth/jwks.json"),
    *("get /auth/sessions", "delete /auth/sessions/{sessionId}"),
    *(
        "get /trading/balance",
        "get /trading/holdings",
        "get /trading/fills",
        "get /trading/events/stream",
        "get /trading/events",
    ),
    *("post /trading/orders", "get /trading/orders", "get /trading/orders/{orderId}"),
    *("post /trading/orders/{orderId}/cancel", "post /trading/orders/cancel-all"),
    *("post /auth/start", "post /auth/verify"),
    *("get /venues", "get /markets", "get /healthz", "get /readyz"),
}


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[RunningGateway]:
    async with running_gateway(tmp_path) as running:
        yield running


@pytest.fixture
async def document(gateway: RunningGateway) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=gateway.base_url) as http:
        found: dict[str, Any] = (await http.get("/openapi.json")).json()
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method} {path}", operation


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from nodes(value)


def test_it_lists_every_route_and_no_other(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert {name for name, _ in operations(document)} == ROUTES
    ids = [operation["operationId"] for _, operation in operations(document)]
    assert len(ids) == len(set(ids))


def test_every_reference_leads_somewhere_and_nothing_lies_about(document: dict[str, Any]) -> None:
    refs = {node["$ref"] for node in nodes(document) if "$ref" in node}
    for ref in refs:
        section, name = re.fullmatch(r"#/components/(\w+)/(\w+)", ref).groups()  # type: ignore[union-attr]
        assert name in document["components"][section], ref
    assert {ref.rpartition("/")[2] for ref in refs} == set(document["components"]["schemas"])


def test_every_answer_is_described(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["tags"], name
        for status, answer in operation["responses"].items():
            assert answer["description"], (name, status)
            if status == "204":
                continue
            (kind, media), *more = answer["content"].items()
            assert more == []
            is_problem = int(status) >= 400 and (name, status) != ("get /readyz", "503")
            fine = "text/event-stream" if name == "get /trading/events/stream" else "application/json"
            assert kind == ("application/problem+json" if is_problem else fine), (name, status)
            if is_problem:
                codes = media["schema"]["allOf"][1]["properties"]["code"]["enum"]
                assert {CODES[code].status for code in codes} == {int(status)}, name


def test_who_must_prove_what_is_said(document: dict[str, Any]) -> None:
    schemes = document["components"]["securitySchemes"]
    for name, operation in operations(document):
        needed = {scheme for one in operation["security"] for scheme in one}
        assert needed <= set(schemes)
        if name.startswith(("get /trading", "post /trading")):
            assert needed == {"appId", "accessToken"}, name
    assert document["paths"]["/auth/token"]["post"]["security"] == [{"appId": [], "apiKey": []}]


def test_amounts_are_described_and_names_are_in_camel_case(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    number, text = schemas["PlaceOrder"]["properties"]["price"]["oneOf"]
    assert (number["type"], text["type"]) == ("number", "string")
    assert re.fullmatch(text["pattern"], "0.55")
    assert not re.fullmatch(text["pattern"], "1e-7")
    assert schemas["Order"]["properties"]["price"]["type"] == "number"
    for schema in schemas.values():
        assert [name for name in schema.get("properties", {}) if "_" in name] == []
    for _, operation in operations(document):
        assert [one["name"] for one in operation.get("parameters", ()) if "_" in one["name"]] == []
    assert "_" not in "".join(document["paths"])


async def test_every_refusal_of_an_order_is_documented(document: dict[str, Any]) -> None:
    answers = document["paths"]["/trading/orders"]["post"]["responses"]
    for what, _, status, code, _ in BODIES:
        assert code in json.dumps(answers[str(status)]), what


async def test_the_docs_page_and_its_descriptions_are_served_together(gateway: RunningGateway) -> None:
    async with httpx.AsyncClient(base_url=gateway.base_url) as http:
        page = await http.get("/docs")
        for name in re.findall(r'"((?:openapi|asyncapi)\.json)"', page.text):
            assert (await http.get(f"/{name}")).status_code == 200


async def test_answers_have_the_fields_that_are_described(gateway: RunningGateway, document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    async with gateway.http((await gateway.sign_in("ann")).access_token) as http:
        order = (await http.post("/trading/orders", json=an_order())).json()
        balance = (await http.get("/trading/balance")).json()
        market = (await http.get("/markets")).json()["data"][0]
    for name, found in [
        ("Order", order),
        ("Balances", balance),
        ("Balance", balance["balances"][0]),
        ("Market", market),
    ]:
        assert set(schemas[name]["required"]) <= set(found) <= set(schemas[name]["properties"]), name


def test_how_a_caller_stands_is_described_where_it_is_told(document: dict[str, Any]) -> None:
    rate = {"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"}
    for name, operation in operations(document):
        counted = (
            "/trading/" in name
            or "/auth/sessions" in name
            or name.endswith(
                (" /venues", " /markets", " /auth/token", " /auth/token/refresh", " /auth/start", " /auth/verify")
            )
        )
        for status, answer in operation["responses"].items():
            told = rate & set(answer.get("headers", {}))
            if status == "429":
                assert told == rate, name
            elif status[0] == "2":
                assert told == (rate if counted else set()), (name, status)
        assert ("429" in operation["responses"]) == (not name.endswith("z")), name
