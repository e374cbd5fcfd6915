"""What abuse gets: who is stopped and who is not, over real sockets."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import websockets

from oddswire.clock import SystemClock
from oddswire.config import Settings
from oddswire.testing.gateway import ORIGIN, UNLIMITED, RunningGateway, running_gateway
from tests.server.gateways import an_order, code_of

LIMITED = (429, "rate_limited")
ELSEWHERE = "127.0.0.2"


@pytest.fixture(autouse=True)
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no bucket fill up while a test is slow."""
    monkeypatch.setattr(SystemClock, "monotonic", lambda self: 1000.0)


@asynccontextmanager
async def gateway_with(folder: Path, **settings: Any) -> AsyncIterator[RunningGateway]:
    tight: Settings = msgspec.structs.replace(UNLIMITED, **settings)
    async with running_gateway(folder, tight) as gateway:
        yield gateway


def from_(address: str, gateway: RunningGateway, token: str | None = None) -> httpx.AsyncClient:
    headers = {"x-app-id": gateway.app_id} | ({} if token is None else {"authorization": f"Bearer {token}"})
    transport = httpx.AsyncHTTPTransport(local_address=address)
    return httpx.AsyncClient(base_url=gateway.base_url, headers=headers, transport=transport)


async def sign_in(gateway: RunningGateway, user: str) -> httpx.Response:
    async with gateway.http() as http:
        key = {"x-app-api-key": gateway.api_key}
        return await http.post("/auth/token", json={"userId": user}, headers=key)


async def junk(http: httpx.AsyncClient, count: int) -> list[tuple[int, str]]:
    """Call with so many bad tokens, each another."""
    return [
        code_of(await http.get("/trading/balance", headers={"authorization": f"Bearer a.b.{number}"}))
        for number in range(count)
    ]


def rate_of(answer: httpx.Response) -> tuple[int, int, int]:
    names = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")
    limit, remaining, reset = (int(answer.headers[name]) for name in names)
    return limit, remaining, reset


# ---- what is told of a limit


async def test_every_counted_answer_says_how_the_caller_stands(tmp_path: Path) -> None:
    async with gateway_with(tmp_path, orders_per_second=5, reads_per_second=3) as gateway:
        token = (await gateway.sign_in("ann")).access_token
        async with gateway.http(token) as http:
            for left in (4, 3):
                assert rate_of(await http.post("/trading/orders", json=an_order())) == (5, left, 1)
            denied = await http.post("/trading/orders", json=an_order(size=0))
            assert (denied.status_code, rate_of(denied)) == (422, (5, 2, 1))
            for left in (2, 1, 0):
                assert rate_of(await http.get("/trading/balance")) == (3, left, 1)
            refused = await http.get("/trading/balance")
            assert code_of(refused) == LIMITED
            assert rate_of(refused) == (3, 0, 1)
            assert refused.headers["retry-after"] == "1"
            assert "ratelimit-limit" not in (await http.get("/healthz")).headers


async def test_a_page_may_read_that_it_was_stopped(tmp_path: Path) -> None:
    async with gateway_with(tmp_path, calls_per_second_per_address=1) as gateway, gateway.http() as http:
        answers = [await http.get("/venues", headers={"origin": ORIGIN}) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 429]
        for answer in answers:
            assert answer.headers["access-control-allow-origin"] == ORIGIN
            assert {"retry-after", "ratelimit-remaining"} <= set(
                answer.headers["access-control-expose-headers"].split(", ")
            )
        foreign = await http.get("/venues", headers={"origin": "https://evil.example"})
        assert code_of(foreign) == LIMITED
        assert "access-control-allow-origin" not in foreign.headers
        assert foreign.headers["x-content-type-options"] == "nosniff"


async def test_waiting_as_long_as_was_said_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with gateway_with(tmp_path, failed_sign_ins_per_minute=7) as gateway, gateway.http() as http:
        assert (await junk(http, 8))[-1] == LIMITED
        refused = await http.get("/trading/balance", headers={"authorization": "Bearer a.b.c"})
        # a seventh of a minute, rounded up
        assert refused.headers["retry-after"] == "9"
        monkeypatch.setattr(SystemClock, "monotonic", lambda self: 1000.0 + int(refused.headers["retry-after"]))
        assert await junk(http, 2) == [(401, "token_invalid"), LIMITED]


