"""`oddswire paper fault` beside a running gateway, which meets it without being told."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from oddswire.client import Client, Cursor
from oddswire.events import OrderEvent
from oddswire.testing.gateway import RunningGateway
from tests.cli.conftest import Cli, one_error_line


@pytest.fixture(autouse=True)
def address(gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ODDSWIRE_URL", gateway.base_url)
    monkeypatch.setenv("ODDSWIRE_DATABASE", str(gateway.database))


@pytest.fixture
async def alice(gateway: RunningGateway) -> AsyncIterator[Client]:
    async with Client(base_url=gateway.base_url, app_id=gateway.app_id) as client:
        await client.sign_in("alice", api_key=gateway.api_key)
        yield client


async def place(cli: Cli, size: str, price: str) -> str:
    """Buy as alice; return the order's id."""
    done = await cli("order", "place", "fed-cut-dec", "yes", "buy", size, price, "--user", "alice", "--json")
    assert done.code == 0, done
    return str(json.loads(done.out)["orderId"])


async def step(alice: Client, wanted: str) -> OrderEvent:
    """Wait for an event of that step, from the beginning of the stream."""
    balances = await alice.balances()
    alice.cursor = Cursor(0, balances.epoch)
    async with asyncio.timeout(10), aclosing(alice.events()) as events:
        async for told in events:
            if isinstance(told, OrderEvent) and told.event == wanted:
                return told
    raise AssertionError(f"the stream ended without {wanted}")


async def test_a_canceled_order_that_fills_late_and_a_fill_taken_back_are_told(cli: Cli, alice: Client) -> None:
    order = await place(cli, "10", "0.02")
    assert (await cli("order", "cancel", order, "--user", "alice")).code == 0
    await step(alice, "canceled")

    done = await cli("paper", "fault", "late-fill", order, "--size", "2.5")
    assert "filled by 2.5 more" in done.out
    late = await step(alice, "partially_filled")
    assert (late.order_id, late.status, late.previous_status, late.filled_amount_raw) == (
        *(order, "canceled", "canceled"),
        "2500000",
    )

    assert "2.5" in (await cli("paper", "fault", "reverse", order)).out
    undone = await step(alice, "reversed")
    assert (undone.order_id, undone.status, undone.filled_amount_raw) == (order, "canceled", "0")
    assert await cli("check", "--json") == (0, "", "")


async def test_standing_faults_are_listed_met_and_cleared(cli: Cli, alice: Client) -> None:
    assert "behaves" in (await cli("paper", "fault", "list")).out
    for words in (("delay", "5"), ("no-answer",), ("no-answer", "--to", "cancel", "--times", "1"), ("duplicate",)):
        assert (await cli("paper", "fault", *words)).code == 0
    assert "stands: 3 times." in (await cli("paper", "fault", "reorder", "--times", "3")).out
    assert "stands: 1 time." in (await cli("paper", "fault", "reorder", "--times", "1")).out
    assert (await cli("paper", "fault", "reorder", "--times", "3")).code == 0
    [delay] = [line for line in (await cli("paper", "fault", "list")).out.splitlines() if " 5 ms" in line]
    assert delay.split() == ["delay", "until", "cleared", "5", "ms"]
    rows = [json.loads(line) for line in (await cli("paper", "fault", "list", "--json")).out.splitlines()]
    assert {row["name"] for row in rows} >= {"delay", "duplicate", "no-answer-place"}

    async with asyncio.timeout(10):
        while True:
            order = await place(cli, "1", "0.02")
            steps = {told.event for told in await _events_of(alice, order)}
            if "unconfirmed" in steps:
                break

    assert "behaves" in (await cli("paper", "fault", "clear")).out
    assert (await cli("paper", "fault", "list", "--json")).out == ""


async def _events_of(alice: Client, order: str) -> list[OrderEvent]:
    """Return the steps of an order up to the newest event."""
    balances = await alice.balances()
    alice.cursor = Cursor(0, balances.epoch)
    found = []
    async with aclosing(alice.events()) as events:
        async for told in events:
            if isinstance(told, OrderEvent) and told.order_id == order:
                found.append(told)
            if told.seq >= balances.seq:
                break
    return found


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("late-fill", "ord_nobody"), "has no order 'ord_nobody'"),
        (("reverse", "ord_nobody"), "has no order"),
        (("late-fill", "ord_nobody", "--size", "1e3"), "plain decimal"),
        (("delay", "0"), "1 is the least"),
        (("no-answer", "--to", "read"), "'read' is not one of"),
    ],
    ids=str,
)
async def test_a_mistake_is_one_line(cli: Cli, words: tuple[str, ...], said: str) -> None:
    assert said in one_error_line(await cli("paper", "fault", *words), 2)
