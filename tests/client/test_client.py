"""The client's calls, against a running gateway."""

import logging
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest
import structlog

from oddswire.client import Client, ServerRefused, ServerUnreachable, Stopped
from oddswire.testing.gateway import RunningGateway, running_gateway


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[RunningGateway]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    async with running_gateway(tmp_path) as running:
        yield running
    structlog.reset_defaults()


@pytest.fixture
async def alice(gateway: RunningGateway) -> AsyncIterator[Client]:
    async with Client(gateway.base_url + "/", gateway.app_id) as client:
        await client.sign_in("alice", api_key=gateway.api_key)
        yield client


async def buy(client: Client, price: Decimal | int | str = "0.5", size: Decimal | int | str = 10) -> str:
    terms = {"venue": "paper", "market_id": "fed-cut-dec", "outcome_id": "yes"}
    return (await client.place_order(side="buy", price=price, size=size, **terms)).order_id  # type: ignore[arg-type]


async def test_an_order_and_what_it_leaves_behind(alice: Client) -> None:
    order_id = await buy(alice, Decimal("0.5000"), Decimal("1E+1"))

    (order,) = (await alice.orders(status="open")).data
    assert (order.order_id, order.price, order.size) == (order_id, Decimal("0.5"), Decimal(10))
    (balance,) = (await alice.balances()).balances
    assert (balance.trading_balance_cents, balance.wallet_balance_cents) == (99_500, 100_000)
    assert (await alice.holdings()).holdings == []
    assert (await alice.cancel_order(order_id)).order_id == order_id


async def test_the_events_are_those_of_the_pages(alice: Client) -> None:
    await buy(alice)
    state = await alice.balances()
    page = await alice.event_page(0, state.epoch)
    assert (page.seq, page.head, page.has_more) == (state.seq, state.seq, False)

    seen = []
    async for told in alice.events(0, state.epoch):
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
    good = alice.refresh_token
    alice.access_token = "not.a.token"
    await alice.balances()
    assert alice.access_token != "not.a.token"
    assert alice.refresh_token == good


async def test_without_a_way_to_renew_the_refusal_is_told(gateway: RunningGateway) -> None:
    async with Client(gateway.base_url, gateway.app_id, "not.a.token") as client:
        with pytest.raises(ServerRefused, match="token_invalid"):
            await client.balances()
    async with Client(gateway.base_url, gateway.app_id, None, "no-refresh-token") as client:
        with pytest.raises(Stopped, match="refresh_token_invalid"):
            await client.balances()
    async with Client(gateway.base_url, gateway.app_id) as client:
        with pytest.raises(Stopped):
            await client.balances()


async def test_a_session_that_is_revoked_stops_the_stream(gateway: RunningGateway, alice: Client) -> None:
    state = await alice.balances()
    stream = alice.events(0, state.epoch)
    assert (await anext(stream)).seq == 1
    async with gateway.http(alice.access_token) as http:
        assert (await http.post("/auth/sign-out")).is_success
    with pytest.raises(Stopped):
        await anext(stream)


async def test_nobody_there(gateway: RunningGateway) -> None:
    async with Client("http://127.0.0.1:9", "shop") as client:
        with pytest.raises(ServerUnreachable, match=r"127\.0\.0\.1:9"):
            await client.markets()
    async with Client("not a url", "shop") as client:
        with pytest.raises(ServerUnreachable):
            await client.markets()
