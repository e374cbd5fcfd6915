"""Signing in by wallet over HTTP, as a page does it."""

import asyncio
import json
import re
import shutil
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from oddswire.auth import apps
from oddswire.config import Settings
from oddswire.server.app import DEV_ORIGINS
from oddswire.store.sqlite import CORE, SqliteStore
from oddswire.testing.gateway import ORIGIN, RunningGateway, running_gateway
from oddswire.venues.paper import SCHEMA
from tests.auth.wallets import ANN, BOB, high_s
from tests.server.gateways import an_order, code_of

DOCS = Path(__file__).parents[2] / "docs"
Body = dict[str, Any]


async def take_wallets(gateway: RunningGateway, wanted: bool) -> None:
    """Switch it in the database, as an operator does, and wait until the gateway has seen it."""
    store = await SqliteStore.open(gateway.database, (CORE, SCHEMA), exclusive=False)
    await store.write(lambda tx: apps.take_wallets(tx, gateway.app_id, wanted))
    await store.close()
    async with asyncio.timeout(5), gateway.http() as http:
        while ((await http.post("/auth/start")).status_code == 201) != wanted:
            await asyncio.sleep(0.01)


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[RunningGateway]:
    async with running_gateway(tmp_path) as running:
        await take_wallets(running, True)
        yield running


@pytest.fixture
async def page(gateway: RunningGateway) -> AsyncIterator[httpx.AsyncClient]:
    """What the scripts of a page at `ORIGIN` can do."""
    async with gateway.http() as http:
        http.headers["origin"] = ORIGIN
        yield http


async def started(http: httpx.AsyncClient, **body: Any) -> Body:
    answer = await http.post("/auth/start", json=body)
    assert answer.status_code == 201, answer.text
    found: Body = answer.json()
    return found


async def signed(http: httpx.AsyncClient) -> Body:
    message = (await started(http, address=ANN.address.lower()))["message"]
    return {"message": message, "signature": ANN.sign(message)}


async def test_a_page_signs_its_user_in_and_its_user_trades(page: httpx.AsyncClient) -> None:
    for path in ("/auth/start", "/auth/verify"):
        ask = {"access-control-request-method": "POST", "access-control-request-headers": "content-type,x-app-id"}
        assert (await page.options(path, headers=ask)).headers["access-control-allow-origin"] == ORIGIN
    begun = await page.post("/auth/start", json={"address": ANN.address.lower(), "chainId": 137})
    assert begun.status_code == 201
    assert begun.headers["access-control-allow-origin"] == ORIGIN
    body = begun.json()
    assert set(body) == {"nonce", "issuedAt", "expiresAt", "chainIds", "message"}
    assert body["expiresAt"] - body["issuedAt"] == 600_000
    assert abs(body["issuedAt"] - time.time() * 1000) < 60_000
    lines = body["message"].split("\n")
    assert lines[0] == "localhost:3000 wants you to sign in with your Ethereum account:"
    assert lines[1:7] == [ANN.address, "", "Sign in to demo.", "", f"URI: {ORIGIN}", "Version: 1"]
    assert lines[7:9] == ["Chain ID: 137", f"Nonce: {body['nonce']}"]
    answer = await page.post("/auth/verify", json={"message": body["message"], "signature": ANN.sign(body["message"])})
    assert answer.status_code == 201
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    tokens = answer.json()
    assert set(tokens) == {"accessToken", "refreshToken", "expiresIn", "user"}
    assert tokens["user"] == {"id": ANN.user_id}
    page.headers["authorization"] = f"Bearer {tokens['accessToken']}"
    assert (await page.get("/trading/balance")).json()["balances"][0]["tradingBalanceCents"] == 100_000
    assert (await page.post("/trading/orders", json=an_order())).status_code == 201
    again = await page.post("/auth/token/refresh", json={"refreshToken": tokens["refreshToken"]})
    assert again.json()["user"] == {"id": ANN.user_id}


