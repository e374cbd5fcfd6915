"""What the client makes of everything a gateway may do: one row a behaviour.

A row is what each connection does in turn, what the program is handed, the cursor each connection comes with, and how
often a new token was fetched. Unless a row says otherwise the client comes with cursor 4 of epoch E.
"""

import asyncio
import json
from contextlib import aclosing
from typing import Any, NamedTuple

import pytest
from websockets.asyncio.server import ServerConnection

from oddswire.client import Cursor, Reset, Stopped
from oddswire.client.connection import arrivals
from oddswire.client.stream import EventStream
from tests.client.scripted import Act, Gateway, Refusal, connected, event, says, serving

pytestmark = pytest.mark.usefixtures("waits")
RESUMED = says(connected(5, 7, resumed=True), event(6), event(7))
FIRST = (connected(4, 5, resumed=True), event(5))
"""What the first connection of a row says before it ends; `RESUMED` is what the second goes on with."""
RESUMED_FROM_4 = says(connected(4, 6, resumed=True), event(5), event(6))


class Row(NamedTuple):
    name: str
    acts: list[Act | Refusal]
    told: list[Any]
    cursors: list[int | None]
    refreshed: int = 0
    start: Cursor | None = Cursor(4, "E")


def problem(status: int, code: str) -> Refusal:
    said = {"type": "about:blank", "title": "x", "status": status, "detail": "why", "code": code, "message": "why"}
    return status, said


def frame(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, **fields})


def ends(code: int, reason: str = "") -> Act:
    return says(*FIRST, close=code, reason=reason)


async def cut(socket: ServerConnection) -> None:
    for text in FIRST:
        await socket.send(text)
    socket.transport.abort()


async def half_a_frame(socket: ServerConnection) -> None:
    for text in FIRST:
        await socket.send(text)
    whole = event(6).encode()
    socket.transport.write(bytes([0x81, 126, *len(whole).to_bytes(2, "big")]) + whole[:20])
    await asyncio.sleep(0)
    socket.transport.close()


async def binary(socket: ServerConnection) -> None:
    for text in FIRST:
        await socket.send(text)
    await socket.send(b"\x00\xff")
    await socket.wait_closed()


def goes_on(name: str, act: Act, refreshed: int = 0) -> Row:
    """After this the client comes back with what it saw last, and nothing is lost or repeated."""
    return Row(name, [act, RESUMED], [5, 6, 7], [4, 5], refreshed)


def stops(name: str, act: Act | Refusal, code: str, told: list[Any] | None = None) -> Row:
    return Row(name, [act], [*(told or []), code], [4])


def broken(name: str, *texts: str) -> Row:
    """A first connection that cannot be trusted after these frames."""
    return goes_on(name, says(*FIRST, *texts))


ROWS = [
    *(stops(f"{code}: stop", ends(code), "refused_by_server", [5]) for code in (1002, 1003, 1007, 1009, 4042)),
    *(stops(f"{code}: stop", ends(code, '{"code":"why"}'), "why", [5]) for code in (4001, 4004, 4005, 4008)),
    *(goes_on(f"{code}: a new token", ends(code), refreshed=1) for code in (4101, 4142)),
    *(goes_on(f"{code}: back off and resume", ends(code)) for code in (4200, 4201, 4202, 4203, 4242)),
    *(goes_on(f"{code}: back off and resume", ends(code)) for code in (1001, 1011, 1012, 3000)),
    *(goes_on(f"{code}: resume", ends(code, '{"retryAfterMs":3}')) for code in (4300, 4301, 4342)),
    Row(
        "4302: read the state again",
        [ends(4302), says(connected(9, 9), event(10))],
        [5, Reset("expired", 9, "E"), 10],
        [4, None],
    ),
    goes_on("the line is cut", cut),
    goes_on("half a frame, then the end", half_a_frame),
    goes_on("a binary frame", binary),
    broken("a gap", event(7)),
    broken("a repeat", event(5)),
    broken("an older event", event(3)),
    broken("no JSON", "{nonsense"),
    broken("JSON that is no frame", "[]"),
    broken("a heartbeat that has sent more", frame("heartbeat", ts=1, seq=6)),
    broken("a heartbeat that has sent less", frame("heartbeat", ts=1, seq=4)),
    broken("another epoch in the middle", connected(5, 5, "F", resumed=True)),
    Row("an event before connected", [says(event(5)), RESUMED_FROM_4], [5, 6], [4, 4]),
    Row("resumed from elsewhere", [says(connected(3, 9, resumed=True)), RESUMED_FROM_4], [5, 6], [4, 4]),
    Row("resumed in another epoch", [says(connected(4, 9, "F", resumed=True)), RESUMED_FROM_4], [5, 6], [4, 4]),
    Row(
        "a server without numbers", [says(frame("connected", appId="shop", userId="u")), RESUMED_FROM_4], [5, 6], [4, 4]
    ),
    *(
        Row(
            f"not resumed: {reason}",
            [says(connected(9, 9, epoch, resumed=False, reason=reason), event(10))],
            [Reset(reason, 9, epoch), 10],  # type: ignore[arg-type]
            [4],
        )
        for reason, epoch in (("expired", "E"), ("ahead", "E"), ("epoch_changed", "F"))
    ),
    Row("without a cursor: from now on", [says(connected(9, 9), event(10))], [10], [None], start=None),
    Row(
        "resumes from where it began though nothing came",
        [says(connected(9, 9), close=1011), says(connected(9, 10, resumed=True), event(10))],
        [10],
        [None, 9],
        start=None,
    ),
    Row(
        "a heartbeat that agrees, notices and pongs",
        [
            says(
                *FIRST,
                frame("heartbeat", ts=1, seq=5),
                frame("venue_status", venue="paper", status="live", since=1, timestamp=1),
                frame("pong", ts=1),
                frame("error", code="invalid_frame", message="x"),
                event(6),
            )
        ],
        [5, 6],
        [4],
    ),
    Row(
        "kinds of a later version",
        [says(*FIRST, frame("weather"), frame("margin_called", seq=6, timestamp=1, venue="paper"), event(7))],
        [5, 7],
        [4],
    ),
    Row("HTTP 401: a new token", [problem(401, "token_expired"), RESUMED_FROM_4], [5, 6], [4, 4], 1),
    stops("HTTP 400: stop", problem(400, "app_id_missing"), "app_id_missing"),
    stops("HTTP 403: stop", problem(403, "unknown_app"), "unknown_app"),
    stops("HTTP 404 of something else: stop", (404, "<h1>nginx</h1>"), "refused_by_server"),
    *(
        Row(f"HTTP {status}: back off", [problem(status, "draining"), RESUMED_FROM_4], [5, 6], [4, 4])
        for status in (429, 500, 503)
    ),
    Row("HTTP 502 of a proxy: back off", [(502, "<h1>nginx</h1>"), RESUMED_FROM_4], [5, 6], [4, 4]),
]


