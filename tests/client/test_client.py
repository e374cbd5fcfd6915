"""The client's calls, against a running gateway."""

import asyncio
import logging
import time
import traceback
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import structlog

from oddswire.client import Client, Cursor, ServerRefused, ServerUnreachable, Stopped
from oddswire.client.stream import EventStream
from oddswire.testing.gateway import UNLIMITED, RunningGateway, running_gateway


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[RunningGateway]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    async with running_gateway(tmp_path) as running:
        yield running
    structlog.reset_defaults()


@pytest.fixture
async def alice(gateway: RunningGateway) -> AsyncIterator[Client]:
    async with Client(base_url=gateway.base_url + "/", app_id=gateway.app_id) as client:
        await client.sign_in("alice", api_key=gateway.api_key)
        yield client


async def buy(client: Client, price: Decimal | int | str = "0.5", size: Decimal | int | str = 10) -> str:
    terms = {"venue": "paper", "market_id": "fed-cut-dec", "outcome_id": "yes"}
    return (await client.orders.place(side="buy", price=price, size=size, **terms)).order_id  # type: ignore[arg-type]


async def test_an_order_and_what_it_leaves_behind(alice: Client) -> None:
    order_id = await buy(alice, Decimal("0.5000"), Decimal("1E+1"))

    (order,) = (await alice.orders.list(status="open")).data
    assert (order.order_id, order.price, order.size) == (order_id, Decimal("0.5"), Decimal(10))
    (balance,) = (await alice.balances()).balances
    assert (balance.trading_balance_cents, balance.wallet_balance_cents) == (99_500, 100_000)
    assert (await alice.holdings()).holdings == []
    assert (await alice.orders.cancel(order_id)).order_id == order_id


async def replaced(client: Client, token: str) -> None:
    while client.access_token == token:
        await asyncio.sleep(0.02)


async def test_tokens_that_end_within_the_warning_are_not_replaced_at_once(tmp_path: Path) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    async with (
        running_gateway(tmp_path, msgspec.structs.replace(UNLIMITED, access_token_minutes=1)) as gateway,
        Client(base_url=gateway.base_url, app_id=gateway.app_id) as client,
    ):
        first = (await client.sign_in("alice", api_key=gateway.api_key)).access_token
        reading = asyncio.create_task(client.events().__anext__())
        with pytest.raises(TimeoutError):
            # each would be expiring from its first moment, and ask for the next
            await asyncio.wait_for(replaced(client, first), 1.5)
        reading.cancel()
    structlog.reset_defaults()


async def test_who_never_had_a_token_is_told_to_sign_in(gateway: RunningGateway) -> None:
    async with Client(base_url=gateway.base_url, app_id=gateway.app_id) as client:
        with pytest.raises(Stopped, match="sign in first") as caught:
            await client.refresh_token()
    assert caught.value.code == "token_missing"


async def test_the_events_are_those_of_the_pages(alice: Client) -> None:
    await buy(alice)
    state = await alice.balances()
    page = await alice.event_page(Cursor(0, state.epoch))
    assert (page.seq, page.head, page.has_more) == (state.seq, state.seq, False)

    seen = []
    alice.cursor = Cursor(0, state.epoch)
    async for told in alice.events():
        seen.append(told.seq)
        if told.seq == state.seq:
            break
    assert seen == [1, 2, 3]


async def test_a_float_is_no_amount(alice: Client) -> None:
    with pytest.raises(TypeError, match="float"):
        await buy(alice, 0.5)  # type: ignore[arg-type]


async def test_a_refusal_says_where_and_what_to_do(alice: Client) -> None:
    with pytest.raises(ServerRefused) as refused:
        await buy(alice, "0.505")
    assert (refused.value.code, refused.value.path, refused.value.status) == ("price_off_tick", "$.price", 422)
    assert "tick" in refused.value.meaning.action