async def test_a_message_signs_in_once_however_many_send_it(page: httpx.AsyncClient) -> None:
    body = await signed(page)
    answers = await asyncio.gather(*(page.post("/auth/verify", json=body) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201, *[401] * 7]
    assert code_of(await page.post("/auth/verify", json=body)) == (401, "nonce_invalid")


async def test_off_is_off(gateway: RunningGateway, page: httpx.AsyncClient) -> None:
    body = await signed(page)
    await take_wallets(gateway, False)
    assert code_of(await page.post("/auth/start")) == (403, "wallet_sign_in_off")
    assert code_of(await page.post("/auth/verify", json=body)) == (403, "wallet_sign_in_off")
    await take_wallets(gateway, True)
    assert (await page.post("/auth/verify", json=body)).status_code == 201


async def test_a_backend_vouches_for_no_wallet(gateway: RunningGateway) -> None:
    async with gateway.http() as http:
        for user_id, status in ((ANN.user_id, 400), ("wallet:", 400), (ANN.address, 201), ("a wallet:", 201)):
            answer = await http.post(
                "/auth/token", headers={"x-app-api-key": gateway.api_key}, json={"userId": user_id}
            )
            assert answer.status_code == status, user_id
            if status == 400:
                assert code_of(answer) == (400, "invalid_body")
                assert answer.json()["path"] == "$.userId"


def other(**fields: Any) -> Callable[[Body], Body]:
    return lambda body: {**body, **fields}


def rewritten(old: str, new: str) -> Callable[[Body], Body]:
    """Return the message changed, and signed so."""

    def change(body: Body) -> Body:
        message = body["message"].replace(old, new)
        assert message != body["message"]
        return {"message": message, "signature": ANN.sign(message)}

    return change


REFUSED: dict[str, tuple[Callable[[Body], Any], int, str, str]] = {
    "nothing in it": (lambda body: {}, 400, "invalid_body", "$.message"),
    "a list": (lambda body: [], 400, "invalid_body", "$"),
    "no signature": (lambda body: {"message": body["message"]}, 400, "invalid_body", "$.signature"),
    "a message in parts": (lambda body: {**body, "message": {"nonce": "x"}}, 400, "invalid_body", "$.message"),
    "a signature as bytes": (other(signature=[27] * 65), 400, "invalid_body", "$.signature"),
    "a message over 4 KiB": (other(message="a" * 4097), 400, "invalid_body", "$.message"),
    "a signature over 8 KiB": (other(signature="0x" + "00" * 4096), 400, "invalid_body", "$.signature"),
    "a long label": (other(label="a" * 81), 400, "invalid_body", "$.label"),
    "an empty message": (other(message=""), 400, "wallet_message_invalid", "$.message"),
    "a line feed more": (
        lambda body: rewritten(body["message"], body["message"] + "\n")(body),
        400,
        "wallet_message_invalid",
        "$.message",
    ),
    "CRLF": (rewritten("\n", "\r\n"), 400, "wallet_message_invalid", "$.message"),
    "a field twice": (
        rewritten("\nVersion: 1", "\nVersion: 1\nVersion: 1"),
        400,
        "wallet_message_invalid",
        "$.message",
    ),
    "a letter of another script": (
        rewritten("localhost", "l\u043ecalhost"),
        400,
        "wallet_message_invalid",
        "$.message",
    ),
    "another domain": (
        rewritten("localhost:3000 wants", "evil.example wants"),
        403,
        "wallet_message_refused",
        "$.message",
    ),
    "another origin": (rewritten("localhost:3000", "localhost:5173"), 403, "wallet_message_refused", "$.message"),
    "another chain": (rewritten("Chain ID: 1", "Chain ID: 10"), 403, "wallet_message_refused", "$.message"),
    "expired": (rewritten("Expiration Time: 2", "Expiration Time: 1"), 403, "wallet_message_refused", "$.message"),
    "issued too late": (rewritten("Issued At: 2", "Issued At: 3"), 403, "wallet_message_refused", "$.message"),
    "issued too early": (rewritten("Issued At: 2", "Issued At: 1"), 401, "nonce_invalid", "$.message"),
    "a nonce of nobody": (rewritten("Nonce: ", "Nonce: 0"), 401, "nonce_invalid", "$.message"),
    "another address": (rewritten(ANN.address, BOB.address), 401, "signature_invalid", "$.signature"),
    "no signature at all": (other(signature=""), 401, "signature_invalid", "$.signature"),
    "somebody else's": (
        lambda body: {**body, "signature": BOB.sign(body["message"])},
        401,
        "signature_invalid",
        "$.signature",
    ),
    "high s": (lambda body: {**body, "signature": high_s(body["signature"])}, 401, "signature_invalid", "$.signature"),
    "a contract's": (other(signature="0x" + "00" * 96 + "6492" * 16), 401, "signature_invalid", "$.signature"),
}


async def test_every_refusal_has_its_code_changes_nothing_and_repeats_nothing(page: httpx.AsyncClient) -> None:
    body = await signed(page)
    answers = (await page.get("/openapi.json")).json()["paths"]["/auth/verify"]["post"]["responses"]
    for what, (change, status, code, path) in REFUSED.items():
        sent = change(dict(body))
        answer = await page.post("/auth/verify", content=json.dumps(sent))
        assert code_of(answer) == (status, code), (what, answer.text)
        assert answer.json()["path"] == path, what
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert code in json.dumps(answers[str(status)]), what
        for secret in (ANN.address[2:], body["signature"][2:34], "evil", body["message"].split("Nonce: ")[1][:32]):
            assert secret.lower() not in answer.text.lower(), what
    assert (await page.post("/auth/verify", json=body)).status_code == 201


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"address": ""}, "$.address"),
        ({"address": ANN.address[:-1]}, "$.address"),
        ({"address": "0x" + ANN.address[2:].swapcase()}, "$.address"),
        ({"address": ANN.address + "\n"}, "$.address"),
        ({"address": 5}, "$.address"),
        ({"address": ANN.address, "chainId": 5}, "$.chainId"),
        ({"address": ANN.address, "chainId": "1"}, "$.chainId"),
        ([], "$"),
    ],
)
async def test_no_sign_in_is_begun_for_what_is_no_address(page: httpx.AsyncClient, body: Any, path: str) -> None:
    answer = await page.post("/auth/start", json=body)
    assert code_of(answer) == (400, "invalid_body")
    assert answer.json()["path"] == path


