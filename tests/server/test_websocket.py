"""The handshake and the open socket, over real TCP: what a conversation is promised."""

import asyncio
import gc
import json
import logging
import os
from typing import Any

import pytest

from oddswire.errors import CODES
from oddswire.server import http_protocol
from oddswire.server.http_protocol import Arrival, GatewayHttp
from oddswire.server.websocket import Conversation, Refusal, Turnstile, Upgrade, parsed_query
from tests.server.sockets import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    Client,
    House,
    Recorder,
    frame,
    on_uvloop,
    serving,
    until,
    upgrade,
)

# the handshake


@on_uvloop
async def test_rest_and_websocket_share_a_port() -> None:
    async with serving(House(echo=True)) as house:
        client = await house.client("/ws?appId=a&appId=b&token=a%20b", Authorization="Bearer t")
        await client.write(frame(TEXT, b"hello"))
        assert await client.frame() == (TEXT, b"hello")
        rest = await Client.connect(house.port)
        await rest.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await rest.response())[::2] == (200, b"ok")
        asked = house.conversations[0].upgrade
        assert asked is not None
        assert (asked.path, asked.query, asked.client) == ("/ws", {"appId": "a", "token": "a b"}, "127.0.0.1")
        assert asked.headers["authorization"] == "Bearer t"
        assert "a b" not in repr(asked)
        assert "Bearer" not in repr(asked)


BAD_HANDSHAKES: list[tuple[bytes, int, str]] = [
    (upgrade("/other"), 404, "not_found"),
    (upgrade("/ws/"), 404, "not_found"),
    (upgrade(Sec_WebSocket_Key=""), 400, "bad_handshake"),
    (upgrade(Sec_WebSocket_Key="c2hvcnQ="), 400, "bad_handshake"),
    (upgrade(Sec_WebSocket_Key="not base64 at all ==") + b"", 400, "bad_handshake"),
    (upgrade(Sec_WebSocket_Version="8"), 426, "upgrade_required"),
    (upgrade(Sec_WebSocket_Version=""), 426, "upgrade_required"),
    (upgrade(method="POST"), 400, "bad_handshake"),
    (upgrade(version="1.0"), 400, "bad_handshake"),
    (upgrade(Content_Length="5"), 400, "bad_handshake"),
    (upgrade(Content_Length="5") + b"hello", 400, "bad_handshake"),
    (upgrade(Transfer_Encoding="chunked") + b"0\r\n\r\n", 400, "bad_handshake"),
    (upgrade("/ws?" + "&".join(f"a{n}=1" for n in range(40))), 400, "bad_handshake"),
    (upgrade() + frame(TEXT, b"early"), 400, "early_bytes"),
    (upgrade() + upgrade(), 400, "early_bytes"),
    (upgrade() + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400, "early_bytes"),
]


@on_uvloop
async def test_a_bad_handshake_is_a_problem_and_the_end() -> None:
    async with serving() as house:
        for head, status, code in BAD_HANDSHAKES:
            client = await Client.connect(house.port)
            await client.write(head)
            answered, headers, body = await client.response()
            assert (answered, body["status"], body["code"]) == (status, status, code), head[:200]
            assert headers["content-type"] == "application/problem+json"
            assert body["message"] == body["detail"]
            assert body["action"] == CODES[code].action
            assert status != 426 or headers["sec-websocket-version"] == "13"
            await client.ended()
            await until(lambda: not house.connections)
        assert house.conversations == []


@on_uvloop
async def test_an_upgrade_with_a_zero_length_body_is_fine() -> None:
    async with serving() as house:
        await house.client(Content_Length="0")


@on_uvloop
async def test_bytes_while_the_upgrade_is_being_decided_are_early() -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def accept(_: Upgrade) -> Refusal | Conversation:
        started.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        raise AssertionError

    async with serving(House(accept=accept)) as house:
        client = await Client.connect(house.port)
        await client.write(upgrade())
        await started.wait()
        await client.write(frame(TEXT, b"x" * 100_000))
        status, _, body = await client.response()
        assert (status, body["code"]) == (400, "early_bytes")
        await client.ended()
        await asyncio.wait_for(cancelled.wait(), 1)


@on_uvloop
async def test_bytes_that_wait_in_the_kernel_at_the_101_are_early() -> None:
    clients: list[Client] = []
    conversation = Recorder()

    async def accept(_: Upgrade) -> Refusal | Conversation:
        # no await: the server has no turn in which it could read what is sent here
        assert os.write(clients[0].writer.get_extra_info("socket").fileno(), frame(TEXT, b"early"))
        return conversation

    async with serving(House(accept=accept)) as house:
        clients.append(await Client.connect(house.port))
        await clients[0].write(upgrade())
        status, _, body = await clients[0].response()
        assert (status, body["code"]) == (400, "early_bytes")
        await clients[0].ended()
        assert (conversation.is_open, conversation.ends) == (False, [1006])


