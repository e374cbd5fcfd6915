"""Sending: readers that stop, ends of all kinds, going down; the address, and what logs may hold."""

import asyncio
import json
import socket
from typing import Any

import pytest

from oddswire.server import picows_protocol
from oddswire.server.websocket import listening_socket
from tests.server.sockets import (
    CLOSE,
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

SMALL = 4096
"""A receive buffer small enough that a reader which stops is noticed soon."""


async def stalled(house: House) -> tuple[Client, Recorder]:
    """Connect a client that does not read, and send to it until bytes stay queued with us."""
    client = await Client.connect(house.port, receive_buffer=SMALL)
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await client.write(upgrade())
    await until(lambda: house.conversations and house.conversations[-1].is_open)
    return client, house.conversations[-1]


async def read_again(client: Client) -> None:
    client.writer.transport.resume_reading()  # type: ignore[attr-defined]
    assert (await client.response())[0] == 101


@pytest.mark.parametrize("page", [1, 200])
@on_uvloop
async def test_a_stalled_reader_costs_one_send_and_then_gets_everything_in_order(page: int) -> None:
    async with serving() as house:
        client, conversation = await stalled(house)
        sent = 0
        level = True
        while level:
            frames = [b'{"seq":%d,"pad":"%s"}' % (sent + n, b"x" * 300) for n in range(page)]
            level = conversation.socket.send(frames[0]) if page == 1 else conversation.socket.send_many(frames)
            sent += page
        assert 0 < conversation.socket.queued <= page * 340
        assert sent * 310 < 400_000
        progress = conversation.socket.sent_bytes
        other = await house.client()
        await other.write(frame(PING))
        assert (await other.frame())[0] == PONG, "the server has gone on meanwhile"
        assert (conversation.socket.sent_bytes, conversation.drains) == (progress, 0)
        await read_again(client)
        for number in range(sent):
            assert json.loads((await client.frame())[1])["seq"] == number
        await until(lambda: conversation.drains == 1)
        assert conversation.socket.queued == 0
        assert conversation.socket.sent_bytes > progress
        assert conversation.socket.send(b"level again")


@on_uvloop
async def test_long_frames_stay_whole_while_others_follow() -> None:
    sizes = [9_000, 5, 16_384, 126, 70_000, 8_192, 1, 8_193, 65_536]
    async with serving() as house:
        client, conversation = await stalled(house)
        frames = [b"%d" % (number % 10) * size for number, size in enumerate(sizes * 6)]
        for text in frames:
            conversation.socket.send(text)
        conversation.socket.send_many(frames)
        await read_again(client)
        for text in frames * 2:
            assert await client.frame() == (TEXT, text)


@on_uvloop
async def test_pings_of_a_stalled_reader_do_not_pile_up() -> None:
    async with serving() as house:
        client, conversation = await stalled(house)
        while conversation.socket.send(b"x" * 1000):
            pass
        queued = conversation.socket.queued
        await client.write(b"".join(frame(PING, b"%d" % number) for number in range(2000)) + frame(TEXT, b"done"))
        await until(lambda: conversation.texts)
        assert conversation.socket.queued == queued
        await read_again(client)
        kind, payload = await client.frame()
        while kind == TEXT:
            kind, payload = await client.frame()
        assert (kind, payload) == (PONG, b"1999")


@on_uvloop
async def test_our_ping_is_answered_by_pong() -> None:
    async with serving() as house:
        client = await house.client()
        house.conversations[0].socket.ping()
        assert await client.frame() == (PING, b"")
        await client.write(frame(PONG))
        await until(lambda: house.conversations[0].pongs)


@pytest.mark.parametrize(("payload", "code"), [(b"", 1005), (b"\x03\xe8bye", 1000), (b"\x0f\xa1", 4001)])
@on_uvloop
async def test_a_close_of_the_peer_is_told_and_echoed(payload: bytes, code: int) -> None:
    async with serving() as house:
        client = await house.client()
        await client.write(frame(CLOSE, payload))
        assert await client.frame() == (CLOSE, payload[:2])
        await client.ended()
        await until(lambda: not house.connections)
        assert house.conversations[0].ends == [code]
        assert not house.conversations[0].socket.send(b"too late")
        house.conversations[0].socket.close(1000, b"")


@on_uvloop
async def test_a_connection_that_just_ends_is_1006() -> None:
    async with serving() as house:
        (await house.client()).hang_up()
        await until(lambda: house.conversations[0].ends)
        client = await house.client()
        client.writer.write_eof()
        await client.ended()
        await until(lambda: not house.connections)
        assert [conversation.ends for conversation in house.conversations] == [[1006], [1006]]


@on_uvloop
async def test_our_close_waits_for_the_peers_and_tells_nothing_more() -> None:
    reason = b'{"code":"draining","retryAfterMs":1840}'
    async with serving() as house:
        client = await house.client()
        conversation = house.conversations[0]
        conversation.socket.pause_reading()
        conversation.socket.close(4300, reason)
        conversation.socket.close(4001, b"")
        assert not conversation.socket.send(b"x")
        assert conversation.ends == []
        assert await client.frame() == (CLOSE, (4300).to_bytes(2, "big") + reason)
        await client.write(frame(TEXT, b"late") + frame(CLOSE, (4300).to_bytes(2, "big")))
        await client.ended()
        await until(lambda: not house.connections)
        assert (conversation.texts, conversation.ends) == ([], [4300])


@pytest.mark.parametrize("reads", [True, False])
@on_uvloop
async def test_our_close_ends_whatever_the_peer_does(monkeypatch: pytest.MonkeyPatch, reads: bool) -> None:
    monkeypatch.setattr(picows_protocol, "CLOSE_DEADLINE", 0.1)
    async with serving() as house:
        if reads:
            await house.client()
            conversation = house.conversations[0]
        else:
            _, conversation = await stalled(house)
            while conversation.socket.send(b"x" * 1000):
                pass
        conversation.socket.close(4301, b"{}")
        await until(lambda: conversation.ends)
        assert conversation.ends == [4301]
        await until(lambda: not house.connections)


@on_uvloop
async def test_a_half_closed_reader_that_stalls_ends_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picows_protocol, "CLOSE_DEADLINE", 0.1)
    async with serving() as house:
        client, conversation = await stalled(house)
        while conversation.socket.send(b"x" * 1000):
            pass
        client.writer.write_eof()
        await until(lambda: conversation.ends)
        assert conversation.ends == [1006]


