"""What users see of a venue in trouble: its status on every socket, and no new orders while it takes money back."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from oddswire.clock import SystemClock
from oddswire.config import Settings
from oddswire.orders import pulse
from oddswire.server import app
from oddswire.server.app import Gateway
from oddswire.testing.fakes import ScriptedVenue
from oddswire.testing.gateway import RunningGateway, running_gateway
from oddswire.venues.base import Account, Wake
from tests.acceptance.listener import Listener, Told

DEPOSIT = 10_000_000


@pytest.fixture
def venue() -> ScriptedVenue:
    return ScriptedVenue(SystemClock().now, DEPOSIT)


@pytest.fixture
async def gateway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, venue: ScriptedVenue
) -> AsyncIterator[RunningGateway]:
    """A gateway with one more venue, which does as it is told."""
    open_gateway = app.open_gateway

    async def with_the_venue(settings: Settings, database: Path, *, dev: bool) -> Gateway:
        opened = await open_gateway(settings, database, dev=dev)
        opened.venues["scripted"] = venue
        return opened

    monkeypatch.setattr(app, "open_gateway", with_the_venue)
    async with running_gateway(tmp_path) as running:
        yield running


def statuses(heard: Listener) -> list[Told]:
    return [frame for frame in heard.frames if frame["type"] == "venue_status"]


async def test_every_socket_is_told_how_a_venue_is_doing(
    gateway: RunningGateway, venue: ScriptedVenue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "STALE_AFTER", 1_500)
    token = (await gateway.sign_in("ann")).access_token
    async with (
        Listener(gateway.ws_url(token=token)) as signed_in,
        Listener(gateway.ws_url()) as nobody,
        gateway.http() as http,
    ):
        everybody = (signed_in, nobody)
        for heard in everybody:
            await heard.first()
        assert await status_of(http) == "live"
        venue.silent = True
        venue.tell(Wake(Account(gateway.app_id, "ann")))
        for number, status in enumerate(("degraded", "stale", "live"), 1):
            if status == "live":
                venue.silent = False
            for heard in everybody:
                await heard.until(lambda heard=heard, number=number: len(statuses(heard)) >= number)  # type: ignore[misc]
                told = statuses(heard)[number - 1]
                assert told == {
                    **{"type": "venue_status", "venue": "scripted", "status": status},
                    **{"since": told["since"], "timestamp": told["timestamp"]},
                }
                assert told["since"] <= told["timestamp"]
            assert await status_of(http) == status
        assert [heard.events for heard in everybody] == [[], []], "no part of anybody's stream"


async def status_of(http: httpx.AsyncClient) -> str:
    (status,) = [row["status"] for row in (await http.get("/venues")).json()["data"] if row["venue"] == "scripted"]
    return str(status)


async def test_a_venue_that_takes_back_more_than_is_left_gets_no_new_orders(
    gateway: RunningGateway, venue: ScriptedVenue
) -> None:
    ann = Account(gateway.app_id, "ann")
    token = (await gateway.sign_in("ann")).access_token
    async with Listener(gateway.ws_url(token=token)) as heard, gateway.http(token) as http:
        await heard.first()
        venue.script = ["filled", "open", "filled"]
        assert (await place(http, price=0.5, size=10)).status_code == 201
        sale = (await place(http, side="sell", price=0.9, size=10)).json()["orderId"]
        fill = venue.fill(ann, sale, 10_000_000)
        venue.tell(Wake(ann))
        await heard.until(lambda: cash(heard) == 14_000_000)
        assert (await place(http, price=0.5, size=28)).status_code == 201

        venue.undo(ann, sale, fill)
        venue.tell(Wake(ann))

        await heard.until(lambda: cash(heard) == -9_000_000)
        (reversed_,) = [told for told in heard.events if told.get("event") == "reversed"]
        assert (reversed_["orderId"], reversed_["status"], reversed_["previousStatus"]) == (sale, "canceled", "filled")
        before = await state(http)
        for order in ({"price": 0.01, "size": 1}, {"side": "sell", "price": 0.9, "size": 1}):
            denied = await place(http, clientOrderId="again", **order)
            assert (denied.status_code, denied.json()["code"], "order" in denied.json()) == (
                422,
                "venue_correction",
                False,
            )
        assert await state(http) == before, "nothing was stored or held"
        assert len(venue.sent) == 3


async def place(http: httpx.AsyncClient, **terms: Any) -> httpx.Response:
    body = {"venue": "scripted", "marketId": "rain", "outcomeId": "yes", "side": "buy", **terms}
    return await http.post("/trading/orders", json=body)


def cash(heard: Listener) -> int:
    """Return what can be spent, as the last event told it."""
    told = [event for event in heard.events if event["type"] == "balance_update" and event["venue"] == "scripted"]
    return int(told[-1]["tradingBalanceRaw"])


async def state(http: httpx.AsyncClient) -> list[str]:
    paths = ("/trading/balance", "/trading/holdings", "/trading/orders", "/trading/events")
    return [(await http.get(path)).text for path in paths]
