"""What is promised of sockets, sessions, fees, the paper venue and orders, kept by a real server."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from tests.acceptance.listener import Listener, Told
from tests.acceptance.server import ORIGIN, UNLIMITED, Server, an_order, command, running_server
from tests.acceptance.test_streams import sign_in_soon

DOLLAR = 1_000_000


@pytest.fixture(scope="module")
def charging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A gateway with a fee, and with caps that a test can reach."""
    caps = {"ODDSWIRE_MAX_CONNECTIONS_PER_USER": "3", "ODDSWIRE_MAX_CONNECTIONS_PER_APP": "5"}
    with running_server(tmp_path_factory.mktemp("charging"), ODDSWIRE_PAPER_FEE="0.02", **caps, **UNLIMITED) as running:
        yield running


async def oddswire(server: Server, *words: str) -> float:
    """Run the command line in a process of its own; return when it had ended."""
    done = await asyncio.to_thread(command, *words, "--database", str(server.database))
    assert done.returncode == 0, done.stderr
    return time.monotonic()


def token_of(server: Server, user: str) -> str:
    return str(server.sign_in(user)["accessToken"])


async def place(http: httpx.AsyncClient, status: int = 201, **order: Any) -> Told:
    answer = await http.post("/trading/orders", json=an_order(**order))
    assert answer.status_code == status, answer.text
    told: Told = answer.json()
    return told


async def balance(http: httpx.AsyncClient) -> tuple[int, int]:
    (row,) = (await http.get("/trading/balance")).json()["balances"]
    return int(row["tradingBalanceRaw"]), int(row["walletBalanceRaw"])


def money(told: Told) -> tuple[str, int, int]:
    assert told["type"] == "balance_update", told
    assert told["tradingBalanceCents"] == int(told["tradingBalanceRaw"]) // 10_000
    return told["reason"], int(told["tradingBalanceRaw"]), int(told["walletBalanceRaw"])


def types(events: list[Told]) -> list[str]:
    return [told["type"] for told in events]


# ---- who is let in, and who is sent away


@pytest.mark.parametrize("how", ["in the URL", "in a frame"])
async def test_a_page_of_the_app_is_connected(server: Server, how: str) -> None:
    token = token_of(server, "ann")
    if how == "in the URL":
        async with Listener(server.ws_url(token=token), ORIGIN) as page:
            first = await page.first()
        assert (first["type"], first["appId"]) == ("connected", "shop")
    else:
        async with Listener(server.ws_url(), ORIGIN) as page:
            assert await page.first() == {"type": "connected", "appId": "shop"}
            await page.socket.send(json.dumps({"action": "authenticate", "token": token}))
            await page.until(lambda: len(page.texts) > 1)
        first = page.frames[1]
        assert first["type"] == "authenticated"
    assert first["userId"] == server.prefix + "ann"
    assert first["seq"] == first["head"] == 1


async def test_switching_an_app_off_sends_its_users_away_and_no_others(server: Server) -> None:
    made = command("app", "create", "doomed", "--database", str(server.database), "--json")
    key = json.loads(made.stdout)["apiKey"]
    theirs = await sign_in_soon(server, "ann", "doomed", key)
    ours = token_of(server, "ann")
    async with (
        Listener(server.ws_url("doomed", token=theirs)) as one,
        Listener(server.ws_url("doomed", token=theirs)) as two,
        Listener(server.ws_url(token=ours)) as spared,
        server.http(theirs, "doomed") as http,
    ):
        for socket in (one, two, spared):
            assert (await socket.first())["userId"]
        assert (await http.get("/trading/balance")).status_code == 200

        done = await oddswire(server, "app", "disable", "doomed")

        for socket in (one, two):
            assert await socket.ended() - done < 1
            assert socket.code == 4001
            assert json.loads(socket.socket.close_reason or "")["code"] == "session_revoked"
        for answer in (
            await http.get("/trading/balance"),
            await http.post("/trading/orders", json=an_order()),
            await http.post("/auth/token", headers={"x-app-api-key": key}, json={"userId": "ann"}),
        ):
            assert (answer.status_code, answer.json()["code"]) == (403, "unknown_app")
        async with server.http(ours) as other:
            assert (await other.get("/trading/balance")).status_code == 200
        assert spared.code is None


