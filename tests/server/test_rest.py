from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import pytest

from oddswire.config import Settings
from oddswire.store.sqlite import CORE, SqliteStore
from oddswire.streams import log, retention
from oddswire.testing.gateway import UNLIMITED, RunningGateway, running_gateway
from oddswire.venues.paper import SCHEMA
from tests.server.gateways import an_order, code_of


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[RunningGateway]:
    async with running_gateway(tmp_path) as running:
        yield running


@pytest.fixture
async def ann(gateway: RunningGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway.http((await gateway.sign_in("ann")).access_token) as http:
        yield http


# ---- who is asking


async def test_a_refresh_token_gives_new_tokens_again_and_again(gateway: RunningGateway) -> None:
    signed = await gateway.sign_in("ann")
    async with gateway.http() as http:
        for _ in range(2):
            answer = await http.post("/auth/token/refresh", json={"refreshToken": signed.refresh_token})
            assert answer.status_code == 200
            assert answer.json()["refreshToken"] == signed.refresh_token
            assert answer.json()["user"] == {"id": "ann"}
        wrong = await http.post("/auth/token/refresh", json={"refreshToken": "never-given"})
        assert code_of(wrong) == (401, "refresh_token_invalid")


async def test_a_backend_may_sign_in_only_who_is_known(gateway: RunningGateway) -> None:
    await gateway.sign_in("ann")
    async with gateway.http() as http:
        http.headers["x-app-api-key"] = gateway.api_key
        mistyped = await http.post("/auth/token", json={"userId": "anne", "create": False})
        assert code_of(mistyped) == (404, "not_found")
        assert mistyped.json()["path"] == "$.userId"
        for user, create in (("ann", False), ("anne", True), ("anne", False)):
            answer = await http.post("/auth/token", json={"userId": user, "create": create})
            assert (answer.status_code, answer.json()["user"]) == (201, {"id": user})


async def test_signing_out_ends_the_session_and_no_other(gateway: RunningGateway) -> None:
    first, second = await gateway.sign_in("ann"), await gateway.sign_in("ann")
    async with gateway.http(first.access_token) as http:
        assert (await http.post("/auth/sign-out")).status_code == 204
        assert code_of(await http.get("/trading/balance")) == (401, "session_revoked")
        again = await http.post("/auth/token/refresh", json={"refreshToken": first.refresh_token})
        assert code_of(again) == (401, "refresh_token_invalid")
    async with gateway.http(second.access_token) as http:
        assert (await http.get("/trading/balance")).status_code == 200


async def test_the_published_keys_hold_nothing_private(gateway: RunningGateway) -> None:
    async with httpx.AsyncClient(base_url=gateway.base_url) as http:
        keys = (await http.get("/auth/jwks.json")).json()["keys"]
    assert [set(key) for key in keys] == [{"kty", "crv", "x", "kid", "use", "alg"}]


# ---- orders


async def test_an_order_is_placed_once_however_often_it_is_sent(ann: httpx.AsyncClient) -> None:
    body = an_order(clientOrderId="mine:1")
    placed = await ann.post("/trading/orders", json=body)
    assert placed.status_code == 201
    assert "idempotent-replay" not in placed.headers
    assert placed.json()["status"] == "open"
    for text in ('"price":0.01,', '"size":10,'):
        assert text in placed.text
    # by value: the same price written otherwise is the same order
    again = await ann.post("/trading/orders", json={**body, "price": "0.010"})
    assert (again.status_code, again.headers["idempotent-replay"]) == (200, "true")
    assert again.json() == placed.json()
    other = await ann.post("/trading/orders", json={**body, "size": 11})
    assert code_of(other) == (409, "order_conflict")
    assert other.json()["path"] == "$.size"
    assert len((await ann.get("/trading/orders")).json()["data"]) == 1


async def test_an_order_is_canceled_and_then_has_an_end(ann: httpx.AsyncClient) -> None:
    order_id = (await ann.post("/trading/orders", json=an_order())).json()["orderId"]
    taken = await ann.post(f"/trading/orders/{order_id}/cancel")
    assert (taken.status_code, taken.json()["orderId"]) == (202, order_id)
    while (await ann.get(f"/trading/orders/{order_id}")).json()["status"] != "canceled":
        pass
    late = await ann.post(f"/trading/orders/{order_id}/cancel")
    assert code_of(late) == (409, "order_finished")
    assert late.json()["order"]["status"] == "canceled"
    assert code_of(await ann.post("/trading/orders/ord_none/cancel")) == (404, "not_found")


@pytest.mark.parametrize("body", [None, b"{}", b'{"venue":"paper"}', b'{"marketId":"fed-cut-dec"}'])
async def test_all_orders_are_canceled(ann: httpx.AsyncClient, body: bytes | None) -> None:
    placed = {(await ann.post("/trading/orders", json=an_order())).json()["orderId"] for _ in range(3)}
    answer = await ann.post("/trading/orders/cancel-all", content=body)
    assert answer.status_code == 202
    assert set(answer.json()["orderIds"]) == placed


async def test_an_order_of_another_user_is_not_there(gateway: RunningGateway, ann: httpx.AsyncClient) -> None:
    order_id = (await ann.post("/trading/orders", json=an_order())).json()["orderId"]
    async with gateway.http((await gateway.sign_in("bob")).access_token) as bob:
        assert code_of(await bob.get(f"/trading/orders/{order_id}")) == (404, "not_found")
        assert code_of(await bob.post(f"/trading/orders/{order_id}/cancel")) == (404, "not_found")
        assert (await bob.get("/trading/orders")).json()["data"] == []


async def test_orders_are_listed_page_by_page_and_by_what_is_asked(ann: httpx.AsyncClient) -> None:
    ids = [
        (await ann.post("/trading/orders", json=an_order(clientOrderId=f"n{number}"))).json()["orderId"]
        for number in range(3)
    ]
    first = (await ann.get("/trading/orders", params={"limit": 2})).json()
    assert ([row["orderId"] for row in first["data"]], first["hasMore"]) == (ids[:0:-1], True)
    rest = (await ann.get("/trading/orders", params={"limit": 2, "cursor": first["nextCursor"]})).json()
    assert ([row["orderId"] for row in rest["data"]], rest["hasMore"], rest["nextCursor"]) == (ids[:1], False, None)
    named = (await ann.get("/trading/orders", params={"clientOrderId": "n1"})).json()
    assert [row["orderId"] for row in named["data"]] == [ids[1]]
    assert (await ann.get("/trading/orders", params={"status": "filled,canceled"})).json()["data"] == []
    assert len((await ann.get("/trading/orders", params={"venue": "paper"})).json()["data"]) == 3


async def test_a_client_order_id_is_looked_for_within_what_else_is_asked(ann: httpx.AsyncClient) -> None:
    await ann.post("/trading/orders", json=an_order(clientOrderId="mine"))
    for query, count in (("", 1), ("&status=open", 1), ("&status=filled", 0), ("&venue=paper", 1)):
        found = (await ann.get(f"/trading/orders?clientOrderId=mine{query}")).json()["data"]
        assert len(found) == count, query


@pytest.mark.parametrize("cursor", ["zzz", "%00", "fil_01M837N0QRRGEAKV57TN3WQ4TP", "ord_1"])
async def test_a_cursor_that_no_page_gave_is_refused(ann: httpx.AsyncClient, cursor: str) -> None:
    assert code_of(await ann.get(f"/trading/orders?cursor={cursor}")) == (400, "invalid_parameter")


async def test_a_fill_is_in_the_order_the_fills_and_the_holdings(ann: httpx.AsyncClient) -> None:
    order = (await ann.post("/trading/orders", json=an_order(price=0.99, size=5, timeInForce="ioc"))).json()
    assert (order["status"], order["filledAmountRaw"]) == ("filled", "5000000")
    fills = (await ann.get("/trading/fills", params={"orderId": order["orderId"]})).json()
    assert sum(fill["size"] for fill in fills["data"]) == 5
    holdings = (await ann.get("/trading/holdings")).json()
    assert [(row["marketId"], row["outcomeId"], row["size"]) for row in holdings["holdings"]] == [
        ("fed-cut-dec", "yes", 5)
    ]
    assert holdings["seq"] == fills["seq"]


# ---- the stream over HTTP


async def test_the_stream_is_read_page_by_page(ann: httpx.AsyncClient) -> None:
    for _ in range(3):
        await ann.post("/trading/orders", json=an_order())
    told, since, more = [], 0, True
    epoch, head = map((await ann.get("/trading/balance")).json().get, ("epoch", "seq"))
    while more:
        page = (await ann.get("/trading/events", params={"since": since, "epoch": epoch, "limit": 2})).json()
        told += page["events"]
        since, more = page["seq"], page["hasMore"]
        assert (page["epoch"], page["head"]) == (epoch, head)
    assert [event["seq"] for event in told] == list(range(1, head + 1))
    from_the_start = (await ann.get("/trading/events")).json()
    assert from_the_start["events"] == told
    level = (await ann.get("/trading/events", params={"since": since, "epoch": epoch})).json()
    assert (level["events"], level["seq"], level["hasMore"]) == ([], since, False)


@pytest.mark.parametrize(
    ("since", "epoch", "code"),
    [(0, None, "epoch_changed"), (0, "another", "epoch_changed"), (10**6, "own", "ahead"), (2**53, "own", "ahead")],
)
async def test_a_cursor_that_cannot_be_honoured_is_refused(
    ann: httpx.AsyncClient, since: int, epoch: str | None, code: str
) -> None:
    own = (await ann.get("/trading/balance")).json()["epoch"]
    query = {"since": since} | ({"epoch": own if epoch == "own" else epoch} if epoch else {})
    assert code_of(await ann.get("/trading/events", params=query)) == (410, code)


async def test_what_is_not_kept_any_more_is_said_to_be_gone(gateway: RunningGateway, ann: httpx.AsyncClient) -> None:
    await ann.post("/trading/orders", json=an_order())
    epoch = (await ann.get("/trading/balance")).json()["epoch"]
    beside = await SqliteStore.open(gateway.database, (CORE, SCHEMA), exclusive=False)
    stream = await beside.read(lambda tx: log.find(tx, gateway.app_id, "ann"))
    assert stream is not None
    deleted = await beside.write(lambda tx: retention.trim(tx, stream.stream_id, before=2**52, keep=1))
    await beside.close()
    assert deleted == 2
    gone = await ann.get("/trading/events", params={"since": 1, "epoch": epoch})
    assert code_of(gone) == (410, "history_expired")
    kept = await ann.get("/trading/events", params={"since": 2, "epoch": epoch})
    assert [event["seq"] for event in kept.json()["events"]] == [3]
    assert (await ann.get("/trading/events")).json()["events"] == kept.json()["events"]


# ---- what can be traded


async def test_markets_are_listed_page_by_page(gateway: RunningGateway) -> None:
    async with gateway.http() as http:
        whole = (await http.get("/markets", params={"limit": 100})).json()
        assert (whole["hasMore"], whole["nextCursor"]) == (False, None)
        page = (await http.get("/markets", params={"limit": 1})).json()
        found = page["data"]
        while page["hasMore"]:
            page = (await http.get("/markets", params={"limit": 1, "cursor": page["nextCursor"]})).json()
            found += page["data"]
        assert [market["marketId"] for market in found] == [market["marketId"] for market in whole["data"]]
        assert len(found) > 1
        assert (await http.get("/markets", params={"venue": "paper"})).json()["data"] == whole["data"]
        assert [row["venue"] for row in (await http.get("/venues")).json()["data"]] == ["paper"]


# ---- tools


async def test_tools_need_nobody(gateway: RunningGateway) -> None:
    async with httpx.AsyncClient(base_url=gateway.base_url) as http:
        assert (await http.get("/healthz")).json() == {"status": "ok"}
        assert (await http.get("/readyz")).json() == {"status": "ready"}
        assert (await http.get("/asyncapi.json")).json()["asyncapi"].startswith("3.")
        page = await http.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "http://" not in page.text.replace("http://www.w3.org", "")
    assert "https://" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


# ---- limits


async def test_more_than_is_allowed_is_refused_for_a_while(tmp_path: Path) -> None:
    tight = msgspec.structs.replace(UNLIMITED, orders_per_second=1, reads_per_second=2)
    async with running_gateway(tmp_path, tight) as gateway:
        ann, bob = await gateway.sign_in("ann"), await gateway.sign_in("bob")
        async with gateway.http(ann.access_token) as http:
            assert (await http.post("/trading/orders", json=an_order())).status_code == 201
            refused = await http.post("/trading/orders", json=an_order())
            assert code_of(refused) == (429, "rate_limited")
            assert int(refused.headers["retry-after"]) >= 1
            reads = [await http.get("/trading/balance") for _ in range(4)]
            assert [read.status_code for read in reads[:2]] == [200, 200]
            assert code_of(reads[-1]) == (429, "rate_limited")
        async with gateway.http(bob.access_token) as http:
            assert (await http.post("/trading/orders", json=an_order())).status_code == 201


async def test_failed_sign_ins_are_counted_by_address(tmp_path: Path) -> None:
    tight = msgspec.structs.replace(UNLIMITED, failed_sign_ins_per_minute=2)
    async with running_gateway(tmp_path, tight) as gateway, gateway.http() as http:
        wrong = {"x-app-api-key": "guess"}
        codes = [code_of(await http.post("/auth/token", json={"userId": "a"}, headers=wrong)) for _ in range(3)]
        assert codes == [(401, "api_key_invalid")] * 2 + [(429, "rate_limited")]
        right = {"x-app-api-key": gateway.api_key}
        refused = await http.post("/auth/token", json={"userId": "a"}, headers=right)
        assert code_of(refused) == (429, "rate_limited")
        assert int(refused.headers["retry-after"]) > 1


async def test_sign_ins_are_limited_by_address(tmp_path: Path) -> None:
    tight: Settings = msgspec.structs.replace(UNLIMITED, sign_ins_per_second=1)
    async with running_gateway(tmp_path, tight) as gateway:
        signed = await gateway.sign_in("ann")
        async with gateway.http() as http:
            answer = await http.post("/auth/token/refresh", json={"refreshToken": signed.refresh_token})
        assert code_of(answer) == (429, "rate_limited")
