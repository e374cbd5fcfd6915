"""The stream as Server-Sent Events: the same events, resumed by id, ended by the token, the session and the node."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest

from oddswire.server import event_stream
from oddswire.testing.gateway import UNLIMITED, RunningGateway, running_gateway
from oddswire.wire.cursor import Cursor
from tests.server.gateways import an_order, code_of

STREAM = "/trading/events/stream"


class Said(NamedTuple):
    name: str
    id: str
    data: Any


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[RunningGateway]:
    async with running_gateway(tmp_path, msgspec.structs.replace(UNLIMITED, max_connections_per_user=2)) as running:
        yield running


@pytest.fixture
async def ann(gateway: RunningGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway.http((await gateway.sign_in("ann")).access_token) as http:
        yield http


async def said_by(answer: httpx.Response) -> AsyncIterator[Said]:
    """Yield what a stream says; comments and `retry:` are named as such."""
    name, last, data = "", "", ""
    async for line in answer.aiter_lines():
        field, _, value = line.partition(": ")
        match field:
            case "event":
                name = value
            case "id":
                last = value
            case "data":
                data = value
            case "retry":
                yield Said("retry", "", int(value))
            case "" if value:
                yield Said("comment", "", value)
            case "":
                if data:
                    yield Said(name, last, json.loads(data))
                name = last = data = ""


@asynccontextmanager
async def following(http: httpx.AsyncClient, **asked: Any) -> AsyncIterator[AsyncIterator[Said]]:
    async with asyncio.timeout(20), http.stream("GET", STREAM, **asked) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"] == "text/event-stream"
        async with aclosing(said_by(answer)) as said:  # type: ignore[type-var]
            yield said


async def take(said: AsyncIterator[Said], count: int) -> list[Said]:
    return [await anext(said) for _ in range(count)]


async def test_events_come_live_as_they_are_in_the_log(ann: httpx.AsyncClient) -> None:
    async with following(ann) as said:
        (first,) = await take(said, 1)
        assert (first.name, first.data["type"], first.data["userId"]) == ("connected", "connected", "ann")
        assert first.id == str(Cursor(first.data["seq"], first.data["epoch"]))
        assert (await ann.post("/trading/orders", json=an_order())).status_code == 201
        told = await take(said, 2)
    log = (await ann.get("/trading/events", params={"since": first.data["seq"], "epoch": first.data["epoch"]})).json()
    assert [one.data for one in told] == log["events"]
    assert [one.name for one in told] == ["", ""]
    assert [one.id for one in told] == [str(Cursor(event["seq"], log["epoch"])) for event in log["events"]]


async def test_it_goes_on_after_the_last_id_and_after_since(ann: httpx.AsyncClient) -> None:
    for _ in range(100):
        await ann.post("/trading/orders", json=an_order(size=1))
    log = (await ann.get("/trading/events")).json()
    asked: list[dict[str, Any]] = [
        {"headers": {"Last-Event-ID": f"{log['epoch']}:3"}},
        {"params": {"since": 3, "epoch": log["epoch"]}},
        {"headers": {"Last-Event-ID": f"{log['epoch']}:3"}, "params": {"since": 99, "epoch": "another"}},
    ]
    for how in asked:
        async with following(ann, **how) as said:
            first, *told = await take(said, log["head"] - 3 + 1)
        assert first.data["resumed"] is True
        assert [one.data["seq"] for one in told] == list(range(4, log["head"] + 1))


@pytest.mark.parametrize(
    ("cursor", "reason"), [("another:1", "epoch_changed"), ("{epoch}:99", "ahead"), ("another:0", "epoch_changed")]
)
async def test_a_cursor_it_cannot_honour_is_a_reset(ann: httpx.AsyncClient, cursor: str, reason: str) -> None:
    epoch = (await ann.get("/trading/balance")).json()["epoch"]
    async with following(ann, headers={"Last-Event-ID": cursor.format(epoch=epoch)}) as said:
        (reset,) = await take(said, 1)
        assert reset == Said("reset", f"{epoch}:1", {"reason": reason, "seq": 1, "epoch": epoch})
        await ann.post("/trading/orders", json=an_order())
        assert (await anext(said)).data["seq"] == 2


async def test_another_user_hears_nothing_of_it(gateway: RunningGateway, ann: httpx.AsyncClient) -> None:
    async with (
        gateway.http((await gateway.sign_in("ben")).access_token) as ben,
        following(ben) as to_ben,
        following(ann) as to_ann,
    ):
        await take(to_ben, 1)
        await take(to_ann, 1)
        await ann.post("/trading/orders", json=an_order())
        await take(to_ann, 2)
        await ben.post("/trading/orders", json=an_order(clientOrderId="bens"))
        assert (await anext(to_ben)).data["clientOrderId"] == "bens"


async def test_what_is_refused(gateway: RunningGateway, ann: httpx.AsyncClient) -> None:
    assert code_of(await ann.get(STREAM, headers={"Last-Event-ID": "nonsense"})) == (400, "invalid_parameter")
    assert code_of(await ann.get(STREAM, params={"since": "x"})) == (400, "invalid_parameter")
    assert code_of(await ann.get(STREAM, headers={"authorization": ""})) == (401, "token_missing")
    assert code_of(await ann.get(STREAM, params={"token": "x"}, headers={"authorization": ""})) == (
        401,
        "token_missing",
    )
    async with following(ann) as one, following(ann) as other:
        await take(one, 1)
        await take(other, 1)
        assert code_of(await ann.get(STREAM)) == (429, "too_many_connections")
    assert (await ann.head(STREAM)).status_code == 405


async def test_sign_out_and_drain_end_it_with_their_names(gateway: RunningGateway, ann: httpx.AsyncClient) -> None:
    async with (
        gateway.http((await gateway.sign_in("ann")).access_token) as elsewhere,
        following(ann) as said,
        following(elsewhere) as staying,
    ):
        await take(said, 1)
        await take(staying, 1)
        assert (await ann.post("/auth/sign-out")).status_code == 204
        assert [one async for one in said] == [Said("session_revoked", "", {"code": "session_revoked"})]
        gateway.stop.set()
        retry, draining = [one async for one in staying]
    assert retry.name == "retry"
    assert 2_000 <= retry.data <= 10_000
    assert draining.data == {"code": "draining"}


async def test_it_ends_with_the_token(ann: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async with following(ann) as said:
        await take(said, 1)
        assert (await ann.get("/trading/balance")).status_code == 200
    monkeypatch.setattr(event_stream.EventStream, "_left", lambda _: 0.0)
    async with following(ann) as said:
        assert [one async for one in said] == [Said("token_expired", "", {"code": "token_expired"})]


async def test_silence_is_broken_by_comments(ann: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "HEARTBEAT_SECONDS", 0.05)
    async with following(ann) as said:
        assert [one.name for one in await take(said, 3)] == ["connected", "comment", "comment"]


async def test_a_reader_that_takes_nothing_is_cut_off_and_resumes(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "STALLED_SECONDS", 0.3)
    signed = await gateway.sign_in("ann")
    async with gateway.http(signed.access_token) as http:
        for _ in range(400):
            await http.post("/trading/orders", json=an_order(size=1))
        log = (await http.get("/trading/balance")).json()
        with socket.socket() as stalled:
            stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            stalled.connect(gateway.address.api)
            head = f"GET {STREAM}?since=0&epoch={log['epoch']} HTTP/1.1\r\nHost: x\r\nx-app-id: {gateway.app_id}\r\n"
            stalled.sendall(f"{head}Authorization: Bearer {signed.access_token}\r\n\r\n".encode())
            await asyncio.wait_for(_gone(gateway), 15)
        async with following(http, params={"since": 5, "epoch": log["epoch"]}) as said:
            told = await take(said, log["seq"] - 5 + 1)
        assert [one.data["seq"] for one in told[1:]] == list(range(6, log["seq"] + 1))


async def _gone(gateway: RunningGateway) -> None:
    """Return once the operator sees that a slow reader was cut off."""
    async with httpx.AsyncClient(base_url=gateway.admin_url, trust_env=False) as admin:
        while 'oddswire_sockets_closed_total{code="4301"} 1.0' not in (await admin.get("/metrics")).text:
            await asyncio.sleep(0.05)