async def test_signing_out_ends_every_socket_of_that_session_and_of_no_other(server: Server) -> None:
    phone, laptop = token_of(server, "ann"), token_of(server, "ann")
    async with (
        Listener(server.ws_url(token=phone)) as one,
        Listener(server.ws_url(token=phone)) as two,
        Listener(server.ws_url(token=laptop)) as other,
        server.http(phone) as http,
        server.http(laptop) as still,
    ):
        for socket in (one, two, other):
            assert (await socket.first())["userId"]

        answer = await http.post("/auth/sign-out")

        done = time.monotonic()
        assert answer.status_code == 204
        for socket in (one, two):
            assert await socket.ended() - done < 1
            assert socket.code == 4001
        refused = await http.get("/trading/balance")
        assert (refused.status_code, refused.json()["code"]) == (401, "session_revoked")
        await place(still)
        await other.told(2)
        assert other.code is None


async def test_the_newest_connection_beyond_a_cap_is_refused(charging: Server) -> None:
    ann, ben = token_of(charging, "ann"), token_of(charging, "ben")
    async with AsyncExitStack() as stack:

        async def connect(token: str | None) -> Listener:
            url = charging.ws_url() if token is None else charging.ws_url(token=token)
            return await stack.enter_async_context(Listener(url))

        kept = [await connect(ann) for _ in range(3)]
        for socket in kept:
            assert (await socket.first())["type"] == "connected"
        await is_refused(await connect(ann))
        kept += [await connect(ben), await connect(None)]
        for socket in kept[3:]:
            assert (await socket.first())["type"] == "connected"
        await is_refused(await connect(ben))
        await is_refused(await connect(None))
        assert {socket.code for socket in kept} == {None}

        await kept[0].socket.close()
        async with asyncio.timeout(5):
            while True:
                again = await connect(ann)
                if (await again.first())["type"] == "connected":
                    break


async def is_refused(socket: Listener) -> None:
    await socket.ended()
    assert socket.code == 4203
    assert [(frame["type"], frame["code"]) for frame in socket.frames] == [("error", "too_many_connections")]
    assert json.loads(socket.socket.close_reason or "")["code"] == "too_many_connections"


# ---- the fee


async def test_the_taker_pays_the_fee(charging: Server) -> None:
    token = token_of(charging, "taker")
    async with Listener(charging.ws_url(token=token)) as heard, charging.http(token) as http:
        await heard.first()
        order = await place(http, price=0.99, size=10)
        submitted, hold, filled, holding, paid = await heard.told(5)
        fills = (await http.get("/trading/fills")).json()["data"]
        now = await balance(http)
    assert types([submitted, filled, holding]) == ["order_submitted", "order_event", "holding_update"]
    assert money(hold) == ("order_placed", 1_000 * DOLLAR - 10_100_000, 1_000 * DOLLAR)
    assert [filled[name] for name in ("event", "fillPrice", "fillSize", "feeRaw")] == ["filled", 0.55, 10, "200000"]
    assert holding["averagePrice"] == 0.55
    left = 1_000 * DOLLAR - 5_500_000 - 200_000
    assert money(paid) == ("fill", left, left)
    assert now == (left, left)
    assert [(fill["orderId"], fill["feeRaw"]) for fill in fills] == [(order["orderId"], "200000")]


async def test_who_rests_pays_no_fee_and_gets_its_hold_back(charging: Server) -> None:
    ann, ben = token_of(charging, "rests"), token_of(charging, "takes")
    market = "btc-150k-year-end"
    async with (
        Listener(charging.ws_url(token=ann)) as heard,
        charging.http(ann) as one,
        charging.http(ben) as two,
    ):
        await heard.first()
        bid = await place(one, marketId=market, price=0.31, size=10)
        assert bid["status"] == "open"
        assert await balance(one) == (1_000 * DOLLAR - 3_300_000, 1_000 * DOLLAR)
        await place(two, marketId=market, outcomeId="no", price=0.69, size=10)
        filled = (await heard.told(5))[2]
        assert (filled["event"], filled["feeRaw"]) == ("filled", "0")
        assert await balance(one) == (1_000 * DOLLAR - 3_100_000,) * 2
        assert await balance(two) == (1_000 * DOLLAR - 6_900_000 - 200_000,) * 2
        assert [fill["feeRaw"] for fill in (await one.get("/trading/fills")).json()["data"]] == ["0"]


# ---- the paper venue, from another process


async def test_a_deposit_is_told(server: Server) -> None:
    token = token_of(server, "ann")
    async with Listener(server.ws_url(token=token)) as heard, server.http(token) as http:
        await heard.first()
        done = await oddswire(server, "paper", "deposit", server.prefix + "ann", "250.50", "--app", "shop")
        (told,) = await heard.told(1)
        assert time.monotonic() - done < 2
        assert money(told) == ("deposit", 1_250_500_000, 1_250_500_000)
        assert await balance(http) == (1_250_500_000, 1_250_500_000)


