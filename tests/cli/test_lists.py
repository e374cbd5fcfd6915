"""Lists of a user's things and of markets, against a running gateway: tables for people, JSON for pipes."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from oddswire.client import Client
from oddswire.testing.gateway import UNLIMITED, RunningGateway, running_gateway
from tests.cli.conftest import Cli, one_error_line
from tests.cli.terminal import on_a_terminal

ALICE = ("--user", "alice")
TERMS = {"venue": "paper", "market_id": "fed-cut-dec", "outcome_id": "yes"}
FOR_A_USER = [("balance",), ("holdings",), ("fills",), ("events",), ("order", "list"), ("order", "cancel-all")]


@pytest.fixture(autouse=True)
def address(gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ODDSWIRE_URL", gateway.base_url)


@pytest.fixture
async def alice(gateway: RunningGateway) -> AsyncIterator[Client]:
    async with Client(base_url=gateway.base_url, app_id=gateway.app_id) as client:
        await client.sign_in("alice", api_key=gateway.api_key)
        yield client


async def rows(cli: Cli, *words: str) -> list[dict[str, Any]]:
    done = await cli(*words, "--json")
    assert (done.code, done.err) == (0, ""), done
    return [json.loads(line) for line in done.out.splitlines()]


async def test_money_and_contracts(cli: Cli, alice: Client) -> None:
    await alice.orders.place(side="buy", price="0.99", size=10, **TERMS)  # type: ignore[arg-type]
    shown = (await cli("balance", *ALICE)).out
    (document,) = await rows(cli, "balance", *ALICE)
    (balance,) = document["balances"]
    assert f"{balance['tradingBalanceCents'] / 100:.2f}" in shown
    assert {"seq", "epoch"} <= document.keys()

    shown = (await cli("holdings", *ALICE)).out
    (document,) = await rows(cli, "holdings", *ALICE)
    (holding,) = document["holdings"]
    assert (holding["marketId"], holding["size"]) == ("fed-cut-dec", 10)
    assert shown.splitlines()[-1].split()[:5] == ["paper", "fed-cut-dec", "yes", "10", "10"]


async def test_there_may_be_nothing(cli: Cli, alice: Client) -> None:
    for words, said in (
        (("holdings",), "No contracts."),
        (("fills",), "No fills."),
        (("order", "list"), "No orders."),
        (("balance", "--venue", "paper"), "paper"),
    ):
        done = await cli(*words, *ALICE)
        assert (done.code, done.err) == (0, "")
        assert said in done.out
    assert await rows(cli, "fills", *ALICE) == []
    assert await rows(cli, "order", "cancel-all", *ALICE) == [{"orderIds": []}]
    assert "0 cancels" in (await cli("order", "cancel-all", *ALICE)).err


async def test_orders_are_listed_and_canceled(cli: Cli, alice: Client) -> None:
    placed = [
        await alice.orders.place(side="buy", price="0.01", size=1, client_order_id=f"my-{number}", **TERMS)  # type: ignore[arg-type]
        for number in range(5)
    ]
    ids = [order.order_id for order in reversed(placed)]

    assert [row["orderId"] for row in await rows(cli, "order", "list", *ALICE)] == ids
    cut = await cli("order", "list", *ALICE, "--limit", "3", "--json")
    assert [json.loads(line)["orderId"] for line in cut.out.splitlines()] == ids[:3]
    assert "--all" in cut.err
    assert [row["orderId"] for row in await rows(cli, "order", "list", *ALICE, "--client-order-id", "my-2")] == [ids[2]]
    shown = (await cli("order", "list", *ALICE)).out
    assert [order_id for order_id in ids if order_id not in shown] == []

    assert (await cli("order", "cancel-all", *ALICE, "--market", "nope")).out == ""
    asked = await cli("order", "cancel-all", *ALICE, "--market", "fed-cut-dec")
    assert sorted(asked.out.split()) == sorted(ids)
    assert "5 cancels asked for" in asked.err
    async with asyncio.timeout(20):
        while await rows(cli, "order", "list", *ALICE, "--status", "open"):
            await asyncio.sleep(0.02)
    assert len(await rows(cli, "order", "list", *ALICE, "--status", "canceled")) == 5
    assert "status" in one_error_line(await cli("order", "list", *ALICE, "--status", "gone"), 1)


async def test_all_pages_of_a_list(cli: Cli, alice: Client) -> None:
    for _ in range(120):
        await alice.orders.place(side="buy", price="0.99", size="0.01", **TERMS)  # type: ignore[arg-type]
    all_fills = await rows(cli, "fills", *ALICE, "--all")
    assert len({fill["fillId"] for fill in all_fills}) == len(all_fills) == 120
    assert len(await rows(cli, "fills", *ALICE, "--order", str(all_fills[0]["orderId"]))) == 1
    table = (await cli("fills", *ALICE, "--limit", "110")).out
    assert table.count("ord_") == 110
    assert table.count("average") + table.count("time ") == 1
    assert (await cli("fills", *ALICE, "--all")).out.count("ord_") == 120


async def test_a_long_list_waits_where_the_gateway_counts_too_many(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow").mkdir()
    async with (
        running_gateway(tmp_path / "slow", replace(UNLIMITED, reads_per_second=1)) as gateway,
        Client(base_url=gateway.base_url, app_id=gateway.app_id) as client,
    ):
        monkeypatch.setenv("ODDSWIRE_URL", gateway.base_url)
        await client.sign_in("alice", api_key=gateway.api_key)
        for _ in range(101):
            await client.orders.place(side="buy", price="0.01", size=1, **TERMS)  # type: ignore[arg-type]
        assert len(await rows(cli, "order", "list", *ALICE, "--all")) == 101
        assert len((await cli("events", *ALICE, "--json")).out.splitlines()) == 203


async def test_the_log_from_the_oldest_and_from_a_cursor(cli: Cli, alice: Client) -> None:
    for _ in range(90):
        await alice.orders.place(side="buy", price="0.99", size="0.01", **TERMS)  # type: ignore[arg-type]
    state = await alice.balances()

    everything = await cli("events", *ALICE, "--json")
    events = [json.loads(line) for line in everything.out.splitlines()]
    assert [event["seq"] for event in events] == list(range(1, state.seq + 1))
    assert state.seq > 256
    assert f"--since {state.seq} --epoch {state.epoch}" in everything.err

    cursor = ("--since", str(state.seq - 2), "--epoch", state.epoch)
    lines = (await cli("events", *ALICE, *cursor)).out.splitlines()
    assert [line.split()[2] for line in lines] == [str(state.seq - 1), str(state.seq)]
    assert lines[0].startswith("20")
    assert (await cli("events", *ALICE, "--since", str(state.seq), "--epoch", state.epoch)).out == ""


@pytest.mark.parametrize(("seq", "epoch", "said"), [("0", "other", "another history"), ("9999", "", "as far")])
async def test_a_cursor_that_is_none(cli: Cli, alice: Client, seq: str, epoch: str, said: str) -> None:
    epoch = epoch or (await alice.balances()).epoch
    line = one_error_line(await cli("events", *ALICE, "--since", seq, "--epoch", epoch), 1)
    assert said in line
    assert "Without --since" in line


async def test_markets_and_their_prices(cli: Cli, gateway: RunningGateway) -> None:
    markets = {str(row["marketId"]): row for row in await rows(cli, "markets")}
    quoted = markets["fed-cut-dec"]["outcomes"][0]
    shown = (await cli("markets", "--venue", "paper", "--all")).out
    assert all(name in shown for name in markets)
    line = next(line for line in shown.splitlines() if "fed-cut-dec" in line)
    assert line.split()[2:5] == ["yes", str(quoted["bestBid"]), str(quoted["bestAsk"])]

    cut = await cli("markets", "--limit", "1", "--json")
    assert len(cut.out.splitlines()) == 1
    assert ("--all" in cut.err) == (len(markets) > 1)
    assert "no venue 'nope' here, only paper" in one_error_line(await cli("markets", "--venue", "nope"), 1)


async def test_ids_stay_whole_on_a_narrow_terminal(gateway: RunningGateway, alice: Client) -> None:
    order = await alice.orders.place(side="buy", price="0.01", size=1, **TERMS)  # type: ignore[arg-type]
    code, drawn = await on_a_terminal("order", "list", *ALICE, "--url", gateway.base_url, columns=80)
    assert code == 0
    assert order.order_id in drawn


@pytest.mark.parametrize("words", FOR_A_USER, ids=" ".join)
async def test_a_token_that_is_none_and_a_gateway_that_is_none(
    cli: Cli, gateway: RunningGateway, words: tuple[str, ...]
) -> None:
    one_error_line(await cli(*words, "--token", "nonsense"), 1)
    assert "no Oddswire gateway" in one_error_line(await cli(*words, *ALICE, "--url", gateway.admin_url), 2)
    assert "does not answer" in one_error_line(await cli(*words, *ALICE, "--url", "http://127.0.0.1:9"), 2)


async def test_nobody_is_left_signed_in_by_a_command(cli: Cli, gateway: RunningGateway) -> None:
    database = ("-d", str(gateway.database))
    await gateway.sign_in("alice")
    await cli("user", "kick", "alice", *database)
    for words in FOR_A_USER:
        assert (await cli(*words, *ALICE)).code == 0
    assert await rows(cli, "session", "list", "alice", *database) == []


@pytest.mark.parametrize("words", [*FOR_A_USER, ("order", "cancel", "ord_1")], ids=" ".join)
async def test_a_mistyped_user_is_told_and_not_made(cli: Cli, gateway: RunningGateway, words: tuple[str, ...]) -> None:
    line = one_error_line(await cli(*words, "--user", "typo"), 1)
    assert "no user 'typo'" in line
    assert "oddswire user list" in line
    assert await rows(cli, "user", "list", "-d", str(gateway.database)) == []


async def test_a_mistyped_order_has_no_fills_and_is_told(cli: Cli, alice: Client) -> None:
    for form in ((), ("--json",)):
        line = one_error_line(await cli("fills", *ALICE, "--order", "ord_nope", *form), 1)
        assert "no order 'ord_nope'" in line
        assert "oddswire order list" in line
    order = await alice.orders.place(side="buy", price="0.01", size=1, **TERMS)  # type: ignore[arg-type]
    assert "No fills." in (await cli("fills", *ALICE, "--order", order.order_id)).out


AT_A_VENUE = [("balance",), ("holdings",), ("fills",), ("order", "list"), ("order", "cancel-all")]


@pytest.mark.parametrize("words", AT_A_VENUE, ids=" ".join)
async def test_a_mistyped_name_is_no_empty_answer(cli: Cli, alice: Client, words: tuple[str, ...]) -> None:
    line = one_error_line(await cli(*words, *ALICE, "--venue", "papre"), 1)
    assert "no venue 'papre' here, only paper" in line


async def test_a_mistyped_market_is_not_canceled_in_silence(cli: Cli, alice: Client) -> None:
    line = one_error_line(await cli("order", "cancel-all", *ALICE, "--market", "fed-cut-de"), 1)
    assert "no market 'fed-cut-de'" in line
    assert "oddswire markets" in line
    done = await cli("order", "cancel-all", *ALICE, "--market", "fed-cut-dec")
    assert (done.code, done.out) == (0, "")


@pytest.mark.parametrize("words", FOR_A_USER, ids=" ".join)
async def test_two_people_at_once_are_nobody(cli: Cli, gateway: RunningGateway, words: tuple[str, ...]) -> None:
    token = (await gateway.sign_in("bob")).access_token
    for both in ((*ALICE, "--token", token), ("--token", token, *ALICE)):
        line = one_error_line(await cli(*words, *both), 2)
        assert "both say whose" in line
        assert token not in line


async def test_a_token_in_the_environment_gives_way_to_a_user(
    cli: Cli, alice: Client, gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    await alice.orders.place(side="buy", price="0.01", size=1, **TERMS)  # type: ignore[arg-type]
    monkeypatch.setenv("ODDSWIRE_TOKEN", (await gateway.sign_in("bob")).access_token)
    assert await rows(cli, "order", "list") == []
    assert len(await rows(cli, "order", "list", *ALICE)) == 1


async def test_a_cancel_is_said_to_be_asked_for(cli: Cli, alice: Client) -> None:
    order = await alice.orders.place(side="buy", price="0.01", size=1, **TERMS)  # type: ignore[arg-type]
    done = await cli("order", "cancel", order.order_id, *ALICE)
    assert done.code == 0
    assert "open" in done.out
    assert "asked for" in done.err
    async with asyncio.timeout(10):
        while (await alice.orders.get(order.order_id)).status != "canceled":
            await asyncio.sleep(0.01)
    again = await cli("order", "cancel", order.order_id, *ALICE)
    assert "canceled" in again.out
    assert "already" in again.err
