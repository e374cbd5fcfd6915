import asyncio
import random
from collections.abc import Sequence

from oddswire.store.base import Bell, Ring, Tx
from oddswire.streams import log
from oddswire.streams.hub import HEADS_A_STATEMENT, Head, read_heads, read_page
from oddswire.streams.retention import trim
from tests.streams.conftest import APP, SlowHead, World, append, until

ANN = "ann:s1:3600000"


async def test_every_screen_of_a_user_is_sent_the_same_bytes(world: World) -> None:
    one, two = await world.signed_in(ANN), await world.signed_in(ANN)
    await world.append()
    assert one.socket.frames[-1] is two.socket.frames[-1]


async def test_resume_joins_without_hole_or_repeat_while_events_are_appended(world: World) -> None:
    epoch = await world.epoch()
    chance = random.Random(7)

    async def appends() -> None:
        for _ in range(150):
            await world.append(count=chance.choice([1, 2, 40]), size=chance.choice([1, 900]))

    writing = asyncio.create_task(appends())
    seen = dict.fromkeys(range(3), 0)
    while not writing.done():
        lines = [await world.signed_in(ANN, since=seen[number], epoch=epoch) for number in seen]
        await asyncio.sleep(chance.random() * 0.01)
        for number, line in enumerate(lines):
            line.connection.closed(1006)
            seqs = line.socket.seqs()
            assert seqs == list(range(seen[number] + 1, seen[number] + 1 + len(seqs)))
            seen[number] += len(seqs)
    await writing
    last = await world.signed_in(ANN, since=seen[0], epoch=epoch)
    head = last.socket.said()[0]["head"]
    await until(lambda: last.socket.seqs() == list(range(seen[0] + 1, head + 1)))
    assert head > 150


async def test_lost_doubled_and_swapped_rings_lose_nothing(world: World) -> None:
    chance = random.Random(3)
    line = await world.signed_in(ANN)
    ring, late = world.node.hub.ring, list[Bell]()

    def rings(bells: Sequence[Bell]) -> None:
        late.extend(bell for bell in bells if chance.random() < 0.8)
        late.extend(bell for bell in bells if chance.random() < 0.2)
        chance.shuffle(late)
        while late and chance.random() < 0.7:
            ring([late.pop()])

    world.store._bell_listeners[:] = [rings]
    for _ in range(200):
        await world.append(count=chance.choice([1, 3]))
    await world.node.hub.poll()
    await until(lambda: line.socket.seqs() and line.socket.seqs()[-1] == line.connection._feed.delivery.known_head)  # type: ignore[union-attr]
    assert line.socket.seqs() == list(range(1, line.socket.seqs()[-1] + 1))
    assert len(line.socket.seqs()) >= 200


async def test_the_poll_finds_what_no_ring_told(world: World) -> None:
    lines = [await world.signed_in(f"u{number}:s:3600000") for number in range(HEADS_A_STATEMENT + 6)]
    world.store._bell_listeners.clear()
    for number in range(len(lines)):
        await world.append(f"u{number}", 2)
    assert all(line.socket.seqs() == [] for line in lines)
    await world.node.hub.poll()
    await until(lambda: all(line.socket.seqs() == [1, 2] for line in lines))


async def test_a_foreign_write_is_polled_for_at_once(world: World) -> None:
    line = await world.signed_in(ANN)
    world.store._bell_listeners.clear()
    await world.append()
    for listener in world.store._foreign_listeners:
        listener()
    await until(lambda: line.socket.seqs() == [1])


async def test_a_big_commit_rings_without_bytes_and_comes_in_pages(world: World) -> None:
    line = await world.signed_in(ANN)
    await world.append(count=700, size=200)
    await until(lambda: line.socket.seqs() == list(range(1, 701)))


async def test_history_that_expires_while_catching_up_closes(world: World) -> None:
    line = await world.signed_in(ANN)
    line.socket.stuck = True
    await world.append(count=10)
    await world.append(count=10)

    def forget(tx: Tx) -> None:
        stream = log.find(tx, APP, "ann")
        assert stream is not None
        tx.run("streams.raise_tail", stream.stream_id, 15)
        tx.run("streams.delete_events", stream.stream_id, 15)

    await world.store.write(forget)
    line.drain()
    await until(lambda: line.socket.closed)
    assert line.socket.closed == (4302, {"code": "history_expired"})
    assert line.socket.seqs() == list(range(1, 11))


async def test_an_event_between_the_read_of_the_head_and_its_arrival_is_not_lost(world: World) -> None:
    await world.append()
    slow = SlowHead(world.store)
    line = world.connect(ANN)
    await until(lambda: slow.reads == 2)
    await world.append()
    slow.go_on.set()
    await until(lambda: line.socket.seqs() == [2])
    said = line.socket.said()[0]
    assert (said["type"], said["seq"], said["head"]) == ("connected", 1, 1)


async def test_the_bytes_of_another_history_are_not_sent(world: World) -> None:
    line = await world.signed_in(ANN)
    stream = await world.store.read(lambda tx: found.stream_id if (found := log.find(tx, APP, "ann")) else 0)
    world.node.hub.ring([Ring(stream, "another", 1, 1, (b'{"seq":1,"type":"forged"}',))])
    await world.append()
    await until(lambda: line.socket.seqs() == [1])
    assert line.socket.kinds() == ["connected", "balance_update"]


async def test_a_ring_of_nobody_is_nothing(world: World) -> None:
    world.node.hub.ring([Ring(1, "e", 1, 1, (b"{}",))])
    assert len(world.node.roster) == 0


async def test_pages_and_heads(world: World) -> None:
    def unit(tx: Tx) -> list[int]:
        for number in range(100):
            append(tx, "h", APP, f"u{number}", number % 3, 1, 1)
        return [found.stream_id for number in range(100) if (found := log.find(tx, APP, f"u{number}"))]

    streams = await world.store.write(unit)
    heads = await world.store.read(lambda tx: read_heads(tx, [*streams, 12345]))
    assert sorted(heads) == sorted(Head(stream, number % 3) for number, stream in enumerate(streams))
    assert await world.store.read(lambda tx: read_page(tx, streams[2], 2)) == log.Page(3, ())
    assert (await world.store.read(lambda tx: read_page(tx, streams[2], 0))).last == 2
    await world.store.write(lambda tx: trim(tx, streams[2], 2, 0))
    assert await world.store.read(lambda tx: read_page(tx, streams[2], 0)) == log.Page(3, ())
