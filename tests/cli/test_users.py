"""Commands that speak for a user, against a running gateway."""

import asyncio
import io
import json
import signal

import pytest

from oddswire.client import Client
from oddswire.testing.gateway import RunningGateway
from tests.cli.conftest import Cli, one_error_line
from tests.cli.processes import ended, line_with, started

BUY = ("order", "place", "fed-cut-dec", "yes", "buy", "10", "0.5")


@pytest.fixture(autouse=True)
def address(gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ODDSWIRE_URL", gateway.base_url)


async def test_token_prints_the_token_and_nothing_else(cli: Cli, gateway: RunningGateway) -> None:
    done = await cli("token", "alice")

    assert done.code == 0
    assert "30 days" in done.err
    assert "oddswire session revoke" in done.err
    async with Client(base_url=gateway.base_url, app_id=gateway.app_id, access_token=done.out.strip()) as client:
        assert (await client.balances()).balances[0].trading_balance_cents == 100_000


async def test_token_as_json_has_both(cli: Cli) -> None:
    pair = json.loads((await cli("token", "alice", "--json")).out)
    assert pair["user"] == {"id": "alice"}
    assert {"accessToken", "refreshToken", "expiresIn"} < pair.keys()


async def test_a_wrong_key_is_refused_and_not_repeated(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ODDSWIRE_API_KEY", "wrong-key")
    line = one_error_line(await cli("token", "alice"), 1)
    assert "API key" in line
    assert "wrong-key" not in line


async def test_a_key_may_come_from_standard_input(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("demo-key\n"))
    assert (await cli("token", "alice", "--api-key", "-")).code == 0


async def test_an_order_is_placed_and_shown(cli: Cli) -> None:
    done = await cli(*BUY, "--user", "alice")

    assert (done.code, done.err) == (0, "")
    assert "fed-cut-dec yes" in done.out
    assert "open" in done.out


async def test_an_order_as_json_with_everything_that_can_be_said(cli: Cli) -> None:
    extras = ("--client-order-id", "my-1", "--tif", "gtd", "--expires", "2h", "--post-only", "--json")
    first = json.loads((await cli(*BUY, "-u", "alice", *extras)).out)

    assert (first["price"], first["size"], first["timeInForce"]) == (0.5, 10, "gtd")
    assert first["clientOrderId"] == "my-1"
    assert first["postOnly"] is True
    assert 7_190_000 < first["expiresAt"] - first["timestamp"] < 7_210_000


async def test_a_repeat_with_the_same_id_is_the_same_order(cli: Cli) -> None:
    words = (*BUY, "--user", "alice", "--client-order-id", "my-1", "--json")
    first, second = [json.loads((await cli(*words)).out) for _ in range(2)]
    assert first == second


async def test_a_token_may_come_from_the_environment_and_from_standard_input(
    cli: Cli, gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = (await gateway.sign_in("alice")).access_token
    monkeypatch.setenv("ODDSWIRE_TOKEN", token)
    assert (await cli(*BUY)).code == 0

    monkeypatch.delenv("ODDSWIRE_TOKEN")
    monkeypatch.setattr("sys.stdin", io.StringIO(token + "\n"))
    assert (await cli(*BUY, "--token", "-")).code == 0


async def test_an_order_is_canceled_and_asked_again_it_is(cli: Cli) -> None:
    placed = json.loads((await cli(*BUY, "--user", "alice", "--json")).out)

    canceled = await cli("order", "cancel", placed["orderId"], "--user", "alice", "--json")
    assert json.loads(canceled.out)["orderId"] == placed["orderId"]
    async with asyncio.timeout(20):
        while json.loads(canceled.out)["status"] != "canceled":
            canceled = await cli("order", "cancel", placed["orderId"], "--user", "alice", "--json")
    assert canceled.code == 0
    assert "no order" in one_error_line(await cli("order", "cancel", "ord_nope", "--user", "alice"), 1)


DENIED = [
    (("nope", "yes", "buy", "1", "0.5"), 1, "no market 'nope'"),
    (("fed-cut-dec", "yes", "buy", "1000000", "0.5"), 1, "can be spent"),
    (("fed-cut-dec", "yes", "sell", "1", "0.5"), 1, ""),
    (("fed-cut-dec", "yes", "buy", "1e9", "0.5"), 1, "plain decimal"),
    (("fed-cut-dec", "yes", "buy", "1", "0.5", "--venue", "nowhere"), 1, "nowhere"),
    (("fed-cut-dec", "yes", "buy", "1", "0.5", "--tif", "gtd"), 1, "--expires"),
]


@pytest.mark.parametrize(("terms", "code", "said"), DENIED, ids=lambda value: str(value)[:40])
async def test_a_denied_order_is_one_line(cli: Cli, terms: tuple[str, ...], code: int, said: str) -> None:
    assert said in one_error_line(await cli("order", "place", *terms, "--user", "alice"), code)


async def test_a_gateway_that_does_not_answer(cli: Cli) -> None:
    line = one_error_line(await cli("token", "alice", "--url", "http://127.0.0.1:9"), 2)
    assert "http://127.0.0.1:9 does not answer" in line
    assert "oddswire serve" in line


async def test_something_else_that_answers(cli: Cli, gateway: RunningGateway) -> None:
    line = one_error_line(await cli("token", "alice", "--url", gateway.admin_url), 2)
    assert "no Oddswire gateway" in line


async def test_watch_prints_an_event_a_line_as_json_and_ends_clean(gateway: RunningGateway) -> None:
    async with (
        Client(base_url=gateway.base_url, app_id=gateway.app_id) as client,
        started("watch", "--user", "alice", "--json", "--since", "0", *await beginning(client)) as watching,
    ):
        await line_with(watching, '"deposit"')
        order = await client.orders.place(
            venue="paper", market_id="fed-cut-dec", outcome_id="yes", side="buy", price="0.5", size=10
        )
        said = await line_with(watching, '"order_placed"')
        watching.send_signal(signal.SIGINT)
        code, rest, err = await ended(watching)

    events = [json.loads(line) for line in said]
    assert [(event["type"], event["seq"]) for event in events] == [("order_submitted", 2), ("balance_update", 3)]
    assert events[0]["orderId"] == order.order_id
    assert (code, rest, err) == (0, "", "")


async def beginning(client: Client) -> list[str]:
    await client.sign_in("alice", api_key="demo-key")
    return ["--epoch", (await client.balances()).epoch, "--url", client.base_url]


async def test_watch_says_when_events_are_missing(gateway: RunningGateway) -> None:
    async with started(
        *("watch", "--user", "alice", "--json", "--url", gateway.base_url, "--since", "1", "--epoch", "another")
    ) as watching:
        (said,) = await line_with(watching, "reset")
    assert json.loads(said)["reason"] == "epoch_changed"


async def test_watch_in_a_pipe_prints_plain_lines(gateway: RunningGateway) -> None:
    async with (
        Client(base_url=gateway.base_url, app_id=gateway.app_id) as client,
        started("watch", "--user", "alice", "--since", "0", *await beginning(client)) as watching,
    ):
        (said,) = await line_with(watching, "balance_update", "1,000.00", "deposit")
    assert "\x1b" not in said


async def test_watch_ends_with_a_line_when_the_user_is_signed_out(gateway: RunningGateway) -> None:
    token = (await gateway.sign_in("alice")).access_token
    async with Client(base_url=gateway.base_url, app_id=gateway.app_id, access_token=token) as client:
        epoch = (await client.balances()).epoch
    async with (
        gateway.http(token) as http,
        started(
            *("watch", "--json", "--since", "0", "--epoch", epoch, "--url", gateway.base_url), ODDSWIRE_TOKEN=token
        ) as watching,
    ):
        await line_with(watching, "deposit")
        assert (await http.post("/auth/sign-out")).is_success
        code, out, err = await ended(watching)

    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1


async def test_all_orders_of_a_user_are_canceled_without_a_key_of_the_app(cli: Cli, gateway: RunningGateway) -> None:
    at = ("--app", gateway.app_id, "--database", str(gateway.database))
    resting = ("fed-cut-dec", "yes", "buy", "1", "0.01", "--user", "ann")
    for _ in range(2):
        assert (await cli("order", "place", *resting)).code == 0
    assert (await cli("user", "cancel", "ann", *at)).out == "2 cancels of ann asked for.\n"
    shown = (await cli("acts", "--database", str(gateway.database))).out
    assert shown.splitlines()[-1].split()[-4:] == ["user.cancel", f"{gateway.app_id}/ann", "2", "orders"]
    async with asyncio.timeout(10):
        while (await cli("order", "list", "--user", "ann", "--status", "open", "--json")).out:
            await asyncio.sleep(0.1)
    assert (
        await cli("user", "cancel", "ann", *at)
    ).out == "ann has no open order that is not being canceled already.\n"
    assert "no user 'anne'" in one_error_line(await cli("user", "cancel", "anne", *at), 1)
    acts = [json.loads(line)["act"] for line in (await cli("acts", "--json", *at[2:])).out.splitlines()]
    assert acts.count("user.cancel") == 1