# ---- apps and addresses


async def test_an_app_s_users_share_its_ceiling_and_nobody_else_uses_it_up(tmp_path: Path) -> None:
    async with gateway_with(tmp_path, calls_per_second_per_app=6, reads_per_second=2) as gateway:
        ann, bob, eve = [(await gateway.sign_in(user)).access_token for user in ("ann", "bob", "eve")]
        async with gateway.http(ann) as a, gateway.http(bob) as b, gateway.http(eve) as e:
            # who is over a limit of their own takes nothing of the app's, and who only names the app neither
            assert [(await a.get("/trading/balance")).status_code for _ in range(20)] == [200, 200, *[429] * 18]
            async with gateway.http() as nobody:
                assert {(await nobody.get("/trading/balance")).status_code for _ in range(20)} == {401}
            # three sign-ins and two reads so far: one is left
            last = await b.post("/trading/orders", json=an_order())
            assert (last.status_code, rate_of(last)) == (201, (6, 0, 1))
            refused = await e.get("/trading/balance")
            assert code_of(refused) == LIMITED
            assert refused.json()["detail"] == "Too many calls of this app."
            assert code_of(await b.post("/trading/orders", json=an_order())) == LIMITED
            assert code_of(await sign_in(gateway, "new")) == LIMITED


async def test_an_address_has_a_ceiling_and_probes_and_other_addresses_do_not_meet_it(tmp_path: Path) -> None:
    async with (
        gateway_with(tmp_path, calls_per_second_per_address=5) as gateway,
        from_(ELSEWHERE, gateway) as other,
        gateway.http() as http,
    ):
        answers = [await http.get("/auth/jwks.json") for _ in range(6)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429]
        assert rate_of(answers[5]) == (5, 0, 1)
        for probe in ("/healthz", "/readyz"):
            assert {(await http.get(probe)).status_code for _ in range(10)} == {200}
        assert (await other.get("/auth/jwks.json")).status_code == 200
        with pytest.raises(websockets.InvalidStatus) as refusal:
            await websockets.connect(gateway.ws_url())
        response = refusal.value.response
        assert (response.status_code, response.headers["retry-after"]) == (429, "1")
        assert json.loads(response.body or b"")["code"] == "rate_limited"


async def test_a_ceiling_of_0_is_none(tmp_path: Path) -> None:
    none = {"calls_per_second_per_address": 0, "calls_per_second_per_app": 0}
    async with gateway_with(tmp_path, **none) as gateway, gateway.http() as http:
        assert {(await http.get("/venues")).status_code for _ in range(50)} == {200}


# ---- bad tokens, and calls of nobody


async def test_bad_tokens_stop_an_address_but_no_token_of_ours(tmp_path: Path) -> None:
    async with gateway_with(tmp_path, failed_sign_ins_per_minute=3) as gateway:
        signed = await gateway.sign_in("ann")
        async with gateway.http(signed.access_token) as ann, gateway.http() as eve, from_(ELSEWHERE, gateway) as other:
            assert await junk(eve, 5) == [(401, "token_invalid")] * 3 + [LIMITED] * 2
            # behind the same address: users go on, refresh, and come back with tokens that never were seen
            assert (await ann.get("/trading/balance")).status_code == 200
            again = await eve.post("/auth/token/refresh", json={"refreshToken": signed.refresh_token})
            fresh = {"authorization": f"Bearer {again.json()['accessToken']}"}
            assert (await eve.get("/trading/balance", headers=fresh)).status_code == 200
            assert (await eve.get("/venues")).status_code == 200
            assert await junk(other, 1) == [(401, "token_invalid")]
            refused = await eve.get("/trading/balance", headers={"authorization": "Bearer a.b.c"})
            assert int(refused.headers["retry-after"]) == 20
            assert rate_of(refused)[:2] == (3, 0)


