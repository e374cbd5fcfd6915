from oddswire.store.base import Tx
from oddswire.streams import log
from oddswire.streams.retention import EVENTS_A_UNIT, Keep, Sweeper, trim
from tests.streams.conftest import APP, World


async def span(world: World, user: str) -> tuple[int, int, list[int]]:
    def unit(tx: Tx) -> tuple[int, int, list[int]]:
        stream = log.find(tx, APP, user)
        assert stream is not None
        page = log.page(tx, stream.stream_id, 0, 10_000, 10_000_000)
        return stream.tail, stream.head, list(range(page.first, page.last + 1))

    return await world.store.read(unit)


async def test_the_young_and_the_newest_stay(world: World) -> None:
    await world.append("ann", 1_200)
    await world.append("bob", 5)
    world.clock.ms += 1_000
    await world.append("ann", 30)
    await world.append("eve", 20)
    sweeper = Sweeper(world.store, world.clock, Keep(age_ms=500, events=10))
    assert await sweeper.sweep() == 1_200
    assert await span(world, "ann") == (1_201, 1_230, list(range(1_201, 1_231)))
    assert await span(world, "bob") == (1, 5, [1, 2, 3, 4, 5])
    assert (await span(world, "eve"))[0] == 1
    world.clock.ms += 1_000
    assert await sweeper.sweep() == 30
    assert await span(world, "ann") == (1_221, 1_230, list(range(1_221, 1_231)))
    assert (await span(world, "eve"))[0] == 11
    assert await sweeper.sweep() == 0


async def test_units_are_small_and_leave_no_hole(world: World) -> None:
    await world.append("ann", EVENTS_A_UNIT + 100)

    def unit(tx: Tx) -> int:
        stream = log.find(tx, APP, "ann")
        assert stream is not None
        return trim(tx, stream.stream_id, world.clock.now() + 1, 50)

    assert await world.store.write(unit) == EVENTS_A_UNIT
    assert (await span(world, "ann"))[0] == EVENTS_A_UNIT + 1
    assert await world.store.write(unit) == 50
    assert await world.store.write(unit) == 0


async def test_a_cursor_before_the_tail_has_expired(world: World) -> None:
    await world.append("ann", 20)
    epoch = await world.epoch()
    await Sweeper(world.store, world.clock, Keep(age_ms=-1, events=5)).sweep()
    token = "ann:s1:3600000"
    late = await world.signed_in(token, since=14, epoch=epoch)
    assert (late.socket.said()[0]["resumed"], late.socket.said()[0]["reason"]) == (False, "expired")
    just = await world.signed_in(token, since=15, epoch=epoch)
    assert just.socket.said()[0]["resumed"] is True


async def test_nothing_kept_is_an_empty_stream_that_goes_on(world: World) -> None:
    await world.append("ann", 3)
    await Sweeper(world.store, world.clock, Keep(age_ms=-1, events=0)).sweep()
    assert (await span(world, "ann"))[:2] == (4, 3)
    line = await world.signed_in("ann:s1:3600000")
    await world.append("ann")
    assert line.socket.seqs() == [4]
