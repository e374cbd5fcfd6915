import gc
import weakref

import pytest

from oddswire.streams.connection import RefusedConnection
from tests.streams.conftest import APP, FakeSocket, SlowHead, World, until

LONG = 3_600_000
ANN = f"ann:s1:{LONG}"
BOB = f"bob:s2:{LONG}"


async def test_the_first_frame_tells_where_the_stream_stands(world: World) -> None:
    await world.append(count=3)
    line = await world.signed_in(ANN)
    (said,) = line.socket.said()
    assert said.pop("epoch")
    assert said == {"type": "connected", "appId": APP, "userId": "ann", "seq": 3, "head": 3}
    await world.append(count=2)
    await world.append("bob", 1)
    assert line.socket.seqs() == [4, 5]


async def test_a_user_never_seen_has_a_stream_of_its_own(world: World) -> None:
    line = await world.signed_in(ANN)
    assert line.socket.said()[0]["seq"] == 0
    await world.append()
    assert line.socket.seqs() == [1]


async def test_without_a_token_and_then_signed_in(world: World) -> None:
    epoch = await world.epoch()
    await world.append(count=4)
    line = world.connect(since=2, epoch=epoch)
    assert line.socket.said() == [{"type": "connected", "appId": APP}]
    line.text(action="authenticate", token=ANN)
    await until(lambda: line.socket.seqs() == [3, 4])
    assert line.socket.said()[1] == {
        "type": "authenticated",
        "userId": "ann",
        "seq": 2,
        "head": 4,
        "epoch": epoch,
        "resumed": True,
    }


@pytest.mark.parametrize(
    ("token", "close"), [("token_invalid", 4101), ("token_expired", 4101), ("session_revoked", 4001)]
)
async def test_a_bad_token_at_connect(world: World, token: str, close: int) -> None:
    line = world.connect(token)
    await until(lambda: line.socket.closed)
    assert [frame["code"] for frame in line.socket.said()] == [token]
    assert line.socket.closed == (close, {"code": token})


async def test_who_waits_for_somebody_else_holds_a_seat_of_the_address(world: World) -> None:
    signed_in = await world.signed_in(ANN)
    signed_in.text(action="authenticate", token="late:")
    waiting = [world.connect("late:") for _ in range(3)]
    await until(lambda: waiting[2].socket.closed)
    assert waiting[2].socket.said()[0]["code"] == "too_many_connections"
    assert waiting[2].socket.closed == (4203, {"code": "too_many_connections"})
    assert [line.socket.closed for line in (*waiting[:2], signed_in)] == [None] * 3
    assert world.connect().socket.closed is not None
    for _ in range(2):  # whose token waits for nobody needs none
        await world.signed_in(ANN)
    waiting[0].connection.closed(1000)
    assert world.connect().socket.closed is None


async def test_a_bad_token_later_leaves_the_stream_alone(world: World) -> None:
    line = await world.signed_in(ANN)
    line.text(action="authenticate", token="token_expired")
    line.text(action="ping", id=1)
    assert line.socket.paused
    await until(lambda: "pong" in line.socket.kinds())
    assert line.socket.kinds() == ["connected", "error", "pong"]
    assert line.socket.listens()
    await world.append()
    assert line.socket.seqs() == [1]


async def test_nothing_is_written_after_expiry_until_a_new_token_is_taken(world: World) -> None:
    line = await world.signed_in("ann:s1:100000")
    world.pass_time(40_000)
    assert line.socket.kinds() == ["connected", "token_expiring", "heartbeat"]
    world.clock.ms += 60_000  # the token ends, and nobody has been woken yet
    await world.append(count=2)
    assert line.socket.seqs() == []
    line.connection.pong()
    world.pass_time(4_000)
    line.text(action="authenticate", token=f"ann:s9:{LONG}")
    await until(lambda: line.socket.seqs() == [1, 2])
    (taken,) = [frame for frame in line.socket.said() if frame["type"] == "authenticated"]
    assert (taken["seq"], taken["head"]) == (0, 2)
    assert "resumed" not in taken
    assert line.connection.identity is not None
    assert line.connection.identity.session_id == "s9"
    await world.append()
    assert line.socket.seqs() == [1, 2, 3]


async def test_a_page_read_before_expiry_is_not_written_after_it(world: World) -> None:
    line = await world.signed_in("ann:s1:100000")
    line.socket.stuck = True
    await world.append(count=1)
    await world.append(count=5)
    line.drain()  # wants a page, which arrives when the token has ended
    world.clock.ms += 100_000
    assert world.node.hub._readers
    await until(lambda: not world.node.hub._readers)
    assert line.socket.seqs() == [1]
    line.text(action="authenticate", token=ANN)
    await until(lambda: line.socket.seqs() == [1, 2, 3, 4, 5, 6])


async def test_five_seconds_after_expiry_the_connection_ends(world: World) -> None:
    line = await world.signed_in("ann:s1:10000")
    world.pass_time(14_999)
    assert not line.socket.ended()
    world.pass_time(1)
    assert line.socket.closed == (4101, {"code": "token_expired"})
    await world.append()
    assert line.socket.seqs() == []


async def test_another_user_begins_where_the_first_has_stopped(world: World) -> None:
    line = await world.signed_in(ANN)
    await world.append("ann")
    await world.append("bob", 2)
    line.text(action="authenticate", token=BOB)
    await world.append("ann")
    await until(lambda: "authenticated" in line.socket.kinds())
    said = line.socket.said()
    taken = line.socket.kinds().index("authenticated")
    assert said[taken]["userId"] == "bob"
    assert said[taken]["seq"] == 2
    await world.append("ann")
    await world.append("bob")
    assert [frame["seq"] for frame in line.socket.said()[taken + 1 :]] == [3]