async def test_a_paused_market_takes_no_orders(server: Server) -> None:
    market = "recession-2027"
    async with server.http(token_of(server, "ann")) as http:
        resting = await place(http, marketId=market)
        done = await oddswire(server, "paper", "pause", market, "--app", "shop")
        await is_denied(http, market, done + 2)
        assert await status_of(http, market) == "paused"
        before = await balance(http)
        denied = await place(http, 422, marketId=market, clientOrderId="paused")
        assert (denied["code"], denied["path"], "order" in denied) == ("market_closed", "$.marketId", False)
        assert await balance(http) == before
        assert (await http.get("/trading/orders", params={"clientOrderId": "paused"})).json()["data"] == []
        assert (await http.post(f"/trading/orders/{resting['orderId']}/cancel")).status_code == 202
        done = await oddswire(server, "paper", "resume", market, "--app", "shop")
        while (answer := await http.post("/trading/orders", json=an_order(marketId=market))).status_code != 201:
            assert answer.json()["code"] == "market_closed"
            assert time.monotonic() < done + 2
            await asyncio.sleep(0.02)
        assert await status_of(http, market) == "open"


async def is_denied(http: httpx.AsyncClient, market: str, deadline: float) -> None:
    """Wait until the gateway denies orders of a market; those before were taken or rejected by the venue."""
    while True:
        answer = await http.post("/trading/orders", json=an_order(marketId=market))
        code = answer.json().get("code")
        if code == "market_closed":
            return
        assert answer.status_code == 201 or code == "rejected_by_venue", answer.text
        assert time.monotonic() < deadline, answer.text
        await asyncio.sleep(0.02)


async def status_of(http: httpx.AsyncClient, market: str) -> str:
    page = (await http.get("/markets", params={"limit": 100})).json()
    (status,) = [row["status"] for row in page["data"] if row["marketId"] == market]
    return str(status)


@pytest.mark.parametrize(
    ("market", "winner", "payout"), [("cpi-above-3-nov", "yes", 1_000), ("btc-150k-year-end", "no", 0)]
)
async def test_a_resolution_is_told_in_its_order(server: Server, market: str, winner: str, payout: int) -> None:
    token = token_of(server, "ann")
    async with Listener(server.ws_url(token=token)) as heard, server.http(token) as http:
        await heard.first()
        await place(http, marketId=market, price=0.99, size=10)
        await heard.told(5)
        _, wallet = await balance(http)

        done = await oddswire(server, "paper", "resolve", market, winner, "--app", "shop")

        count = 8 if payout else 7
        settled, holding, *paid = (await heard.told(count))[5:]
        assert time.monotonic() - done < 2
        assert types([settled, holding]) == ["market_settled", "holding_update"]
        assert (settled["marketId"], settled["outcomeId"], settled["payoutCents"]) == (market, winner, payout)
        assert (holding["marketId"], holding["outcomeId"], holding["size"], holding["available"]) == (
            market,
            "yes",
            0,
            0,
        )
        after = wallet + payout * 10_000
        assert [money(told) for told in paid] == ([("settlement", after, after)] if payout else [])
        assert len({told["timestamp"] for told in (settled, holding, *paid)}) == 1
        assert await balance(http) == (after, after)
        assert (await http.get("/trading/holdings")).json()["holdings"] == []
        assert len(heard.events) == count
        await is_denied(http, market, done + 2)
        assert await status_of(http, market) == "settled"


async def test_a_resolution_gives_back_what_orders_held(server: Server) -> None:
    token, market = token_of(server, "ann"), "nyc-white-christmas"
    async with Listener(server.ws_url(token=token)) as heard, server.http(token) as http:
        await heard.first()
        order = await place(http, marketId=market, price=0.01, size=10)
        await heard.told(2)
        done = await oddswire(server, "paper", "resolve", market, "no", "--app", "shop")
        canceled, released = (await heard.told(4))[2:]
        assert time.monotonic() - done < 2
        assert (canceled["event"], canceled["orderId"]) == ("canceled", order["orderId"])
        assert canceled["errorReason"] == "market_resolved"
        assert money(released) == ("released", 1_000 * DOLLAR, 1_000 * DOLLAR)


# ---- what becomes of orders