@pytest.mark.parametrize("path", ["/auth/start", "/auth/verify"])
async def test_who_may_call_is_asked_first(gateway: RunningGateway, page: httpx.AsyncClient, path: str) -> None:
    for headers, refusal in (
        ({"x-app-id": "nobody"}, (403, "unknown_app")),
        ({"x-app-id": ""}, (400, "app_id_missing")),
        ({"origin": "https://evil.example"}, (403, "origin_not_allowed")),
        ({"origin": "null"}, (403, "origin_not_allowed")),
        ({"x-app-api-key": gateway.api_key}, (403, "api_key_in_browser")),
    ):
        assert code_of(await page.post(path, headers=headers, content="{")) == refusal


async def test_refusals_count_as_failed_sign_ins(tmp_path: Path) -> None:
    settings = Settings(failed_sign_ins_per_minute=3, drain_seconds=0)
    async with running_gateway(tmp_path, settings) as gateway, gateway.http() as http:
        # here it is off, so that every call is a refusal
        answers = [await http.post("/auth/start") for _ in range(2)]
        answers.append(await http.post("/auth/verify", json={"message": "", "signature": ""}))
        assert [code_of(answer)[1] for answer in answers] == ["wallet_sign_in_off"] * 3
        for path in ("/auth/start", "/auth/verify"):
            limited = await http.post(path)
            assert code_of(limited) == (429, "rate_limited")
            assert int(limited.headers["retry-after"]) > 0


async def test_a_message_that_is_none_counts_too(tmp_path: Path) -> None:
    settings = Settings(failed_sign_ins_per_minute=3, sign_ins_per_second=1000, drain_seconds=0)
    async with running_gateway(tmp_path, settings) as gateway, gateway.http() as http:
        store = await SqliteStore.open(gateway.database, (CORE, SCHEMA), exclusive=False)
        await store.write(lambda tx: tx.run("apps.take_wallets", gateway.app_id, 1))
        await store.close()
        found = [code_of(await http.post("/auth/verify", json={"message": "", "signature": ""}))[1] for _ in range(4)]
        # the first ones may still find it off
        assert found[-1] == "rate_limited"
        assert set(found[:-1]) <= {"wallet_message_invalid", "wallet_sign_in_off"}


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not there")
async def test_the_page_of_the_documentation_signs_in(gateway: RunningGateway, tmp_path: Path) -> None:
    (script,) = re.findall(r"^```js\n(.*?)^```$", (DOCS / "wallet.md").read_text(), re.M | re.S)
    wallet_of_a_browser = f"""
import {{ createInterface }} from "node:readline";
const lines = createInterface({{ input: process.stdin }})[Symbol.asyncIterator]();
globalThis.window = {{ ethereum: {{ async request({{ method, params }}) {{
  if (method === "eth_requestAccounts") return ["{ANN.address.lower()}"];
  console.log(JSON.stringify({{ method, params }}));
  return (await lines.next()).value;
}} }} }};
const fetched = globalThis.fetch;
globalThis.fetch = (url, how) => fetched(url, {{ ...how, headers: {{ ...how.headers, origin: "{DEV_ORIGINS[-1]}" }} }});
"""
    script = script.replace("https://gateway.example", gateway.base_url).replace('"shop"', '"demo"')
    ended = "console.log(JSON.stringify(await signInByWallet())); process.exit(0);"
    (tmp_path / "page.mjs").write_text(wallet_of_a_browser + script + ended)
    node = await asyncio.create_subprocess_exec("node", tmp_path / "page.mjs", stdin=PIPE, stdout=PIPE)
    assert node.stdin is not None
    assert node.stdout is not None
    async with asyncio.timeout(20):
        asked = json.loads(await node.stdout.readline())
        assert asked["method"] == "personal_sign"
        data, address = asked["params"]
        assert address == ANN.address.lower()
        message = bytes.fromhex(data[2:]).decode()
        assert f"\nURI: {DEV_ORIGINS[-1]}\n" in message
        node.stdin.write(ANN.sign(message).encode() + b"\n")
        tokens = json.loads(await node.stdout.readline())
        assert await node.wait() == 0
    assert tokens["user"] == {"id": ANN.user_id}