async def test_a_token_that_was_good_counts_against_itself_alone(tmp_path: Path) -> None:
    async with gateway_with(tmp_path, failed_sign_ins_per_minute=2) as gateway:
        ann, bob = await gateway.sign_in("ann"), await gateway.sign_in("bob")
        async with gateway.http(ann.access_token) as http, gateway.http(bob.access_token) as other:
            assert (await http.post("/auth/sign-out")).status_code == 204
            codes = [code_of(await http.get("/trading/balance")) for _ in range(4)]
            assert codes == [(401, "session_revoked")] * 2 + [LIMITED] * 2
            assert (await other.post("/auth/sign-out")).status_code == 204
            assert code_of(await other.get("/trading/balance")) == (401, "session_revoked")
            assert await junk(other, 1) == [(401, "token_invalid")]


async def test_calls_of_nobody_that_are_refused_again_and_again_are_stopped(tmp_path: Path) -> None:
    async with gateway_with(tmp_path, refused_per_second=4) as gateway:
        token = (await gateway.sign_in("ann")).access_token
        async with gateway.http(token) as ann, gateway.http() as eve:
            codes = [(await eve.get(path)).status_code for path in ("/nothing", "/trading/balance") * 3]
            assert codes == [404, 401, 404, 401, 429, 429]
            refused = await eve.post("/nothing")
            assert code_of(refused) == LIMITED
            assert refused.json()["detail"] == "Too many refused calls from this address."
            # what a user is told counts for nothing
            assert {(await ann.get("/trading/orders/ord_x")).status_code for _ in range(20)} == {404}


async def test_refused_calls_of_others_stop_no_page_of_a_user_who_is_signed_in(tmp_path: Path) -> None:
    async with gateway_with(tmp_path, refused_per_second=2) as gateway:
        token = (await gateway.sign_in("ann")).access_token
        async with gateway.http() as http:
            assert [(await http.get("/trading/balance")).status_code for _ in range(4)] == [401, 401, 429, 429]
            page = {"origin": "http://localhost:3000", "access-control-request-method": "GET"}
            assert (await http.options("/trading/balance", headers=page)).status_code in (200, 204)
            assert (await http.get("/trading/balance")).status_code == 429
        async with gateway.http(token) as http:
            assert (await http.get("/trading/balance")).status_code == 200


async def test_refused_connects_are_counted_with_refused_calls(tmp_path: Path) -> None:
    async with gateway_with(tmp_path, refused_per_second=3) as gateway:
        statuses = []
        for query in ({"since": "x"}, {"appId": "nobody"}, {"appId": ""}, {"since": "x"}, {}):
            with pytest.raises(websockets.InvalidStatus) as refusal:
                await websockets.connect(gateway.ws_url(**query))
            statuses.append(refusal.value.response.status_code)
        assert statuses == [400, 403, 400, 429, 429]


async def test_pages_that_may_not_connect_are_counted_though_they_are_told_on_the_socket(tmp_path: Path) -> None:
    async with gateway_with(tmp_path, refused_per_second=1) as gateway:
        foreign: Any = "https://evil.example"
        async with websockets.connect(gateway.ws_url(), origin=foreign) as socket:
            assert json.loads(await socket.recv())["code"] == "origin_not_allowed"
        with pytest.raises(websockets.InvalidStatus, match="429"):
            await websockets.connect(gateway.ws_url())


# ---- sockets


async def test_bad_tokens_on_sockets_count_with_those_of_calls(tmp_path: Path) -> None:
    async with gateway_with(tmp_path, failed_sign_ins_per_minute=6) as gateway:
        good = (await gateway.sign_in("ann")).access_token
        said = []
        for number in range(4):
            async with websockets.connect(gateway.ws_url()) as socket:
                await socket.recv()
                for _ in range(2):
                    await socket.send(json.dumps({"action": "authenticate", "token": f"a.b.{number}"}))
                    said.append(json.loads(await socket.recv())["code"])
        assert said == ["token_invalid"] * 6 + ["rate_limited"] * 2
        async with gateway.http() as http:
            assert await junk(http, 1) == [LIMITED]
        for headers, query in (({"authorization": "Bearer a.b.c"}, {}), ({}, {"token": "a.b.c"})):
            with pytest.raises(websockets.InvalidStatus, match="429"):
                async with websockets.connect(gateway.ws_url(**query), additional_headers=headers):
                    pass
        async with websockets.connect(gateway.ws_url(token=good)) as socket:
            assert json.loads(await socket.recv())["userId"] == "ann"
        async with websockets.connect(gateway.ws_url()) as socket:
            await socket.recv()
            await socket.send(json.dumps({"action": "authenticate", "token": good}))
            assert json.loads(await socket.recv())["type"] == "authenticated"