@pytest.mark.parametrize(
    ("since", "right_epoch", "reason"), [(9, True, "ahead"), (1, False, "epoch_changed"), (5, False, "epoch_changed")]
)
async def test_a_cursor_that_cannot_be_honoured(world: World, since: int, right_epoch: bool, reason: str) -> None:
    await world.append(count=5)
    epoch = await world.epoch() if right_epoch else await world.epoch("bob")
    line = await world.signed_in(ANN, since=since, epoch=epoch)
    said = line.socket.said()[0]
    assert (said["resumed"], said["reason"], said["seq"], said["head"]) == (False, reason, 5, 5)


async def test_a_slow_reader_holds_no_pages_and_loses_nothing(world: World) -> None:
    line = await world.signed_in(ANN)
    line.socket.stuck = True
    for _ in range(6):
        await world.append(count=100)
    assert len(line.socket.seqs()) == 100  # the one ring that found it level
    assert line.connection._feed is not None
    line.drain()
    await until(lambda: line.socket.seqs() == list(range(1, 601)))
    await world.append()
    assert line.socket.seqs()[-1] == 601


async def test_a_reader_without_progress_is_closed(world: World) -> None:
    line = await world.signed_in(ANN)
    line.socket.stuck = True
    await world.append()
    for _ in range(29):
        world.pass_time(1_000)
    assert not line.socket.ended()
    assert line.socket.pings == 0
    world.pass_time(1_000)
    world.pass_time(1_000)
    assert line.socket.closed == (4301, {"code": "slow_reader"})


async def test_heartbeats_and_the_silent_client(world: World) -> None:
    await world.append(count=2)
    line = await world.signed_in(ANN)
    await world.append()
    world.pass_time(20_000)
    assert line.socket.said()[-1] == {"type": "heartbeat", "ts": world.clock.ms, "seq": 3}
    assert line.socket.pings == 1
    line.connection.pong()
    world.pass_time(20_000)
    world.pass_time(10_000)
    assert line.socket.closed == (4201, {"code": "no_sign_of_life"})


async def test_a_flood_of_pings_that_nobody_reads_is_not_listened_to(world: World) -> None:
    line = world.connect()
    line.socket.stuck = True
    line.socket.queued = 70_000
    line.text(action="ping")
    assert line.socket.paused
    line.drain()
    assert line.socket.listens()


async def test_too_many_connections_of_a_user_refuse_the_newest(world: World) -> None:
    lines = [await world.signed_in(ANN) for _ in range(3)]
    late = world.connect(ANN)
    await until(lambda: late.socket.closed)
    assert late.socket.said()[0]["code"] == "too_many_connections"
    assert late.socket.closed == (4203, {"code": "too_many_connections"})
    lines[0].connection.closed(1000)
    await world.signed_in(ANN)


async def test_too_many_connections_without_a_user(world: World) -> None:
    first, second = (world.connect(address=f"2001:db8::{number}") for number in (1, 2))
    third = world.connect(address="2001:db8::3")
    assert third.socket.closed == (4203, {"code": "too_many_connections"})
    assert world.connect(address="2001:db8:0:1::1").socket.closed is None
    first.text(action="authenticate", token=ANN)
    await until(lambda: "authenticated" in first.socket.kinds())
    assert world.connect(address="2001:db8::4").socket.closed is None
    assert second.socket.closed is None


async def test_a_revoked_session_is_closed_also_while_it_joins(world: World) -> None:
    here, there = await world.signed_in(ANN), await world.signed_in("ann:s5:100000")
    slow = SlowHead(world.store)
    joining = world.connect(ANN)
    await until(lambda: slow.reads == 2)
    world.node.roster.close_sessions(lambda identity: identity.session_id == "s1")
    assert here.socket.closed == (4001, {"code": "session_revoked"})
    assert joining.socket.closed == (4001, {"code": "session_revoked"})
    await world.append()
    assert there.socket.seqs() == [1]
    assert here.socket.seqs() == joining.socket.seqs() == []
    slow.go_on.set()
    there.connection.closed(1000)
    await until(lambda: len(world.node.hub) == 0)


async def test_a_connection_gone_before_it_was_opened(world: World) -> None:
    line = await world.signed_in(ANN)
    line.connection.closed(1006)
    gone = world.connect(ANN)
    gone.connection.closed(1006)
    await until(lambda: len(world.node.roster) == 0)
    await world.append()
    assert line.socket.seqs() == gone.socket.seqs() == []


async def test_a_store_that_fails_closes_with_4200(world: World) -> None:
    line = world.connect()
    await world.store.close()
    line.text(action="authenticate", token=ANN)
    await until(lambda: line.socket.closed)
    assert line.socket.closed == (4200, {"code": "server_error"})


async def test_who_may_not_connect_reads_why() -> None:
    socket = FakeSocket()
    RefusedConnection("origin_not_allowed", "no", 4005).opened(socket)
    assert socket.said()[0]["code"] == "origin_not_allowed"
    assert socket.closed == (4005, {"code": "origin_not_allowed"})


async def test_what_a_closed_connection_held_is_freed_without_the_garbage_collector(world: World) -> None:
    gc.disable()
    try:
        line = await world.signed_in(ANN)
        socket = weakref.ref(line.socket)
        line.connection.closed(1000)
        await until(lambda: line.connection._task is None)
        del line.socket
        assert socket() is None
    finally:
        gc.enable()