async def test_an_expired_token_is_renewed_once_for_all(gateway: RunningGateway, alice: Client) -> None:
    refresh_token = alice.stored_refresh_token
    async with Client(
        base_url=gateway.base_url,
        app_id=gateway.app_id,
        access_token="not.a.token",
        refresh_token=refresh_token,
    ) as again:
        await asyncio.gather(*(again.balances() for _ in range(5)))
        assert again.access_token != "not.a.token"
        assert again.stored_refresh_token == refresh_token
        before = again.access_token
        assert await again.refresh_token() == again.access_token != before


async def test_without_a_way_to_renew_the_refusal_is_told(gateway: RunningGateway) -> None:
    async with Client(base_url=gateway.base_url, app_id=gateway.app_id, access_token="not.a.token") as client:
        with pytest.raises(ServerRefused, match="token_invalid"):
            await client.balances()
    async with Client(base_url=gateway.base_url, app_id=gateway.app_id, refresh_token="none") as client:
        with pytest.raises(Stopped, match="refresh_token_invalid"):
            await client.balances()
    async with Client(base_url=gateway.base_url, app_id=gateway.app_id) as client:
        with pytest.raises(Stopped):
            await client.balances()


async def test_a_session_that_is_revoked_stops_the_stream(gateway: RunningGateway, alice: Client) -> None:
    state = await alice.balances()
    alice.cursor = Cursor(0, state.epoch)
    stream = alice.events()
    assert (await anext(stream)).seq == 1
    async with gateway.http(alice.access_token) as http:
        assert (await http.post("/auth/sign-out")).is_success
    with pytest.raises(Stopped, match="session_revoked"):
        await asyncio.wait_for(_end_of(stream), 10)


async def _end_of(stream: EventStream) -> None:
    async for _ in stream:
        pass