async def test_a_gtd_order_expires_and_its_hold_comes_back(server: Server) -> None:
    token = token_of(server, "ann")
    async with Listener(server.ws_url(token=token)) as heard, server.http(token) as http:
        await heard.first()
        expires_at = time.time_ns() // 1_000_000 + 700
        order = await place(http, timeInForce="gtd", expiresAt=expires_at)
        assert (order["status"], order["expiresAt"]) == ("open", expires_at)
        assert await balance(http) == (999_900_000, 1_000 * DOLLAR)
        _, _, expired, released = await heard.told(4)
        assert (expired["event"], expired["status"], expired["previousStatus"]) == ("expired", "expired", "open")
        assert expires_at <= expired["timestamp"] < expires_at + 2_000
        assert money(released) == ("released", 1_000 * DOLLAR, 1_000 * DOLLAR)
        assert (await http.get(f"/trading/orders/{order['orderId']}")).json()["status"] == "expired"


@pytest.mark.parametrize("tif", ["ioc", "fok"])
async def test_what_does_not_fill_at_once_is_canceled(server: Server, tif: str) -> None:
    token = token_of(server, "ann")
    async with Listener(server.ws_url(token=token)) as heard, server.http(token) as http:
        await heard.first()
        order = await place(http, timeInForce=tif)
        assert (order["status"], order["errorReason"]) == ("canceled", f"{tif}_not_filled")
        assert order["filledAmountRaw"] == "0"
        submitted, hold, canceled, released = await heard.told(4)
        assert types([submitted, canceled]) == ["order_submitted", "order_event"]
        assert canceled["event"] == "canceled"
        assert [money(hold)[1], money(released)[1]] == [999_900_000, 1_000 * DOLLAR]


async def test_a_post_only_order_that_would_trade_is_rejected_by_the_venue(server: Server) -> None:
    token = token_of(server, "ann")
    async with Listener(server.ws_url(token=token)) as heard, server.http(token) as http:
        await heard.first()
        problem = await place(http, 422, price=0.99, postOnly=True, clientOrderId="po")
        order = problem["order"]
        assert problem["code"] == "rejected_by_venue"
        assert (order["status"], order["errorReason"]) == ("rejected", "post_only_would_cross")
        assert order["clientOrderId"] == "po"
        (rejected,) = await heard.told(1)
        assert (rejected["event"], rejected["orderId"]) == ("rejected", order["orderId"])
        assert (await http.get(f"/trading/orders/{order['orderId']}")).json() == order
        assert await balance(http) == (1_000 * DOLLAR, 1_000 * DOLLAR)
        assert (await place(http, price=0.01, postOnly=True))["status"] == "open"


async def test_a_cancel_is_taken_once_and_told(server: Server) -> None:
    token = token_of(server, "ann")
    async with Listener(server.ws_url(token=token)) as heard, server.http(token) as http:
        await heard.first()
        order = await place(http)
        path = f"/trading/orders/{order['orderId']}/cancel"
        taken = await http.post(path)
        assert (taken.status_code, taken.json()["orderId"]) == (202, order["orderId"])
        _, _, canceled, released = await heard.told(4)
        assert (canceled["event"], canceled["source"]) == ("canceled", "venue")
        assert money(released) == ("released", 1_000 * DOLLAR, 1_000 * DOLLAR)
        again = await http.post(path)
        assert (again.status_code, again.json()["code"]) == (409, "order_finished")
        assert again.json()["order"]["status"] == "canceled"
        async with server.http(token_of(server, "ben")) as other:
            assert (await other.post(path)).status_code == 404


async def test_cancel_all_cancels_all_or_those_of_a_market(server: Server) -> None:
    token = token_of(server, "ann")
    async with Listener(server.ws_url(token=token)) as heard, server.http(token) as http:
        await heard.first()
        here = [(await place(http))["orderId"] for _ in range(3)]
        there = [(await place(http, marketId="recession-2027"))["orderId"] for _ in range(2)]
        for body, wanted in (({"marketId": "fed-cut-dec"}, here), (None, there), ({}, [])):
            before = len(heard.events)
            content = b"" if body is None else json.dumps(body).encode()
            taken = await http.post("/trading/orders/cancel-all", content=content)
            assert taken.status_code == 202
            assert sorted(taken.json()["orderIds"]) == wanted
            await heard.told(before + 2 * len(wanted))
            canceled = [told["orderId"] for told in heard.events[before:] if told["type"] == "order_event"]
            assert sorted(canceled) == wanted
        assert await balance(http) == (1_000 * DOLLAR, 1_000 * DOLLAR)
