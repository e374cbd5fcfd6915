"""`user export` and `user erase` on databases of real gateways, and what those do afterwards."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import structlog
import websockets

from oddswire.auth import revocations
from oddswire.auth.identity import Identity
from oddswire.auth.revocations import Revocations
from oddswire.cli.databases import SCHEMAS, opened
from oddswire.client import Client
from oddswire.clock import SystemClock
from oddswire.store.queries import all_statements
from oddswire.testing.gateway import RunningGateway, running_gateway
from oddswire.wire.bodies import SignedIn
from tests.cli.conftest import Cli, one_error_line

ALICE = "alice-of-wonderland@example.org"
"""Long enough not to be in a file by chance."""
OWN_ID = "my-own-order-of-the-red-queen"
OTHERS = "a-screen-in-the-rabbit-hole"


@pytest.fixture(autouse=True)
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("ODDSWIRE_DATABASE", str(tmp_path / "oddswire.db"))
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.reset_defaults()


async def buy(gateway: RunningGateway, token: str, price: str, own: str | None = None) -> str:
    async with Client(base_url=gateway.base_url, app_id=gateway.app_id, access_token=token) as client:
        order = await client.orders.place(
            venue="paper",
            market_id="fed-cut-dec",
            outcome_id="yes",
            side="buy",
            price=price,
            size=10,
            client_order_id=own,
        )
    return order.order_id


async def traded(gateway: RunningGateway, cli: Cli) -> list[SignedIn]:
    """Let a user trade, be kicked, cancel and be paid, beside another; return their tokens, the last ones last."""
    async with Client(base_url=gateway.base_url, app_id=gateway.app_id) as client:
        kicked = await client.sign_in(ALICE, api_key=gateway.api_key, label=OTHERS)
    bob = (await gateway.sign_in("bob")).access_token
    await buy(gateway, bob, "0.99")
    await buy(gateway, kicked.access_token, "0.99", OWN_ID)
    await cli("user", "kick", ALICE)
    # a kick covers its own millisecond, and this node may not have heard of it yet
    await asyncio.sleep(0.002)
    signed = await gateway.sign_in(ALICE)
    resting = await buy(gateway, signed.access_token, "0.01")
    async with gateway.http(signed.access_token) as http:
        assert (await http.post(f"/trading/orders/{resting}/cancel")).status_code == 202
    assert (await cli("paper", "deposit", ALICE, "250")).code == 0
    assert (await cli("paper", "resolve", "fed-cut-dec", "yes")).code == 0
    async with asyncio.timeout(10), gateway.http(signed.access_token) as http:
        while (await http.get("/trading/holdings")).json()["holdings"]:
            await asyncio.sleep(0.02)
    return [kicked, signed]


async def exported(cli: Cli, whom: str = f"demo/{ALICE}") -> list[dict[str, Any]]:
    done = await cli("user", "export", whom)
    assert (done.code, done.err) == (0, ""), done
    found = [json.loads(line) for line in done.out.splitlines()]
    assert found[-1] == {"kind": "end", "lines": len(found) - 1}
    return found[:-1]


def of(kind: str, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in found if line["kind"] == kind]


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("oddswire.db*"))


async def test_everything_of_a_user_and_nothing_of_others_is_exported(cli: Cli, tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        _, signed = await traded(gateway, cli)
        found = await exported(cli)
        async with gateway.http(signed.access_token) as http:
            events = (await http.get("/trading/events", params={"limit": 256})).json()
            orders = (await http.get("/trading/orders")).json()["data"]
            fills = (await http.get("/trading/fills")).json()["data"]
            (balance,) = (await http.get("/trading/balance")).json()["balances"]

    assert found[0]["userId"] == ALICE
    assert [line["event"] for line in of("event", found)] == events["events"]
    assert found[0]["head"] == events["head"] == len(events["events"])
    assert {line["orderId"] for line in of("order", found)} == {order["orderId"] for order in orders}
    assert next(line["clientOrderId"] for line in of("order", found)) == OWN_ID
    assert [line["fillId"] for line in of("fill", found)] == [fill["fillId"] for fill in reversed(fills)]
    (told,) = of("balance", found)
    assert (told["cashRaw"], told["heldRaw"]) == (balance["walletBalanceRaw"], "0")
    (paper,) = of("paperAccount", found)
    assert (paper["account"], paper["cashRaw"]) == (f"user/{ALICE}", told["cashRaw"])
    sums: dict[tuple[str, str], int] = {}
    for line in of("posting", found):
        key = (line["entryId"], line["asset"])
        sums[key] = sums.get(key, 0) + int(line["amountRaw"])
    assert sums
    assert set(sums.values()) == {0}
    assert [line["label"] for line in of("session", found)] == [OTHERS, ""]
    assert [line["act"] for line in of("act", found)] == ["user.kick", "user.export"]
    assert {line["kind"] for line in found} == {
        *("user", "session", "balance", "holding", "order", "fill", "posting", "event", "act"),
        *("paperAccount", "paperHolding", "paperOrder", "paperFill", "paperTransfer", "paperSettlement"),
    }
    text = json.dumps(found)
    assert "bob" not in text
    assert signed.refresh_token not in text
    assert "refresh" not in text


async def test_a_long_stream_is_exported_whole(cli: Cli, tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        await gateway.sign_in(ALICE)
    with closing(sqlite3.connect(gateway.database)) as connection, connection:
        (stream,) = connection.execute("SELECT stream_id FROM streams").fetchone()
        rows = [(stream, seq, seq, json.dumps({"seq": seq})) for seq in range(2, 1502)]
        connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", rows)
    found = of("event", await exported(cli))
    assert [line["seq"] for line in found] == list(range(1, 1502))
    assert found[-1]["event"] == {"seq": 1501}


async def test_an_erased_user_is_gone_and_the_books_agree(cli: Cli, tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        before = await traded(gateway, cli)
        line = one_error_line(await cli("user", "erase", f"demo/{ALICE}", "--yes"), 2)
        assert "being served" in line
    assert ALICE.encode() in bytes_of(tmp_path)

    done = await cli("user", "erase", f"demo/{ALICE}", "--yes", "--json")
    assert done.code == 0, done
    told = json.loads(done.out)
    assert (told["appId"], told["sessions"]) == ("demo", 2)

    assert [text for text in (ALICE, OWN_ID, OTHERS) if text.encode() in bytes_of(tmp_path)] == []
    assert (await cli("check")).code == 0
    users = [json.loads(row) for row in (await cli("user", "list", "--json")).out.splitlines()]
    assert [user["userId"] for user in users] == ["bob", told["name"]]
    acts = [json.loads(row) for row in (await cli("acts", "--json")).out.splitlines()]
    assert [(act["act"], act["subject"]) for act in acts] == [
        ("user.erase", f"demo/{told['name']}"),
        ("user.kick", f"demo/{told['name']}"),
    ]
    async with running_gateway(tmp_path) as gateway:
        for signed in before:
            await is_refused(gateway, signed)
        await starts_anew(gateway)
        assert (await cli("check")).code == 0


async def test_a_provider_s_tokens_of_an_erased_user_end_and_what_ends_them_is_swept(cli: Cli, tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        await gateway.sign_in(ALICE)
    assert (await cli("user", "erase", f"{gateway.app_id}/{ALICE}", "--yes")).code == 0
    now = SystemClock().now()

    def outside(issued_at: int) -> Identity:
        return Identity(gateway.app_id, ALICE, "sub_x", issued_at, now + 3_600_000)

    async with opened(gateway.database) as store:
        revoked = Revocations()
        revoked.take(await store.read(lambda tx: revocations.after(tx, 0)), now)
        assert revoked.is_revoked(outside(now - 60_000))
        assert not revoked.is_revoked(outside(now + 60_000))
        await store.write(lambda tx: revocations.sweep(tx, now + 31 * 86_400_000))
        left = await store.read(lambda tx: revocations.after(tx, 0))
    assert [row.subject.partition("-")[0] for row in left] == ["erased"]


async def test_the_books_of_an_erased_user_go_on(cli: Cli, tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        token = (await gateway.sign_in(ALICE)).access_token
        order = await buy(gateway, token, "0.01", OWN_ID)
        async with gateway.http(token) as http:
            assert (await http.post(f"/trading/orders/{order}/cancel")).status_code == 202
            async with asyncio.timeout(10):
                while (await http.get(f"/trading/orders/{order}")).json()["status"] != "canceled":
                    await asyncio.sleep(0.02)
    name = json.loads((await cli("user", "erase", f"demo/{ALICE}", "--yes", "--json")).out)["name"]
    async with running_gateway(tmp_path):
        assert (await cli("paper", "fault", "late-fill", order)).code == 0
        async with asyncio.timeout(10):
            while not (fills := of("fill", await exported(cli, f"demo/{name}"))):
                await asyncio.sleep(0.05)
        assert [fill["orderId"] for fill in fills] == [order]
        events = of("event", await exported(cli, f"demo/{name}"))
        assert [line["event"]["status"] for line in events if line["event"]["type"] == "order_event"] == ["filled"]
        assert (await cli("check")).code == 0


async def is_refused(gateway: RunningGateway, before: SignedIn) -> None:
    """See that none of these tokens is taken."""
    async with gateway.http(before.access_token) as http:
        assert (await http.get("/trading/balance")).json()["code"] == "session_revoked"
        refreshed = await http.post("/auth/token/refresh", json={"refreshToken": before.refresh_token})
        assert refreshed.json()["code"] == "refresh_token_invalid"
    async with websockets.connect(gateway.ws_url(token=before.access_token)) as socket:
        await asyncio.wait_for(socket.wait_closed(), 5)
        assert socket.close_code == 4001


async def starts_anew(gateway: RunningGateway) -> None:
    """See that who comes under the old name is a new, empty user."""
    again = (await gateway.sign_in(ALICE)).access_token
    async with gateway.http(again) as http:
        (balance,) = (await http.get("/trading/balance")).json()["balances"]
        assert balance["walletBalanceCents"] == 100_000
        assert (await http.get("/trading/orders")).json()["data"] == []
        events = (await http.get("/trading/events")).json()
        assert [event["type"] for event in events["events"]] == ["balance_update"]


async def test_unfinished_orders_are_in_the_way(cli: Cli, tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        await buy(gateway, (await gateway.sign_in(ALICE)).access_token, "0.01", OWN_ID)
    line = one_error_line(await cli("user", "erase", f"demo/{ALICE}", "--yes"), 1)
    assert "1 unfinished order" in line
    assert "user cancel" in line
    assert of("order", await exported(cli))[0]["clientOrderId"] == OWN_ID


async def test_who_is_erased_is_said_plainly(cli: Cli, tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        await gateway.sign_in(ALICE)
        await gateway.sign_in("a/b")
    assert "--yes" in one_error_line(await cli("user", "erase", f"demo/{ALICE}"), 2)
    for wrong in (ALICE, "/alice", "demo/"):
        for words in (("erase", wrong, "--yes"), ("export", wrong)):
            assert "APP/USER" in one_error_line(await cli("user", *words), 2)
    for wrong in ("demo/nobody", f"nope/{ALICE}"):
        for words in (("erase", wrong, "--yes"), ("export", wrong)):
            assert "has no user" in one_error_line(await cli("user", *words), 1)
    assert (await cli("acts", "--json")).out == ""
    assert (await exported(cli, "demo/a/b"))[0]["userId"] == "a/b"
    done = await cli("user", "erase", "demo/a/b", "--yes")
    assert "a/b is erased: 1 session and 1 event are deleted" in done.out
    assert (await exported(cli))[0]["userId"] == ALICE


def test_every_column_that_may_name_a_user_is_seen_to() -> None:
    """Whoever adds a table that names a user adds it to the erasure, to the export, and here."""
    naming = {
        *("streams.user_id", "sessions.user_id", "disconnects.user_id", "revocations.subject", "admin_acts.subject"),
        *(f"paper_{table}.account" for table in PAPER),
        # the ledger's own accounts: cash, held, fees
        "postings.account",
    }
    found = set()
    with closing(sqlite3.connect(":memory:")) as connection:
        for schema in SCHEMAS:
            for step in schema.migrations():
                connection.executescript(step.sql)
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            found |= {f"{table}.{name}" for name in columns if name in ("user_id", "account", "subject", "user")}
    assert found == naming
    changed = "\n".join(sql for name, sql in all_statements(SCHEMAS).items() if name.split(".")[0] in ERASING)
    tables = {name.split(".")[0] for name in naming - {"postings.account"}}
    assert [
        table for table in tables if f"UPDATE {table} " not in changed and f"DELETE FROM {table} " not in changed
    ] == []


PAPER = ("accounts", "holdings", "orders", "fills", "transfers", "settlements", "reports")
ERASING = ("erasure", "paper_personal", "admin_acts")