async def test_a_place_without_an_answer_is_made_again_and_places_one_order(
    gateway: RunningGateway, alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = httpx.AsyncClient.request
    lost: list[httpx.Response] = []

    async def loses_the_first_answer(self: httpx.AsyncClient, *asked: Any, **more: Any) -> httpx.Response:
        answer = await real(self, *asked, **more)
        if asked[1] == "/trading/orders" and not lost:
            lost.append(answer)
            raise httpx.ReadError("the line broke")
        return answer

    monkeypatch.setattr(httpx.AsyncClient, "request", loses_the_first_answer)
    order_id = await buy(alice)
    assert lost[0].json()["orderId"] == order_id
    assert [order.order_id for order in (await alice.orders.list()).data] == [order_id]


async def test_a_cancel_made_twice_returns_the_canceled_order(alice: Client) -> None:
    order_id = await buy(alice, "0.01")
    await alice.orders.cancel(order_id)
    async with asyncio.timeout(10):
        while (await alice.orders.get(order_id)).status != "canceled":
            await asyncio.sleep(0.01)
    assert (await alice.orders.cancel(order_id)).status == "canceled"
    filled = await buy(alice, "0.99")
    with pytest.raises(ServerRefused, match="order_finished"):
        await alice.orders.cancel(filled)


async def test_a_call_is_tried_until_its_time_is_up() -> None:
    async with Client(base_url="http://127.0.0.1:9", app_id="shop", retry_seconds=0.3) as client:
        began = time.monotonic()
        with pytest.raises(ServerUnreachable):
            await client.markets()
        assert time.monotonic() - began >= 0.3


async def test_a_program_that_starts_while_the_gateway_is_away_waits_for_its_token_too(
    gateway: RunningGateway, alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = httpx.AsyncClient.request
    asked: list[str] = []

    async def is_away_at_first(self: httpx.AsyncClient, *given: Any, **more: Any) -> httpx.Response:
        asked.append(given[1])
        if len(asked) <= 2:
            raise httpx.ConnectError("nobody listens")
        return await real(self, *given, **more)

    monkeypatch.setattr(httpx.AsyncClient, "request", is_away_at_first)
    async with Client(
        base_url=gateway.base_url, app_id=gateway.app_id, refresh_token=alice.stored_refresh_token
    ) as again:
        assert (await again.balances()).seq == 1
    assert asked == ["/auth/token/refresh"] * 3 + ["/trading/balance"]


async def test_a_snapshot_goes_on_by_events_without_a_gap(alice: Client) -> None:
    resting = await buy(alice, "0.01")
    state = await alice.snapshot()
    assert list(state.orders) == [resting]
    await buy(alice, "0.99")
    await alice.orders.cancel(resting)
    async for event in alice.events():
        assert state.apply(event)
        if event.type == "order_event" and event.order_id == resting:  # type: ignore[union-attr]
            break
    again = await alice.snapshot()
    while state.cursor.seq < again.cursor.seq:
        assert state.apply(await anext(alice.events()))
    assert (state.balances, state.holdings, state.orders) == (again.balances, again.holdings, {})
    assert alice.cursor is not None
    assert alice.cursor.seq == again.cursor.seq - 1, "the last one handed out is done once the next is asked for"


async def test_after_a_break_the_next_event_follows_and_a_saved_cursor_repeats_the_last(
    gateway: RunningGateway, alice: Client
) -> None:
    await buy(alice)
    alice.cursor = Cursor(0, (await alice.balances()).epoch)
    assert [(await anext(alice.events())).seq for _ in range(2)] == [1, 2]
    saved = alice.cursor
    assert (await anext(alice.events())).seq == 3
    async with Client(
        base_url=gateway.base_url, app_id=gateway.app_id, access_token=alice.access_token, cursor=saved
    ) as again:
        assert (await anext(again.events())).seq == 2


async def test_two_tasks_cannot_share_a_stream(alice: Client) -> None:
    waiting = asyncio.create_task(anext(alice.events()))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="one task"):
        await anext(alice.events())
    await buy(alice)
    assert (await waiting).type == "order_submitted"


async def test_nobody_there(gateway: RunningGateway) -> None:
    async with Client(base_url="http://127.0.0.1:9", app_id="shop", retry_seconds=0) as client:
        with pytest.raises(ServerUnreachable, match=r"127\.0\.0\.1:9"):
            await client.markets()
    with pytest.raises(ValueError, match="out of range"):
        Client(base_url="http://127.0.0.1:99999", app_id="shop")
    async with Client(base_url="not a url", app_id="shop", retry_seconds=0) as client:
        with pytest.raises(ServerUnreachable):
            await client.markets()


@pytest.mark.parametrize("wrong", ["se\ncret", "secr\u00e9t", "", "\ud800secret"])
def test_what_no_header_can_carry_is_refused_and_not_repeated(wrong: str) -> None:
    for app_id, token in ((wrong, None), ("shop", wrong)):
        with pytest.raises(ValueError, match="plain ASCII") as refused:
            Client(base_url="http://127.0.0.1:9", app_id=app_id, access_token=token)
        assert "cret" not in str(refused.value)


async def test_a_gateway_that_is_away_is_told_in_few_lines(gateway: RunningGateway) -> None:
    for url, why in (("http://127.0.0.1:9", "Connection refused"), (gateway.admin_url, "is no Oddswire gateway")):
        async with Client(base_url=url, app_id="demo", retry_seconds=0) as client:
            with pytest.raises(ServerUnreachable, match=why) as caught:
                await client.sign_in("alice", api_key="k")
        told = "".join(traceback.format_exception(caught.value))
        assert told.count("Traceback") == 1, told
        assert "httpcore" not in told


async def test_the_end_of_a_session_is_one_error(alice: Client) -> None:
    await alice.sign_out()
    with pytest.raises(Stopped) as caught:
        await alice.refresh_token()
    assert "".join(traceback.format_exception(caught.value)).count("Traceback") == 1