@on_uvloop
async def test_going_down_only_starts_the_drain() -> None:
    house = House(echo=True)
    async with serving(house):
        clients = [await house.client() for _ in range(3)]
        house.server.should_exit = True
        await until(lambda: house.shutdowns)
        await clients[0].write(frame(TEXT, b"still here"))
        assert await clients[0].frame() == (TEXT, b"still here")
        for conversation in house.conversations:
            conversation.socket.close(4300, b"{}")
        for client in clients:
            assert (await client.closing())[0] == 4300
        await until(lambda: not house.connections)
    assert house.shutdowns == 1


@on_uvloop
async def test_going_down_refuses_who_is_at_the_door() -> None:
    async def accept(_: Any) -> Any:
        await asyncio.sleep(60)

    async with serving(House(accept=accept)) as house:
        client = await Client.connect(house.port)
        await client.write(upgrade())
        await until(lambda: house.server.server_state.tasks)
        house.server.should_exit = True
        status, _, body = await client.response()
        assert (status, body["code"]) == (503, "draining")
        await client.ended()


# the address


def test_a_used_port_is_said_clearly() -> None:
    with listening_socket("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1 port {port}"):
            listening_socket("127.0.0.1", port)
    with pytest.raises(OSError, match=r"cannot listen on nowhere\.invalid"):
        listening_socket("nowhere.invalid", 0)


@on_uvloop
async def test_every_socket_has_a_small_send_buffer_and_no_delay() -> None:
    async with serving() as house:
        await house.client()
        (wire,) = house.connections
        sock = wire.transport.underlying_transport.get_extra_info("socket")
        # Linux doubles what was asked for, to cover its own bookkeeping
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 64 * 1024
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


# what nobody may read in a log


@on_uvloop
async def test_no_log_record_holds_a_token(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(1, logger=""):
        async with serving(House(echo=True)) as house:
            for head in (
                upgrade("/ws?token=SECRET"),
                upgrade("/ws?token=SECRET") + frame(TEXT, b"SECRET"),
                upgrade("/ws?token=SECRET", Sec_WebSocket_Key="SECRET"),
                upgrade("/ws?token=SECRET", Sec_WebSocket_Version="SECRET"),
                upgrade("/SECRET?token=SECRET"),
                upgrade("/ws?token=SECRET", method="POST", Authorization="Bearer SECRET"),
                b"GET /?token=SECRET HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer SECRET\r\n\r\n",
                b"GET SECRET\r\n\r\n",
            ):
                client = await Client.connect(house.port)
                await client.write(head)
                status, headers, body = await client.response()
                assert "SECRET" not in repr((headers, body))
                if status == 101:
                    await client.write(frame(TEXT, b"SECRET") + frame(9, b"SECRET") + frame(3, b"SECRET"))
                    await client.closing()
                client.hang_up()
    assert caplog.records
    assert not [record for record in caplog.records if "SECRET" in record.getMessage() + repr(record.__dict__)]
    assert not [record for record in caplog.records if record.name.startswith("picows")]
    assert picows_protocol.log.name == "oddswire.server.picows_protocol"
