"""The stream of a client over several connections, against a gateway that does as each test says."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from oddswire.client import Cursor, Line, Reset, ServerUnreachable, Stopped, Told
from oddswire.client.connection import Gateway as AnyGateway
from oddswire.client.connection import OnLine, arrivals, unheard
from oddswire.events import BalanceUpdate
from tests.client.scripted import Server, connected, event, says, serving


async def events(
    gateway: AnyGateway,
    since: int | None,
    epoch: str | None,
    on_line: OnLine = unheard,
    cancel_on_disconnect: int | None = None,
) -> AsyncGenerator[Told, None]:
    cursor = None if since is None or epoch is None else Cursor(since, epoch)
    async with aclosing(arrivals(gateway, cursor, on_line, cancel_on_disconnect)) as found:
        async for arrival in found:
            if arrival.told is not None:
                yield arrival.told


async def take(count: int, told: Any) -> list[Told]:
    found: list[Told] = []
    async with asyncio.timeout(10), aclosing(told):
        async for one in told:
            found.append(one)
            if len(found) == count:
                return found
    raise AssertionError("an endless stream ended")


def numbers(told: list[Told]) -> list[int]:
    assert all(isinstance(one, BalanceUpdate) for one in told), told
    return [one.seq for one in told]


pytestmark = pytest.mark.usefixtures("waits")


async def test_the_token_is_in_the_header_and_never_in_the_url() -> None:
    async with serving(says(connected(0, 0), event(1))) as server:
        await take(1, events(server.gateway, None, None))

    assert server.seen == [({"appId": "shop"}, "Bearer token-0")]


async def test_a_cut_connection_is_resumed_without_hole_or_repeat() -> None:
    first = says(connected(4, 6), event(5), event(6), close=1011)
    second = says(connected(6, 8, resumed=True), event(7), event(8))
    async with serving(first, second) as server:
        told = await take(4, events(server.gateway, 4, "E"))

    assert numbers(told) == [5, 6, 7, 8]
    assert [query for query, _ in server.seen] == [
        {"appId": "shop", "since": "4", "epoch": "E"},
        {"appId": "shop", "since": "6", "epoch": "E"},
    ]


async def test_a_hole_is_never_yielded_but_resumed_over() -> None:
    first = says(connected(0, 0), event(1), event(3))
    async with serving(first, says(connected(1, 3, resumed=True), event(2), event(3))) as server:
        told = await take(3, events(server.gateway, None, None))

    assert numbers(told) == [1, 2, 3]


async def test_a_heartbeat_that_knows_more_makes_it_resume() -> None:
    heartbeat = json.dumps({"type": "heartbeat", "ts": 1, "seq": 2})
    first = says(connected(0, 0), event(1), heartbeat)
    async with serving(first, says(connected(1, 2, resumed=True), event(2))) as server:
        assert numbers(await take(2, events(server.gateway, None, None))) == [1, 2]


async def test_a_later_kind_of_event_is_passed_over_and_counted() -> None:
    later = json.dumps({"type": "margin_called", "seq": 2, "timestamp": 1, "venue": "paper"})
    unnumbered = json.dumps({"type": "weather"})
    async with serving(says(connected(0, 3), event(1), later, unnumbered, event(3))) as server:
        assert numbers(await take(2, events(server.gateway, None, None))) == [1, 3]


async def test_41xx_brings_a_new_token() -> None:
    async with serving(says(close=4101), says(connected(0, 1), event(1))) as server:
        gateway = server.gateway
        await take(1, events(gateway, None, None))

    assert gateway.refreshed == ["token-0"]
    assert [token for _, token in server.seen] == ["Bearer token-0", "Bearer token-1"]


async def test_an_http_401_brings_a_new_token() -> None:
    problem = {**{"type": "x", "title": "x", "status": 401}, "code": "token_expired", "detail": "x", "message": "x"}
    async with serving((401, problem), says(connected(0, 1), event(1))) as server:
        gateway = server.gateway
        await take(1, events(gateway, None, None))

    assert gateway.refreshed == ["token-0"]


async def test_it_ends_where_no_token_can_be_had() -> None:
    async with serving(says(close=4101)) as server:
        gateway = server.gateway
        gateway.no_refresh = Stopped("refresh_token_invalid", "gone")
        with pytest.raises(Stopped, match="refresh_token_invalid"):
            await take(1, events(gateway, None, None))


async def test_a_refresh_that_is_not_answered_is_tried_again() -> None:
    async with serving(says(close=4101), says(connected(0, 1), event(1))) as server:
        gateway = server.gateway
        gateway.no_refresh = ServerUnreachable("not now")
        stream = asyncio.ensure_future(take(1, events(gateway, None, None)))
        while len(gateway.refreshed) < 3:
            await asyncio.sleep(0)
        gateway.no_refresh = None
        assert numbers(await stream) == [1]


@pytest.mark.parametrize("code", [4001, 4004, 4005, 4008, 4042, 1002, 1009])
async def test_40xx_stops(code: int) -> None:
    async with serving(says(connected(0, 0), close=code, reason='{"code":"said_why"}')) as server:
        with pytest.raises(Stopped) as stopped:
            await take(1, events(server.gateway, None, None))

    assert stopped.value.code == "said_why"
    assert len(server.seen) == 1


async def test_the_error_frame_says_why_it_stopped() -> None:
    error = json.dumps({"type": "error", "code": "unknown_app", "message": "No active app has this id."})
    async with serving(says(error, close=4004)) as server:
        with pytest.raises(Stopped, match="No active app has this id") as stopped:
            await take(1, events(server.gateway, None, None))

    assert stopped.value.code == "unknown_app"


async def test_an_http_refusal_stops() -> None:
    problem = {**{"type": "x", "title": "x", "status": 403}, "code": "unknown_app", "detail": "No app.", "message": ""}
    async with serving((403, problem)) as server:
        with pytest.raises(Stopped, match="No app") as stopped:
            await take(1, events(server.gateway, None, None))

    assert stopped.value.code == "unknown_app"


async def test_42xx_backs_off_longer_each_time(waits: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.random", lambda: 1.0)
    acts = [says(close=4203) for _ in range(4)]
    async with serving(*acts, says(connected(0, 1), event(1))) as server:
        await take(1, events(server.gateway, None, None))

    assert waits == [0.5, 1.0, 2.0, 4.0]


async def test_43xx_waits_as_long_as_the_gateway_asks(waits: list[float]) -> None:
    closing = says(connected(0, 1), event(1), close=4300, reason='{"code":"draining","retryAfterMs":1840}')
    async with serving(closing, says(connected(1, 2, resumed=True), event(2))) as server:
        assert numbers(await take(2, events(server.gateway, None, None))) == [1, 2]

    assert waits == [1.84]


async def test_a_cursor_that_is_not_honoured_is_a_reset() -> None:
    refused = says(connected(50, 50, "F", resumed=False, reason="epoch_changed"), event(51))
    async with serving(refused) as server:
        reset, first = await take(2, events(server.gateway, 3, "E"))

    assert reset == Reset("epoch_changed", 50, "F")
    assert first.seq == 51


async def test_history_that_expires_while_catching_up_is_a_reset() -> None:
    async with serving(says(connected(3, 900, resumed=True), close=4302), says(connected(900, 900))) as server:
        (reset,) = await take(1, events(server.gateway, 3, "E"))

    assert reset == Reset("expired", 900, "E")
    assert server.seen[1][0] == {"appId": "shop"}


async def test_a_token_about_to_expire_is_renewed_on_the_same_connection() -> None:
    async def act(socket: ServerConnection) -> None:
        await socket.send(connected(0, 1))
        await socket.send(json.dumps({"type": "token_expiring", "expiresAt": 1}))
        server.frames.append(json.loads(await socket.recv()))
        authenticated = {"type": "authenticated", "userId": "u", "seq": 0, "head": 1, "epoch": "E"}
        await socket.send(json.dumps(authenticated))
        await socket.send(event(1))
        await socket.wait_closed()

    async with serving(act) as server:
        gateway = server.gateway
        assert numbers(await take(1, events(gateway, None, None))) == [1]

    assert gateway.refreshed == ["token-0"]
    assert server.frames == [{"action": "authenticate", "token": "token-1", "since": 0, "epoch": "E"}]
    assert len(server.seen) == 1


async def test_a_silent_gateway_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oddswire.wire.client_session.SILENCE_MS", 50)
    async with serving(says(connected(0, 1), event(1)), says(connected(1, 2, resumed=True), event(2))) as server:
        assert numbers(await take(2, events(server.gateway, None, None))) == [1, 2]


async def test_it_says_how_the_line_is_doing() -> None:
    lines: list[Line] = []
    async with serving(says(connected(0, 1), event(1), close=1011), says(connected(1, 1, resumed=True), event(2))) as s:
        await take(2, events(s.gateway, None, None, lines.append))

    opening: list[Line] = ["connecting", "catching_up", "level"]
    assert lines == [*opening, "waiting", *opening]


async def test_nobody_listening_is_waited_for() -> None:
    async with serving(says(connected(0, 1), event(1))) as server:
        gateway = server.gateway
        port = server.port
    lines: list[Line] = []
    stream = asyncio.ensure_future(take(1, events(gateway, None, None, lines.append)))
    while lines.count("waiting") < 2:
        await asyncio.sleep(0.001)
    again = Server([says(connected(0, 1), event(1))])
    async with serve(again.act, "127.0.0.1", port, process_request=again.look, compression=None):
        assert numbers(await stream) == [1]


async def test_every_connection_arms_the_session() -> None:
    async with serving(says(connected(0, 0), event(1), close=4300), says(connected(1, 1), event(2))) as server:
        told = await take(2, events(server.gateway, None, None, cancel_on_disconnect=30))
    assert numbers(told) == [1, 2]
    assert [query.get("cancelOnDisconnect") for query, _ in server.seen] == ["30", "30"]


async def test_a_client_that_does_not_ask_leaves_it_as_it_is() -> None:
    async with serving(says(connected(0, 0), event(1))) as server:
        await take(1, events(server.gateway, None, None))
    assert ["cancelOnDisconnect" in query for query, _ in server.seen] == [False]
