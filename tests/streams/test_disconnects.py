"""Connections of a session that come and go, a scripted clock, and a real database that decides."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from oddswire.auth.revocations import Revocation, Revocations
from oddswire.errors import Unavailable
from oddswire.store.base import Tx
from oddswire.streams.countdown import Absent, ArmedRow
from oddswire.streams.disconnects import Disconnects
from tests.streams.conftest import APP, Line, World, until

LONG = 3_600_000
ANN = f"ann:s1:{LONG}"
ANN_AGAIN = f"ann:s1:{LONG + 1}"
ANN_ELSEWHERE = f"ann:s2:{LONG}"
BOB = f"bob:s3:{LONG}"
T = TypeVar("T")


async def kept(world: World) -> dict[str, tuple[int, int | None]]:
    rows = await world.store.read(lambda tx: tx.all(ArmedRow, "disconnects.load"))
    return {row.session_id: (row.seconds, row.gone_at) for row in rows}


async def armed(world: World, token: str = ANN, seconds: int | None = 30) -> Line:
    """Connect, and sign in with a frame that arms the session."""
    line = world.connect()
    await authenticated(line, token, cancelOnDisconnect=seconds)
    return line


async def authenticated(line: Line, token: str, **more: Any) -> dict[str, Any]:
    before = line.socket.kinds().count("authenticated")
    line.text(action="authenticate", token=token, **more)
    await until(lambda: line.socket.kinds().count("authenticated") > before)
    return [frame for frame in line.socket.said() if frame["type"] == "authenticated"][-1]


async def pass_time(world: World, ms: int) -> list[str]:
    """Let time pass with everybody alive, and return whose orders have been canceled since the beginning."""
    await world.node.disconnects.keep()
    world.clock.ms += ms
    await world.node.disconnects.keep()
    await world.node.disconnects.cancel_due()
    return [absent.session_id for absent in world.absent]


class Gate:
    """Holds the next unit back from the writer until it is opened, or lets it fail."""

    def __init__(self, world: World) -> None:
        self._write = world.store.write
        self._store = world.store
        self.asked = asyncio.Event()
        self.open = asyncio.Event()
        self.fails = False
        world.store.write = self.write  # type: ignore[method-assign]

    async def write(self, unit: Callable[[Tx], T]) -> T:
        self._store.write = self._write  # type: ignore[method-assign]
        self.asked.set()
        await self.open.wait()
        if self.fails:
            raise Unavailable("store_unavailable", "The disk is full.")
        return await self._write(unit)


async def test_the_wish_is_durable_before_it_is_confirmed(world: World) -> None:
    line = world.connect()
    await authenticated(line, BOB)
    gate = Gate(world)
    line.text(action="authenticate", token=BOB, cancelOnDisconnect=30)
    await gate.asked.wait()
    assert line.socket.kinds() == ["connected", "authenticated"]
    assert await kept(world) == {}
    gate.open.set()
    await until(lambda: len(line.socket.frames) == 3)
    assert line.socket.said()[-1]["cancelOnDisconnect"] == 30
    assert await kept(world) == {"s3": (30, None)}


async def test_a_wish_that_cannot_be_kept_is_not_confirmed(world: World) -> None:
    await world.append()
    line = world.connect()
    gate = Gate(world)
    gate.fails = True
    gate.open.set()
    line.text(action="authenticate", token=ANN, cancelOnDisconnect=30)
    await until(lambda: line.socket.closed)
    assert line.socket.closed == (4200, {"code": "server_error"})
    assert line.socket.kinds() == ["connected"]
    assert await kept(world) == {}


async def test_who_stays_away_has_its_orders_canceled_once(world: World) -> None:
    line = await armed(world)
    assert await pass_time(world, 600_000) == []
    line.connection.closed(1006)
    assert await pass_time(world, 29_999) == []
    assert await pass_time(world, 1) == ["s1"]
    assert await kept(world) == {}
    assert len(world.node.disconnects) == 0
    assert await pass_time(world, 600_000) == ["s1"]


async def test_a_connection_that_never_asked_is_not_written_down(world: World) -> None:
    line = await world.signed_in(ANN)
    units = world.store.units
    line.connection.closed(1006)
    assert "cancelOnDisconnect" not in line.socket.said()[0]
    assert await pass_time(world, 600_000) == []
    again = await world.signed_in(ANN)
    await authenticated(again, ANN_AGAIN)
    assert world.store.units == units


async def test_a_connect_may_ask_for_it(world: World) -> None:
    line = await world.signed_in(ANN, armed=30)
    assert line.socket.said()[0]["cancelOnDisconnect"] == 30
    line.connection.closed(1006)
    assert await pass_time(world, 30_000) == ["s1"]


async def test_a_connect_without_a_token_asks_for_the_first_sign_in(world: World) -> None:
    line = world.connect(armed=30)
    assert line.socket.said() == [{"type": "connected", "appId": APP}]
    assert (await authenticated(line, ANN))["cancelOnDisconnect"] == 30
    assert "cancelOnDisconnect" not in await authenticated(line, BOB)
    assert await kept(world) == {"s1": (30, None)}


async def test_only_the_last_connection_of_a_session_counts(world: World) -> None:
    before = await world.signed_in(ANN)
    first, second = await armed(world), await armed(world)
    for line in (first, second):
        line.connection.closed(1000)
        assert await pass_time(world, 60_000) == []
    before.connection.closed(1000)
    assert await pass_time(world, 30_000) == ["s1"]


async def test_another_session_of_the_user_does_not_stand_in(world: World) -> None:
    line = await armed(world)
    other = await world.signed_in(ANN_ELSEWHERE)
    line.connection.closed(1000)
    assert await pass_time(world, 30_000) == ["s1"]
    assert "cancelOnDisconnect" not in other.socket.said()[0]


@pytest.mark.parametrize("asks", [{}, {"armed": 30}])
async def test_who_comes_back_in_time_stays_armed(world: World, asks: dict[str, int]) -> None:
    (await armed(world)).connection.closed(1006)
    assert await pass_time(world, 29_000) == []
    assert (await kept(world))["s1"][1] is not None
    again = await world.signed_in(ANN, **asks)
    assert again.socket.said()[0]["cancelOnDisconnect"] == 30
    assert await kept(world) == {"s1": (30, None)}
    assert await pass_time(world, 600_000) == []
    again.connection.closed(1006)
    assert await pass_time(world, 30_000) == ["s1"]


async def test_it_can_be_changed_and_given_up_on_the_same_connection(world: World) -> None:
    line = await armed(world)
    assert (await authenticated(line, ANN_AGAIN))["cancelOnDisconnect"] == 30
    assert (await authenticated(line, ANN, cancelOnDisconnect=5))["cancelOnDisconnect"] == 5
    assert await kept(world) == {"s1": (5, None)}
    assert "cancelOnDisconnect" not in await authenticated(line, ANN, cancelOnDisconnect=None)
    assert await kept(world) == {}
    assert (await authenticated(line, ANN, cancelOnDisconnect=7))["cancelOnDisconnect"] == 7
    assert "cancelOnDisconnect" not in await authenticated(line, ANN, cancelOnDisconnect=0)
    line.connection.closed(1006)
    assert await pass_time(world, 600_000) == []


@pytest.mark.parametrize("token", [BOB, ANN_ELSEWHERE])
async def test_a_connection_that_changes_its_session_has_left_the_old_one(world: World, token: str) -> None:
    line = await armed(world)
    assert "cancelOnDisconnect" not in await authenticated(line, token)
    assert await pass_time(world, 30_000) == ["s1"]
    assert not line.socket.ended()


async def test_a_token_that_ends_leaves_its_session_gone(world: World) -> None:
    line = await armed(world, "ann:s1:100000", 5)
    world.pass_time(100_000)
    line.connection.pong()
    assert await pass_time(world, 4_000) == []  # held for its 5 s: still here
    world.pass_time(1_000)
    assert line.socket.closed == (4101, {"code": "token_expired"})
    assert await pass_time(world, 4_999) == []
    assert await pass_time(world, 1) == ["s1"]


async def test_a_session_that_is_signed_out_is_due_at_once(world: World) -> None:
    line = await armed(world)
    world.node.roster.close_sessions(lambda who: who.session_id == "s1")
    world.node.disconnects.gone_for_good(lambda who: who.session_id == "s1")
    assert line.socket.closed == (4001, {"code": "session_revoked"})
    assert await pass_time(world, 0) == ["s1"]


async def test_who_leaves_while_it_is_being_armed_is_gone(world: World) -> None:
    await world.append()
    line = world.connect()
    gate = Gate(world)
    line.text(action="authenticate", token=ANN, cancelOnDisconnect=30)
    await gate.asked.wait()
    line.connection.closed(1006)
    gate.open.set()
    await until(lambda: world.node.disconnects.seconds("s1"))
    assert await pass_time(world, 29_999) == []
    assert await pass_time(world, 1) == ["s1"]


async def test_the_time_runs_out_just_before_the_client_comes_back(world: World) -> None:
    (await armed(world)).connection.closed(1006)
    await world.node.disconnects.keep()
    world.clock.ms += 30_000
    gate = Gate(world)
    back = world.connect(ANN)
    await gate.asked.wait()  # it has been let in, and its unit is behind the one that cancels
    await world.node.disconnects.cancel_due()
    assert [absent.session_id for absent in world.absent] == ["s1"]
    gate.open.set()
    await until(lambda: back.socket.frames)
    assert "cancelOnDisconnect" not in back.socket.said()[0]
    assert (await kept(world), len(world.node.disconnects)) == ({}, 0)


async def test_the_client_comes_back_just_before_the_time_runs_out(world: World) -> None:
    (await armed(world)).connection.closed(1006)
    await world.node.disconnects.keep()
    world.clock.ms += 30_000
    gate = Gate(world)
    firing = asyncio.create_task(world.node.disconnects.cancel_due())
    await gate.asked.wait()  # it is due and being carried out, but its unit is behind the one of the return
    back = await world.signed_in(ANN)
    gate.open.set()
    await firing
    assert world.absent == []
    assert back.socket.said()[0]["cancelOnDisconnect"] == 30
    assert await kept(world) == {"s1": (30, None)}
    back.connection.closed(1006)
    assert await pass_time(world, 30_000) == ["s1"]


async def test_arming_anew_while_the_old_wish_is_carried_out(world: World) -> None:
    (await armed(world)).connection.closed(1006)
    await world.node.disconnects.keep()
    world.clock.ms += 30_000
    firing = asyncio.create_task(world.node.disconnects.cancel_due())
    back = world.connect(ANN, armed=9)
    await firing
    await until(lambda: back.socket.frames)
    assert back.socket.said()[0]["cancelOnDisconnect"] == 9
    assert await kept(world) == {"s1": (9, None)}
    assert world.node.disconnects.seconds("s1") == 9


async def test_a_full_store_postpones_it(world: World) -> None:
    (await armed(world)).connection.closed(1006)
    gate = Gate(world)
    gate.fails = True
    gate.open.set()
    with pytest.raises(Unavailable):
        await world.node.disconnects.keep()
    await world.node.disconnects.keep()
    world.clock.ms += 30_000
    gate = Gate(world)
    gate.fails = True
    gate.open.set()
    with pytest.raises(Unavailable):
        await world.node.disconnects.cancel_due()
    assert world.absent == []
    assert await pass_time(world, 0) == ["s1"]


async def test_a_restart_forgets_nobody(world: World) -> None:
    gone, here = await armed(world), await armed(world, BOB, 30)
    gone.connection.closed(1006)
    await world.node.disconnects.keep()
    world.clock.ms += 5_000
    assert not here.socket.ended()
    # killed here, and started 15 s later

    async def cancel(absent: Absent) -> int | None:
        world.absent.append(absent)
        return 3

    world.clock.ms += 15_000
    after = Disconnects(world.store, world.clock, cancel)
    await after.load()
    assert len(after) == 2
    await after.keep()
    assert {session: since is not None for session, (_, since) in (await kept(world)).items()} == {
        "s1": True,
        "s3": True,
    }
    due: list[tuple[int, list[str]]] = []
    for _ in range(4):
        world.clock.ms += 9_999
        await after.cancel_due()
        world.clock.ms += 1
        await after.cancel_due()
        due.append((after.canceled, [absent.session_id for absent in world.absent]))
    assert due == [(3, ["s1"]), (3, ["s1"]), (6, ["s1", "s3"]), (6, ["s1", "s3"])]


async def test_a_provider_s_session_that_came_back_after_its_sign_out_is_not_gone_for_good(world: World) -> None:
    """Tokens without a session share one; those after its sign-out are good, also when somebody else is revoked."""
    theirs = f"ann:sub_1:{LONG}"
    revocations = Revocations()
    first = await armed(world, theirs)
    at = world.clock.now()
    revocations.take([Revocation(1, "session", APP, "sub_1", at, at + LONG)], at)
    world.node.disconnects.gone_for_good(revocations.is_revoked)
    first.connection.closed(4001)
    assert await pass_time(world, 1) == ["sub_1"]
    back = await armed(world, theirs)
    revocations.take([Revocation(2, "user", APP, "bob", at, at + LONG)], at)
    world.node.disconnects.gone_for_good(revocations.is_revoked)
    assert await pass_time(world, 60_000) == ["sub_1"]
    newer = await authenticated(back, theirs)
    assert newer["cancelOnDisconnect"] == 30

    # killed here, and started again
    after = Disconnects(world.store, world.clock, world.node.disconnects._cancel)
    await after.load()
    after.gone_for_good(revocations.is_revoked)
    await after.keep()
    await after.cancel_due()
    assert [absent.session_id for absent in world.absent] == ["sub_1"]
    at = world.clock.now()
    revocations.take([Revocation(3, "session", APP, "sub_1", at, at + LONG)], at)
    after.gone_for_good(revocations.is_revoked)
    await after.keep()
    await after.cancel_due()
    assert [absent.session_id for absent in world.absent] == ["sub_1", "sub_1"]


async def test_it_goes_on_in_the_background_whatever_fails(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oddswire.streams.disconnects.AGAIN_SECONDS", 0.0)
    monkeypatch.setattr("oddswire.streams.disconnects.LOOK_SECONDS", 0.0)
    faults: list[Exception] = [Unavailable("store_unavailable", "full"), RuntimeError("odd")]

    async def cancel(absent: Absent) -> int | None:
        if faults:
            raise faults.pop(0)
        world.absent.append(absent)
        return 0

    (await armed(world)).connection.closed(1006)
    await world.node.disconnects.keep()
    disconnects = Disconnects(world.store, world.clock, cancel)
    await disconnects.load()
    world.clock.ms += 60_000
    running = asyncio.create_task(disconnects.run())
    await until(lambda: world.absent)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert faults == []
