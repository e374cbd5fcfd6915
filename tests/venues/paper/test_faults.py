"""The venue says late, never, twice or out of order what it has done; what it has done is right."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from oddswire.errors import OperatorError
from oddswire.store.sqlite import SqliteStore
from oddswire.venues.base import Account, NoAnswer, VenueRejected, Wake
from oddswire.venues.paper import SCHEMA
from oddswire.venues.paper.faults import MOST_DELAY, Fault, FaultName, clear_faults, set_fault, standing_faults
from tests.venues.paper.conftest import ONE, Pit

ANN = Account("app", "ann")


async def stands(pit: Pit, name: FaultName, times: int | None = None, delay: int = 0) -> None:
    await set_fault(pit.store, Fault(name, times, delay))
    await pit.venue.faults.refresh()


async def test_a_lost_answer_is_of_an_order_that_is_there(pit: Pit) -> None:
    await stands(pit, "no-answer-place", times=2)
    for ref in ("one", "two"):
        with pytest.raises(NoAnswer):
            await pit.place("ann", "buy", "yes", 0.5, 1, ref=ref)
        assert [report.state for report in (await pit.venue.find(ANN, ref)).orders] == ["open"]
    await pit.place("ann", "buy", "yes", 0.5, 1)
    assert await standing_faults(pit.store) == []


async def test_a_refusal_may_be_lost_as_well(pit: Pit) -> None:
    await stands(pit, "no-answer-place", times=1)
    with pytest.raises(NoAnswer):
        await pit.place("ann", "buy", "yes", 0.5, 1, ref="late", deadline=1)
    assert (await pit.venue.find(ANN, "late")).orders == ()


async def test_a_cancel_whose_answer_is_lost_is_done(pit: Pit) -> None:
    placed = await pit.place("ann", "buy", "yes", 0.5, 1, ref="one")
    await stands(pit, "no-answer-cancel")
    with pytest.raises(NoAnswer):
        await pit.venue.cancel(ANN, placed.orders[0].venue_order_id)
    assert [report.state for report in (await pit.venue.find(ANN, "one")).orders] == ["canceled"]


async def test_late_answers_come_late_and_the_deed_does_not(pit: Pit) -> None:
    await stands(pit, "delay", delay=MOST_DELAY)
    placing = asyncio.create_task(pit.place("ann", "buy", "yes", 0.5, 1))
    async with asyncio.timeout(5):
        while (await pit.venue.market("app", "rain")).outcomes[0].best_bid is None:  # type: ignore[union-attr]
            await asyncio.sleep(0.001)
    assert not placing.done()
    placing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await placing
    await stands(pit, "delay", times=1, delay=30)
    begun = pit.clock.monotonic()
    with pytest.raises(VenueRejected):
        await pit.place("ann", "buy", "yes", 0.5, 1, deadline=1)
    assert pit.clock.monotonic() - begun >= 0.03


async def test_everything_is_said_twice(pit: Pit) -> None:
    await pit.place("bob", "buy", "no", 0.5, 1)
    await stands(pit, "duplicate")
    answer = await pit.place("ann", "buy", "yes", 0.5, 1)
    told = await pit.venue.read(ANN, None)
    assert (len(answer.orders), len(answer.fills), len(told.transfers)) == (2, 2, 2)
    assert len(set(answer.fills)) == 1
    wakes = [Wake(ANN, 1), Wake(ANN, 2)]
    assert await pit.venue.faults.tell(wakes) == [wakes[0], wakes[0], wakes[1], wakes[1]]


async def test_facts_and_wakes_come_in_another_order_and_reads_are_overtaken(pit: Pit) -> None:
    pit.venue.faults._chance = random.Random(3)
    await stands(pit, "reorder")
    await pit.place("ann", "buy", "yes", 0.5, 100)
    fills, shuffled_facts = set(), False
    for taken in range(1, 21):
        await pit.place("bob", "buy", "no", 0.5, 1)
        told = await pit.venue.read(ANN, None)
        fills.add(taken - len(told.fills))
        shuffled_facts |= [fill.fill_id for fill in told.fills] != sorted(fill.fill_id for fill in told.fills)
    assert fills == {0, 1}
    assert shuffled_facts
    wakes = [Wake(ANN, n) for n in range(20)]
    shuffled = await pit.venue.faults.tell(wakes)
    assert shuffled != wakes
    assert sorted(wake.cursor or 0 for wake in shuffled) == list(range(20))
    await clear_faults(pit.store)
    await pit.venue.faults.refresh()
    assert len((await pit.venue.read(ANN, None)).fills) == 20


@pytest.mark.parametrize(
    "fault",
    [
        Fault("duplicate", 0, 0),
        Fault("delay", None, 0),
        Fault("delay", None, MOST_DELAY + 1),
        Fault("reorder", None, 5),
    ],
)
async def test_a_wish_that_makes_no_sense_is_refused(pit: Pit, fault: Fault) -> None:
    with pytest.raises(OperatorError):
        await set_fault(pit.store, fault)
    assert await standing_faults(pit.store) == []


@pytest.fixture
async def running(pit: Pit) -> AsyncIterator[Pit]:
    task = asyncio.create_task(pit.venue.run())
    yield pit
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_running_venue_learns_of_a_fault_that_somebody_else_wrote(running: Pit, tmp_path: Path) -> None:
    other = await SqliteStore.open(tmp_path / "paper.db", [SCHEMA], exclusive=False)
    await set_fault(other, Fault("no-answer-place", None, 0))

    async def is_lost() -> bool:
        try:
            await running.place("ann", "buy", "yes", 0.01, 0.01)
        except NoAnswer:
            return True
        return False

    async with asyncio.timeout(5):
        while not await is_lost():
            await asyncio.sleep(0.01)
        await clear_faults(other)
        while await is_lost():
            await asyncio.sleep(0.01)
    await other.close()
    assert await running.wallet("ann") == 1_000 * ONE