async def hand_out(stream: EventStream, count: int) -> list[Any]:
    """Return what a program is handed: numbers of events, resets, and the code it stopped with."""
    found: list[Any] = []
    try:
        async with asyncio.timeout(10):
            while len(found) < count:
                told = await anext(stream)
                found.append(told if isinstance(told, Reset) else told.seq)
    except Stopped as stopped:
        found.append(stopped.code)
    return found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_what_the_client_makes_of_it(row: Row) -> None:
    async with serving(*row.acts) as server:
        gateway = server.gateway
        async with aclosing(EventStream(arrivals(gateway, row.start), row.start)) as stream:
            assert await hand_out(stream, len(row.told)) == row.told
    assert [None if "since" not in query else int(query["since"]) for query, _ in server.seen] == row.cursors
    assert len(gateway.refreshed) == row.refreshed
    assert len({token for _, token in server.seen}) == row.refreshed + 1
    assert all("token" not in query for query, _ in server.seen)


async def test_a_program_slower_than_any_silence_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is read, and kept, while the program is busy."""
    monkeypatch.setattr("oddswire.wire.client_session.SILENCE_MS", 300)

    async def act(socket: ServerConnection) -> None:
        await socket.send(connected(0, 0))
        for seq in range(1, 11):
            await socket.send(event(seq))
            await asyncio.sleep(0.05)
        await socket.wait_closed()

    async with serving(act) as server, aclosing(EventStream(arrivals(server.gateway, None), None)) as stream:
        assert (await anext(stream)).seq == 1
        await asyncio.sleep(0.5)
        assert await hand_out(stream, 9) == list(range(2, 11))
    assert len(server.seen) == 1


class SlowGateway(Gateway):
    """Its new token comes when it is let out."""

    def __init__(self, base_url: str) -> None:
        super().__init__(base_url)
        self.let_out = asyncio.Event()

    async def refresh(self, stale: str | None = None) -> str:
        await self.let_out.wait()
        return await super().refresh(stale)


async def test_events_go_on_while_a_new_token_is_slow_to_come() -> None:
    brought: list[Any] = []

    async def act(socket: ServerConnection) -> None:
        await socket.send(connected(0, 0))
        await socket.send(frame("token_expiring", expiresAt=1))
        await socket.send(event(1))
        brought.append(json.loads(await socket.recv()))
        await socket.send(frame("authenticated", userId="u", seq=1, head=1, epoch="E"))
        await socket.send(event(2))
        await socket.wait_closed()

    async with serving(act) as server:
        gateway = SlowGateway(server.gateway.base_url)
        async with aclosing(EventStream(arrivals(gateway, None), None)) as stream:
            assert await hand_out(stream, 1) == [1]
            assert gateway.refreshed == []
            gateway.let_out.set()
            assert await hand_out(stream, 1) == [2]
    assert [one["token"] for one in brought] == ["token-1"]
    assert len(server.seen) == 1


async def test_what_was_read_ahead_comes_before_the_reason_it_stopped() -> None:
    closing = says(connected(0, 3), event(1), event(2), event(3), close=4001)
    async with serving(closing) as server, aclosing(EventStream(arrivals(server.gateway, None), None)) as stream:
        assert (await anext(stream)).seq == 1
        async with asyncio.timeout(10):
            while not stream._reading.done():
                await asyncio.sleep(0.01)
        assert await hand_out(stream, 9) == [2, 3, "refused_by_server"]
        assert stream.ended
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