async def test_streams_and_sockets_are_counted_together_and_say_which_cap(tmp_path: Path) -> None:
    async with gateway_with(tmp_path, max_connections_per_user=2, max_connections_per_app=3) as gateway:
        ann, bob = [(await gateway.sign_in(user)).access_token for user in ("ann", "bob")]
        async with gateway.http(ann) as http, websockets.connect(gateway.ws_url(token=ann)) as first:
            await first.recv()
            async with http.stream("GET", "/trading/events/stream") as second:
                assert second.status_code == 200
                third = await http.get("/trading/events/stream")
                assert code_of(third) == (429, "too_many_connections")
                assert third.json()["detail"].startswith("The user has 2 ")
                async with websockets.connect(gateway.ws_url(token=ann)) as socket:
                    assert json.loads(await socket.recv())["message"].startswith("The user has 2 ")
                    with pytest.raises(websockets.ConnectionClosed) as closed:
                        await socket.recv()
                    assert closed.value.rcvd is not None
                    assert closed.value.rcvd.code == 4203
                async with websockets.connect(gateway.ws_url(token=bob)) as last:
                    await last.recv()
                    async with gateway.http(bob) as other:
                        refused = await other.get("/trading/events/stream")
                    assert refused.json()["detail"].startswith("The app has 3 ")


# ---- behind a proxy


async def test_a_trusted_proxy_says_whose_call_it_is_everywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    behind: dict[str, Any] = {
        "trusted_proxies": "127.0.0.1",
        "failed_sign_ins_per_minute": 2,
        "max_anonymous_per_ip": 1,
    }
    wrong, client = {"x-app-api-key": "guess"}, "198.51.100.7"
    async with gateway_with(tmp_path, **behind) as gateway:
        token = (await gateway.sign_in("ann")).access_token
        async with gateway.http(token) as http, from_(ELSEWHERE, gateway) as direct:
            for address, status in [(client, 401), (client, 401), (client, 429), ("198.51.100.8", 401)]:
                said = {**wrong, "x-forwarded-for": f"203.0.113.9, {address}"}
                answer = await http.post("/auth/token", json={"userId": "eve"}, headers=said)
                assert answer.status_code == status, address
            # who is not a proxy of ours speaks for nobody
            for number, status in enumerate((401, 401, 429)):
                said = {**wrong, "x-forwarded-for": f"203.0.113.{number}"}
                assert (await direct.post("/auth/token", json={"userId": "eve"}, headers=said)).status_code == status
            said = {"x-forwarded-for": client}
            async with (
                http.stream("GET", "/trading/events/stream", headers=said),
                websockets.connect(gateway.ws_url(), additional_headers=said) as socket,
                websockets.connect(gateway.ws_url()) as other,
            ):
                await socket.recv()
                assert json.loads(await other.recv())["type"] == "connected"
                async with httpx.AsyncClient() as admin:
                    listed = (await admin.get(f"{gateway.admin_url}/connections")).json()["data"]
                assert sorted(one["address"] for one in listed) == ["127.0.0.1", client, client]
                async with websockets.connect(gateway.ws_url(), additional_headers=said) as second:
                    assert "This address" in json.loads(await second.recv())["message"]
    lines = [line for line in capsys.readouterr().out.splitlines() if f"client={client} " in line]
    for what in ("status=401", "path=/trading/events/stream", "path=/ws"):
        assert [line for line in lines if what in line] != [], what
