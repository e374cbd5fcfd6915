"""A read is exactly the state after its `seq`: also while everything moves."""

import asyncio
import json
import random
from typing import Any

import httpx

from tests.acceptance.server import Server, an_order
from tests.acceptance.test_streams import Screen

READS = ("/trading/balance", "/trading/holdings", "/trading/orders?limit=100")
State = dict[tuple[str, ...], dict[str, Any]]


def rows(bodies: list[dict[str, Any]]) -> State:
    state: State = {}
    for body in bodies:
        for row in body.get("balances", []):
            state["balance", row["venue"]] = row
        for row in body.get("holdings", []):
            state["holding", row["marketId"], row["outcomeId"]] = row
        for row in body.get("data", []):
            state["order", row["orderId"]] = row
    return state


def apply(state: State, event: dict[str, Any]) -> None:
    """Change a state by an event, as PROTOCOL 2.1 says: only rows whose `seq` is smaller."""
    match event["type"]:
        case "balance_update":
            key: tuple[str, ...] = ("balance", event["venue"])
        case "holding_update":
            key = ("holding", event["marketId"], event["outcomeId"])
        case "order_submitted" | "order_event":
            key = ("order", event["orderId"])
        case _:
            return
    row = state.setdefault(key, {"seq": 0})
    if event["seq"] <= row["seq"]:
        return
    if event["type"] == "order_submitted":
        row |= {"status": "open", "filledAmountRaw": "0"}
    row |= {name: value for name, value in event.items() if name in SHOWN or name == "seq"}
    if key[0] == "holding" and event["size"] == 0:
        del state[key]


SHOWN = (
    *("tradingBalanceRaw", "walletBalanceRaw", "size", "available", "averagePrice"),
    *("status", "filledAmountRaw", "remainingAmountRaw"),
)


def shown(state: State) -> State:
    """What both a read and the events tell of each row; an order's own size is told once and stays."""
    return {
        key: {
            name: row[name]
            for name in (*SHOWN, "seq")
            if name in row and not (key[0] == "order" and name in ("size", "remainingAmountRaw"))
        }
        for key, row in state.items()
    }


async def trade(http: httpx.AsyncClient, count: int, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(count):
        side, price = chance.choice([("buy", 0.01), ("buy", 0.99), ("buy", 0.5), ("sell", 0.01), ("sell", 0.99)])
        market = chance.choice(["fed-cut-dec", "btc-150k-year-end"])
        body = an_order(side=side, price=price, size=chance.randint(1, 5), marketId=market)
        answer = await http.post("/trading/orders", json=body)
        assert answer.status_code in (201, 422), answer.text
        if answer.status_code == 201 and chance.random() < 0.3:
            await http.post(f"/trading/orders/{answer.json()['orderId']}/cancel")


async def test_readers_at_the_same_seq_get_the_same_body_and_snapshot_plus_events_is_the_state(server: Server) -> None:
    token = server.sign_in("ann")["accessToken"]
    bodies: dict[tuple[str, int], set[str]] = {}
    snapshots: list[tuple[str, dict[str, Any]]] = []
    done = asyncio.Event()

    async def read(http: httpx.AsyncClient) -> None:
        while not done.is_set():
            for path in READS:
                answer = await http.get(path)
                body = answer.json()
                bodies.setdefault((path, body["seq"]), set()).add(answer.text)
                snapshots.append((path, body))

    async with server.http(token) as http, server.http(token) as reader_1, server.http(token) as reader_2:
        readers = [asyncio.create_task(read(reader)) for reader in (reader_1, reader_2)]
        await asyncio.gather(*(trade(http, 25, seed) for seed in range(3)))
        done.set()
        await asyncio.gather(*readers)
        final = [(await http.get(path)).json() for path in READS]
        head, epoch = final[0]["seq"], final[0]["epoch"]
        log = (await http.get("/trading/events", params={"since": 0, "epoch": epoch, "limit": 100})).json()
        told = log["events"]
        while log["hasMore"]:
            log = (await http.get("/trading/events", params={"since": log["seq"], "epoch": epoch, "limit": 100})).json()
            told += log["events"]

    assert max(len(texts) for texts in bodies.values()) == 1
    assert len({seq for _, seq in bodies}) > 10, "the readers saw too few states to mean anything"
    assert [event["seq"] for event in told] == list(range(1, len(told) + 1))
    assert {body["seq"] for body in final} == {head}
    target = shown(rows(final))
    for path, body in random.Random(1).sample(snapshots, min(60, len(snapshots))):
        state = rows([body])
        for event in told[body["seq"] :]:
            apply(state, event)
        kind = {"/trading/balance": "balance", "/trading/holdings": "holding"}.get(path, "order")
        assert {key: row for key, row in shown(state).items() if key[0] == kind} == {
            key: row for key, row in target.items() if key[0] == kind
        }


async def test_a_snapshot_joined_to_a_socket_ends_in_the_state(server: Server) -> None:
    token = server.sign_in("ann")["accessToken"]
    async with server.http(token) as http:
        trading = asyncio.create_task(trade(http, 30, 7))
        await asyncio.sleep(0.2)  # somewhere in the middle is the point; any moment will do
        snapshot = [(await http.get(path)).json() for path in READS]
        since = min(body["seq"] for body in snapshot)
        screen = await Screen.open(server.ws_url(token=token, since=since, epoch=snapshot[0]["epoch"]))
        await trading
        async with asyncio.timeout(10):
            while True:
                final = [(await http.get(path)).json() for path in READS]
                if len({body["seq"] for body in final}) == 1:
                    break
        await screen.until_seq(final[0]["seq"])
        state = rows(snapshot)
        for frame in screen.events:
            apply(state, json.loads(frame))
        assert shown(state) == shown(rows(final))
        await screen.close()