@on_uvloop
async def test_an_upgrade_behind_a_request_in_flight_does_not_start_a_second_app() -> None:
    async with serving() as house:
        client = await Client.connect(house.port)
        await client.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n" + upgrade())
        status, headers, _ = await client.response()
        assert (status, headers["connection"]) == (200, "close")
        await client.ended()
        assert house.conversations == []


@on_uvloop
async def test_a_refusal_of_ours_is_answered_with_its_headers() -> None:
    async def accept(_: Upgrade) -> Refusal | Conversation:
        return Refusal(429, "too_many_connections", "too many from this address", (("Retry-After", "3"),))

    async with serving(House(accept=accept)) as house:
        client = await Client.connect(house.port)
        await client.write(upgrade())
        status, headers, body = await client.response()
        assert (status, headers["retry-after"], body["code"]) == (429, "3", "too_many_connections")
        await client.ended()


@on_uvloop
async def test_a_failing_accept_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    async def accept(_: Upgrade) -> Refusal | Conversation:
        raise ZeroDivisionError

    async with serving(House(accept=accept)) as house:
        client = await Client.connect(house.port)
        await client.write(upgrade())
        assert (await client.response())[0] == 500
        await client.ended()
    assert "upgrade_failed" in caplog.text


@on_uvloop
async def test_a_client_that_leaves_meanwhile_cancels_accept(caplog: pytest.LogCaptureFixture) -> None:
    starts: list[str] = []
    ends: list[str] = []

    async def accept(_: Upgrade) -> Refusal | Conversation:
        starts.append("started")
        try:
            await asyncio.sleep(60)
        finally:
            ends.append("ended")
        raise AssertionError

    async with serving(House(accept=accept)) as house:
        for leave in (Client.hang_up, lambda client: client.writer.write_eof()):
            client = await Client.connect(house.port)
            await client.write(upgrade())
            await until(lambda: len(starts) > len(ends))
            leave(client)
            await until(lambda: not house.connections and not house.server.server_state.tasks)
            client.hang_up()
    assert ends == ["ended", "ended"]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@on_uvloop
async def test_a_conversation_that_never_opens_is_closed_once() -> None:
    conversation = Recorder()
    started = asyncio.Event()

    async def accept(_: Upgrade) -> Refusal | Conversation:
        started.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return conversation
        raise AssertionError

    async with serving(House(accept=accept)) as house:
        client = await Client.connect(house.port)
        await client.write(upgrade())
        await started.wait()
        client.hang_up()
        await until(lambda: conversation.ends)
    assert (conversation.is_open, conversation.ends) == (False, [1006])


@on_uvloop
async def test_a_head_is_bounded_in_bytes_and_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_DEADLINE", 0.1)
    async with serving() as house:
        client = await Client.connect(house.port)
        await client.write(b"GET /ws HTTP/1.1\r\nx: " + b"x" * 40_000)
        assert (await client.response())[0] == 431
        whole = await Client.connect(house.port)
        await whole.write(upgrade("/ws?token=" + "x" * 40_000))
        assert (await whole.response())[0] == 431
        slow = await Client.connect(house.port)
        await slow.write(b"GET /ws HTTP/1.1\r\n")
        await slow.ended()


def test_a_turnstile_lets_so_many_through_a_turn() -> None:
    turns: list[Any] = []
    passed: list[int] = []
    turnstile = Turnstile(turns.append, at_once=5)

    def enter(number: int) -> bool:
        return turnstile.enter(lambda: passed.append(number))

    assert [enter(number) for number in range(12)] == [True] * 5 + [False] * 7
    sizes = [len(passed)]
    while turns:
        turns.pop(0)()
        sizes.append(len(passed))
        if len(sizes) == 3:
            # who comes in a turn that still has room need not wait, and overtakes nobody
            assert enter(12)
    assert sizes == [5, 10, 12, 13]
    assert passed == list(range(13))
    assert enter(13)
    assert passed[-1] == 13


@on_uvloop
async def test_a_storm_of_handshakes_is_served() -> None:
    async with serving() as house:
        clients = [await Client.connect(house.port) for _ in range(120)]
        await asyncio.gather(*(client.write(upgrade()) for client in clients))
        assert {(await client.response())[0] for client in clients} == {101}
        for client in clients:
            client.hang_up()
        await until(lambda: not house.connections)
        assert [conversation.ends for conversation in house.conversations] == [[1006]] * 120


