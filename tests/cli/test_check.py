"""`check`, `paper` and `app` beside a running gateway."""

import asyncio
import json
import sqlite3
from contextlib import closing

import pytest

from oddswire.client import Client, Cursor
from oddswire.errors import OperatorError
from oddswire.store import sqlite_file
from oddswire.testing.gateway import RunningGateway
from tests.cli.conftest import Cli, one_error_line


@pytest.fixture(autouse=True)
def address(gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ODDSWIRE_URL", gateway.base_url)
    monkeypatch.setenv("ODDSWIRE_DATABASE", str(gateway.database))


async def buy(cli: Cli, *more: str) -> None:
    assert (await cli("order", "place", "fed-cut-dec", "yes", "buy", "10", "0.99", "--user", "alice", *more)).code == 0


async def tamper(gateway: RunningGateway, sql: str) -> None:
    """Break a database whose gateway has stopped: one that runs may mend it meanwhile."""
    gateway.stop.set()
    async with asyncio.timeout(20):
        while is_served(gateway):
            await asyncio.sleep(0.01)
    with closing(sqlite3.connect(gateway.database)) as connection, connection:
        assert connection.execute(sql).rowcount > 0


def is_served(gateway: RunningGateway) -> bool:
    try:
        sqlite_file.lock(gateway.database).close()
    except OperatorError as fault:
        return fault.code == "database_locked"
    return False


async def test_a_sound_database_is_said_to_be(cli: Cli) -> None:
    await buy(cli)
    done = await cli("check")
    assert (done.code, done.err) == (0, "")
    assert "nothing found" in done.out
    assert await cli("check", "--json") == (0, "", "")


async def test_findings_are_a_table_and_exit_1(cli: Cli, gateway: RunningGateway) -> None:
    await buy(cli)
    await tamper(gateway, "UPDATE balances SET cash = cash + 1000000")

    done = await cli("check")

    assert done.code == 1
    assert "balances are their postings" in done.out
    assert "demo/alice at paper" in done.out
    findings = [json.loads(line) for line in (await cli("check", "--json")).out.splitlines()]
    assert {finding["check"] for finding in findings} >= {"balances are their postings", "our books are the venue's"}


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("DELETE FROM paper_fills WHERE account = 'user/alice'", "is ours and not the venue's"),
        ("UPDATE fills SET size = size + 10000", "at the venue"),
        ("DELETE FROM fills", "is the venue's and not ours"),
        ("UPDATE paper_accounts SET cash = cash + 1 WHERE account = 'user/alice'", "wallet is"),
    ],
)
async def test_books_that_are_not_the_venues(cli: Cli, gateway: RunningGateway, damage: str, said: str) -> None:
    await buy(cli)
    await tamper(gateway, damage)
    assert said in (await cli("check")).out


async def test_a_database_that_breaks_while_it_is_read(cli: Cli, gateway: RunningGateway) -> None:
    await buy(cli)
    await tamper(gateway, "UPDATE postings SET amount = 9223372036854775807")
    assert "integer overflow" in one_error_line(await cli("check"), 2)


async def test_paper_money_is_told_by_the_running_gateway(cli: Cli, gateway: RunningGateway) -> None:
    async with Client(base_url=gateway.base_url, app_id=gateway.app_id) as client:
        await client.sign_in("alice", api_key=gateway.api_key)
        before = await client.balances()

        assert "250.50 more" in (await cli("paper", "deposit", "alice", "250.50")).out
        client.cursor = Cursor(before.seq, before.epoch)
        async for told in client.events():
            assert (told.seq, getattr(told, "trading_balance_cents", None)) == (before.seq + 1, 125_050)
            break
        assert "alice has 1.005 more." in (await cli("paper", "deposit", "alice", "1.005")).out
        assert "1.00 less" in (await cli("paper", "deposit", "alice", "1", "--withdraw")).out


async def test_a_market_is_paused_resumed_and_resolved(cli: Cli, gateway: RunningGateway) -> None:
    await buy(cli)
    assert (await cli("paper", "pause", "fed-cut-dec")).code == 0
    async with Client(base_url=gateway.base_url, app_id=gateway.app_id) as client:
        await client.sign_in("alice", api_key=gateway.api_key)
        markets = {market.market_id: market.status for market in (await client.markets()).data}
        assert markets["fed-cut-dec"] == "paused"
        state = await client.holdings()

        assert (await cli("paper", "resume", "fed-cut-dec")).code == 0
        assert "yes won" in (await cli("paper", "resolve", "fed-cut-dec", "yes")).out
        client.cursor = Cursor(state.seq, state.epoch)
        async for told in client.events():
            if getattr(told, "payout_cents", None) == 1_000:
                break
    assert (await cli("check")).code == 0
    assert "resolved" in one_error_line(await cli("paper", "resolve", "fed-cut-dec", "no"), 2)


PAPER_MISTAKES = [
    (("deposit", "nobody", "1"), 1, "no user 'nobody'"),
    (("deposit", "nobody", "-1"), 2, "-1"),
    (("deposit", "nobody", "1e3"), 2, "plain decimal"),
    (("pause", "nope"), 2, "nope"),
    (("resolve", "fed-cut-dec", "maybe"), 2, "'maybe' is not one of"),
]


@pytest.mark.parametrize(("words", "code", "said"), PAPER_MISTAKES, ids=lambda value: str(value))
async def test_a_mistake_is_one_line(cli: Cli, words: tuple[str, ...], code: int, said: str) -> None:
    assert said in one_error_line(await cli("paper", *words), code)


async def test_an_app_made_while_it_is_served_may_sign_in(cli: Cli, gateway: RunningGateway) -> None:
    key = json.loads((await cli("app", "create", "shop", "--json")).out)["apiKey"]
    async with asyncio.timeout(10):
        while (await cli("token", "alice", "--app", "shop", "--api-key", key)).code:
            await asyncio.sleep(0.05)

    assert (await cli("app", "disable", "shop")).code == 0
    one_error_line(await cli("token", "alice", "--app", "shop", "--api-key", key), 1)
