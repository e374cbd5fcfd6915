"""`user` and `session` beside a running gateway: who is there, and signing them out."""

import asyncio
import json
from pathlib import Path

import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from oddswire.client import Client
from oddswire.testing.gateway import RunningGateway
from tests.cli.conftest import Cli, one_error_line


@pytest.fixture(autouse=True)
def address(gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ODDSWIRE_URL", gateway.base_url)
    monkeypatch.setenv("ODDSWIRE_DATABASE", str(gateway.database))


async def closing(socket: ClientConnection) -> int | None:
    """Return the code a socket is closed with."""
    await asyncio.wait_for(socket.wait_closed(), 10)
    return socket.close_code


async def documents(cli: Cli, *words: str) -> list[dict[str, object]]:
    done = await cli(*words, "--json")
    assert done.code == 0, done
    return [json.loads(line) for line in done.out.splitlines()]


async def test_the_users_and_what_there_is_of_them(cli: Cli, gateway: RunningGateway) -> None:
    for _ in range(2):
        await gateway.sign_in("bob")
    token = (await gateway.sign_in("alice")).access_token
    async with Client(base_url=gateway.base_url, app_id=gateway.app_id, access_token=token) as client:
        await client.orders.place(
            venue="paper", market_id="fed-cut-dec", outcome_id="yes", side="buy", price="0.01", size=1
        )
        head = (await client.balances()).seq

    alice, bob = await documents(cli, "user", "list")

    assert (alice["appId"], alice["userId"], alice["sessions"], alice["openOrders"]) == ("demo", "alice", 1, 1)
    assert (alice["head"], bob["userId"], bob["sessions"], bob["openOrders"]) == (head, "bob", 2, 0)
    assert isinstance(alice["firstSeen"], int)
    assert isinstance(alice["lastEventAt"], int)
    assert alice["firstSeen"] <= alice["lastEventAt"]
    shown = (await cli("user", "list")).out
    assert "alice" in shown
    assert "first seen" in shown


async def test_users_are_paged_through_and_the_rest_is_not_kept_quiet(cli: Cli, gateway: RunningGateway) -> None:
    names = [f"user{number:03}" for number in range(103)]
    for name in names:
        await gateway.sign_in(name)

    few = await cli("user", "list", "--limit", "2", "--json")
    assert [json.loads(line)["userId"] for line in few.out.splitlines()] == names[:2]
    assert "--all" in few.err
    for words in (("--all",), ("--limit", "103"), ("-n", "104")):
        done = await cli("user", "list", *words, "--json")
        assert [json.loads(line)["userId"] for line in done.out.splitlines()] == names
        assert done.err == ""
    assert (await cli("user", "list", "--limit", "103")).out.count("first seen") == 1


async def test_users_of_one_app(cli: Cli, gateway: RunningGateway) -> None:
    await gateway.sign_in("alice")
    await cli("app", "create", "empty")
    assert "No user yet" in (await cli("user", "list", "--app", "empty")).out
    assert await cli("user", "list", "--app", "empty", "--json") == (0, "", "")
    assert len(await documents(cli, "user", "list", "--app", "demo")) == 1
    assert "'nope'" in one_error_line(await cli("user", "list", "--app", "nope"), 1)


async def test_a_kick_closes_the_user_s_sockets_and_no_other(cli: Cli, gateway: RunningGateway) -> None:
    first, second, bob = [await gateway.sign_in(name) for name in ("alice", "alice", "bob")]
    async with (
        websockets.connect(gateway.ws_url(token=first.access_token)) as one,
        websockets.connect(gateway.ws_url(token=second.access_token)) as two,
        websockets.connect(gateway.ws_url(token=bob.access_token)) as stays,
    ):
        done = await cli("user", "kick", "alice")

        assert (done.code, done.err) == (0, "")
        assert "2 sessions ended" in done.out
        assert [await closing(one), await closing(two)] == [4001, 4001]
        await (await stays.ping())
    async with gateway.http(first.access_token) as http:
        assert (await http.get("/trading/balance")).json()["code"] == "session_revoked"
    again = await gateway.sign_in("alice")
    async with gateway.http(again.access_token) as http:
        assert (await http.get("/trading/balance")).status_code == 200


async def test_a_kick_of_nobody_is_a_mistake(cli: Cli, gateway: RunningGateway) -> None:
    await gateway.sign_in("alice")
    assert "'alcie'" in one_error_line(await cli("user", "kick", "alcie"), 1)
    assert "'nope'" in one_error_line(await cli("user", "kick", "alice", "--app", "nope"), 1)
    assert [row["sessions"] for row in await documents(cli, "user", "list")] == [1]
    assert json.loads((await cli("user", "kick", "alice", "--json")).out)["sessions"] == 1
    assert json.loads((await cli("user", "kick", "alice", "--json")).out)["sessions"] == 0


async def test_one_session_is_ended_and_the_other_stays(cli: Cli, gateway: RunningGateway) -> None:
    first, second = await gateway.sign_in("alice"), await gateway.sign_in("alice")
    # by use, and by id where two were used in one millisecond: the newest first
    newest, oldest = await documents(cli, "session", "list", "alice")
    async with (
        websockets.connect(gateway.ws_url(token=first.access_token)) as ended,
        websockets.connect(gateway.ws_url(token=second.access_token)) as stays,
    ):
        done = await cli("session", "revoke", str(oldest["sessionId"]))

        assert "of alice is signed out" in done.out
        assert await closing(ended) == 4001
        await (await stays.ping())
    assert await documents(cli, "session", "list", "alice") == [newest]
    assert str(newest["sessionId"]) in (await cli("session", "list", "alice")).out
    assert "No session" in one_error_line(await cli("session", "revoke", str(oldest["sessionId"])), 1)


async def test_sessions_of_somebody_who_has_none(cli: Cli, gateway: RunningGateway) -> None:
    await gateway.sign_in("alice")
    await cli("user", "kick", "alice")
    assert "signed in nowhere" in (await cli("session", "list", "alice")).out
    assert await cli("session", "list", "alice", "--json") == (0, "", "")
    assert "'nope'" in one_error_line(await cli("session", "list", "alice", "--app", "nope"), 1)


async def test_a_list_that_is_cut_says_so(cli: Cli, gateway: RunningGateway) -> None:
    for _ in range(101):
        await gateway.sign_in("alice")
    done = await cli("session", "list", "alice", "--json")
    assert len(done.out.splitlines()) == 100
    assert "there may be more" in done.err


async def test_a_name_steers_no_terminal_and_is_no_markup(cli: Cli, gateway: RunningGateway, tmp_path: Path) -> None:
    async with Client(base_url=gateway.base_url, app_id=gateway.app_id) as client:
        await client.sign_in("[red]alice[/]", api_key=gateway.api_key, label="\u202ephone")
    assert "[red]alice[/]" in (await cli("user", "list")).out
    shown = (await cli("session", "list", "[red]alice[/]")).out
    assert "\u202e" not in shown
    assert "phone" in shown