@on_uvloop
async def test_an_open_socket_keeps_nothing_of_its_request() -> None:
    async with serving() as house:
        await house.client("/ws?token=SECRET")
        house.conversations[0].upgrade = None
        gc.collect()
        kept = [each for each in gc.get_objects() if isinstance(each, Upgrade | Arrival | GatewayHttp)]
        assert kept == []


# messages


@on_uvloop
async def test_fragments_are_joined_around_control_frames() -> None:
    async with serving() as house:
        client = await house.client()
        await client.write(frame(TEXT, "gü".encode()[:2], fin=False) + frame(PING, b"p"))
        assert await client.frame() == (PONG, b"p")
        await client.write(frame(CONT, "gü".encode()[2:], fin=False) + frame(PONG) + frame(CONT))
        await client.write(frame(TEXT, b"x" * 16384))
        await until(lambda: len(house.conversations[0].texts) == 2)
        assert house.conversations[0].texts == ["gü".encode(), b"x" * 16384]
        assert house.conversations[0].pongs == 1


NO_MESSAGES: list[tuple[bytes, int]] = [
    (frame(TEXT, b"x" * 16385), 1009),
    (frame(TEXT, b"x" * 1_000_000), 1009),
    (frame(TEXT, b"xyz", claim=2**40), 1009),
    (frame(TEXT, b"x" * 9000, fin=False) + frame(CONT, b"x" * 9000), 1009),
    (frame(TEXT, b"x", fin=False) + frame(CONT, b"x" * 9000, fin=False) * 100, 1009),
    (frame(BINARY, b"x"), 1003),
    (frame(TEXT, b"\xff"), 1007),
    (frame(TEXT, b"\xc3", fin=False) + frame(CONT, b"x"), 1007),
    (frame(TEXT, b"x", rsv=4), 1002),
    (frame(CONT, b"x"), 1002),
    (frame(TEXT, b"x", fin=False) + frame(TEXT, b"x"), 1002),
    (frame(3, b"x"), 1002),
    (b"\x81\x01x", 1002),
    (frame(CLOSE, (1006).to_bytes(2, "big")), 1002),
    (frame(CLOSE, b"\x03\xe8\xff"), 1007),
]


@on_uvloop
async def test_what_is_no_message_closes_with_its_code() -> None:
    async with serving() as house:
        for data, code in NO_MESSAGES:
            client = await house.client()
            sending = asyncio.create_task(client.write(data))
            closing, reason = await client.closing()
            assert (closing, set(json.loads(reason))) == (code, {"code"}), data[:20]
            await asyncio.gather(sending, return_exceptions=True)
            await until(lambda: not house.connections)
            conversation = house.conversations.pop()
            assert (conversation.texts, conversation.ends) == ([], [code])


@on_uvloop
async def test_a_paused_conversation_loses_nothing() -> None:
    class OneByOne(Recorder):
        def text(self, message: bytes) -> None:
            super().text(message)
            self.socket.pause_reading()

    conversation = OneByOne()

    async def accept(_: Upgrade) -> Refusal | Conversation:
        return conversation

    sent = [b"%d" % number * (number % 50 + 1) for number in range(500)]
    async with serving(House(accept=accept)) as house:
        client = await house.client()
        await client.write(b"".join(frame(TEXT, text) for text in sent) + frame(CLOSE, (4321).to_bytes(2, "big")))
        for number in range(500):
            await until(lambda number=number: len(conversation.texts) == number + 1)  # type: ignore[misc]
            assert conversation.ends == []
            conversation.socket.resume_reading()
        await until(lambda: conversation.ends)
        assert (conversation.texts, conversation.ends) == (sent, [4321])
        assert (await client.closing())[0] == 4321


@on_uvloop
async def test_a_failing_conversation_is_closed_as_a_fault_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Recorder):
        def text(self, message: bytes) -> None:
            raise ZeroDivisionError

    async def accept(_: Upgrade) -> Refusal | Conversation:
        return Failing()

    async with serving(House(accept=accept)) as house:
        client = await house.client()
        await client.write(frame(TEXT, b"x"))
        assert await client.closing() == (4200, b'{"code":"internal"}')
    assert "conversation_failed" in caplog.text


def test_a_query_keeps_the_first_of_a_name() -> None:
    assert parsed_query("a=1&b=&a=2") == {"a": "1", "b": ""}
