"""Batches of exactly 64 on a disk that is full: the answers must say what is stored, whatever the engine did."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from oddswire.errors import Denied, Unavailable
from oddswire.store.base import Bell, Revoked, Tx
from oddswire.store.sqlite import BATCH, SqliteStore

Work = Callable[[Tx], Any]


class Batches:
    """A store whose batches the test makes up, and what it rang."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.rung: list[int] = []
        store.on_bells(self._listen)

    def _listen(self, bells: Sequence[Bell]) -> None:
        self.rung += [bell.number for bell in bells if isinstance(bell, Revoked)]

    async def run(self, units: list[Work]) -> list[Any]:
        """Run these units as one batch: they are queued while the writer is busy with another."""
        busy, go_on = threading.Event(), threading.Event()

        def hold(_tx: Tx) -> None:
            busy.set()
            assert go_on.wait(10)

        holding = asyncio.ensure_future(self.store.write(hold))
        assert await asyncio.to_thread(busy.wait, 10)
        answers = [asyncio.ensure_future(self.store.write(unit)) for unit in units]
        while self.store.waiting < len(units) + 1:
            await asyncio.sleep(0)
        go_on.set()
        await holding
        return await asyncio.gather(*answers, return_exceptions=True)

    def leave_room(self, pages: int | None) -> None:
        """Let the file grow by so many pages at most."""
        # the writer is idle now, and the connection is serialized by SQLite itself
        count = self.store._writer.execute("PRAGMA page_count").fetchone()[0]
        most = 1_000_000 if pages is None else count + pages
        assert self.store._writer.execute(f"PRAGMA max_page_count={most}").fetchone() == (most,)

    async def stored(self) -> list[str]:
        return await self.store.read(lambda tx: tx.all(str, "sample.names"))


@pytest.fixture
def batches(store: SqliteStore) -> Batches:
    return Batches(store)


def insert(n: int, size: int, rows: int = 1) -> Work:
    """A unit of single-row inserts: when the disk is full in one, the engine rolls everything back by itself."""

    def unit(tx: Tx) -> int:
        for row in range(rows):
            tx.run("sample.insert", f"{n:03}/{row}", "x" * size)
        tx.ring(Revoked(n))
        return n

    return unit


def insert_many(n: int, size: int) -> Work:
    """A unit of one many-row insert: when the disk is full in it, the engine undoes that statement alone."""

    def unit(tx: Tx) -> int:
        tx.ring(Revoked(n))
        tx.run("sample.insert_many", f"{n:03}", 4, "x" * size)
        return n

    return unit


def deny(n: int, size: int) -> Work:
    def unit(tx: Tx) -> int:
        insert(n, size)(tx)
        raise Denied("insufficient_funds", str(n))

    return unit


def swallow(n: int, size: int) -> Work:
    """A unit that hides every fault from us and goes on."""

    def unit(tx: Tx) -> int:
        for row in range(4):
            try:
                tx.run("sample.insert", f"{n:03}/{row}", "x" * size)
            except (sqlite3.Error, RuntimeError):
                continue
        tx.ring(Revoked(n))
        return n

    return unit


def told(answers: list[Any]) -> tuple[list[int], list[int], list[int]]:
    """Return who was answered, who was denied, and who heard "nothing was stored"."""
    done: list[int] = []
    denied: list[int] = []
    unavailable: list[int] = []
    for n, answer in enumerate(answers):
        match answer:
            case int():
                done.append(n)
            case Denied():
                denied.append(n)
            case Unavailable(code="store_unavailable"):
                unavailable.append(n)
            case _:
                raise AssertionError(f"{n} was answered {answer!r}")
    return done, denied, unavailable


KINDS: dict[str, Callable[[int, int], Work]] = {
    "single rows": lambda n, size: insert(n, size, rows=3),
    "many rows": insert_many,
    "swallowed": swallow,
    "mixed": lambda n, size: (insert, insert_many, deny)[n % 3](n, size),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [40, 900, 9_000])
async def test_on_a_full_disk_the_answers_say_what_is_stored(
    batches: Batches, path: Path, kind: str, size: int
) -> None:
    met = set()
    for room in (0, 1, 2, 5, 20, 150, None):
        before, commits = await batches.stored(), batches.store.batches
        batches.rung.clear()
        batches.leave_room(room)
        first = (room if room is not None else 500) * 1_000
        answers = await batches.run([KINDS[kind](first + n, size) for n in range(BATCH)])
        done, denied, unavailable = told(answers)
        stored = sorted(set(await batches.stored()) - set(before))
        assert sorted({int(name.split("/")[0]) - first for name in stored}) == done
        assert [n - first for n in batches.rung] == done
        assert len(done) + len(denied) + len(unavailable) == BATCH
        committed = batches.store.batches - commits
        if committed == 1:
            # the batch that held the writer, and no other
            met.add("void")
            assert len(unavailable) == BATCH
        else:
            assert committed == 2
            met.add("some" if done and unavailable else "all" if not unavailable else "none")
    assert "all" in met
    if kind == "many rows":
        assert "some" in met
    else:
        assert "void" in met
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_when_the_engine_rolls_back_a_batch_nothing_more_of_it_runs(batches: Batches) -> None:
    ran: list[str] = []

    def fine(tx: Tx) -> None:
        ran.append("fine")
        tx.run("sample.insert", "fine", "")

    def roll_back(tx: Tx) -> None:
        ran.append("roll back")
        tx.run("sample.insert_or_roll_back", "fine", "")

    def after(tx: Tx) -> None:
        ran.append("after")
        tx.run("sample.insert", "after", "")

    def refused(tx: Tx) -> None:
        raise Denied("insufficient_funds", "this one was worked out on what is not stored")

    answers = await batches.run([fine, refused, roll_back, after])
    assert ran == ["fine", "roll back"]
    assert all("the engine rolled back (UNIQUE constraint failed" in answer.detail for answer in answers)
    assert told(answers) == ([], [], [0, 1, 2, 3])
    assert await batches.stored() == []


async def test_a_unit_that_hides_the_engines_rollback_can_store_nothing_more(batches: Batches) -> None:
    def stubborn(tx: Tx) -> None:
        tx.run("sample.insert", "twice", "")
        with pytest.raises(sqlite3.IntegrityError):
            tx.run("sample.insert_or_roll_back", "twice", "")
        # there is no transaction any more: this would commit by itself
        with pytest.raises(RuntimeError, match="over"):
            tx.run("sample.insert", "after", "")

    answers = await batches.run([insert(0, 1), stubborn])
    assert told(answers) == ([], [], [0, 1])
    assert await batches.stored() == []
    assert batches.rung == []


async def test_a_constraint_is_the_units_own_fault(batches: Batches) -> None:
    answers = await batches.run([insert(0, 1), insert(0, 1), insert(1, 1)])
    assert [type(answer) for answer in answers] == [int, sqlite3.IntegrityError, int]
    assert await batches.stored() == ["000/0", "001/0"]


@pytest.mark.parametrize("half_done", [False, True], ids=["failed before it changed anything", "failed half done"])
async def test_one_that_fails_undoes_itself_alone_and_rings_nothing(batches: Batches, half_done: bool) -> None:
    def ring(number: int) -> Work:
        def unit(tx: Tx) -> int:
            tx.run("sample.insert", f"of {number}", b"")
            tx.ring(Revoked(number))
            return number

        return unit

    def fail(tx: Tx) -> None:
        if half_done:
            tx.run("sample.insert", "half done", b"")
            tx.ring(Revoked(99))
        raise Denied("market_closed", "It is closed.")

    answers = await batches.run([ring(1), fail, ring(2)])
    assert [answers[0], type(answers[1]), answers[2]] == [1, Denied, 2]
    assert await batches.stored() == ["of 1", "of 2"]
    assert batches.rung == [1, 2]


async def test_a_unit_run_again_answers_for_its_second_run(batches: Batches) -> None:
    """The batch is run again behind one that failed half done; what the first run said counts no more."""
    runs = 0

    def differs(tx: Tx) -> str:
        nonlocal runs
        runs += 1
        tx.run("sample.insert", f"run {runs}", b"")
        tx.ring(Revoked(runs))
        if runs == 2:
            raise Denied("market_closed", "It is closed by now.")
        return f"run {runs}"

    def fail(tx: Tx) -> None:
        tx.run("sample.insert", "half done", b"")
        raise Denied("market_closed", "It is closed.")

    answers = await batches.run([differs, fail])
    assert [type(answer) for answer in answers] == [Denied, Denied]
    assert await batches.stored() == []
    assert batches.rung == []


async def test_a_sum_that_outgrew_64_bits_is_refused(store: SqliteStore) -> None:
    # SQLite goes on in floating point without a word
    def amount(tx: Tx) -> int | None:
        return tx.one(int, "sample.amount", "a")

    def grow(tx: Tx) -> int | None:
        tx.run("sample.add", "a", 2**62)
        return amount(tx)

    assert await store.write(grow) == 2**62
    with pytest.raises(TypeError, match=r"sample\.amount: a float"):
        await store.write(grow)
    assert await store.read(amount) == 2**62

    def grow_and_list(tx: Tx) -> list[int]:
        tx.run("sample.add", "a", 2**62)
        return tx.all(int, "sample.amount", "a")

    with pytest.raises(TypeError, match=r"sample\.amount: a float"):
        await store.write(grow_and_list)
    assert await store.read(amount) == 2**62


async def test_64_units_are_one_commit(batches: Batches) -> None:
    before = batches.store.batches, batches.store.units
    assert await batches.run([insert(n, 10) for n in range(BATCH)]) == list(range(BATCH))
    assert (batches.store.batches, batches.store.units) == (before[0] + 2, before[1] + BATCH + 1)


async def test_no_answer_leaves_before_the_commit_it_was_worked_out_in(batches: Batches, path: Path) -> None:
    """Not the denial of a unit that ended long before the last unit of its batch has begun."""
    last_runs, go_on = threading.Event(), threading.Event()

    def slow(_tx: Tx) -> int:
        last_runs.set()
        assert go_on.wait(10)
        return 2

    running = asyncio.ensure_future(batches.run([insert(0, 1), deny(1, 1), slow]))
    assert await asyncio.to_thread(last_runs.wait, 10)
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT COUNT(*) FROM sample").fetchone() == (0,)
    await asyncio.sleep(0)
    assert batches.rung == []
    assert batches.store.waiting == 3
    go_on.set()
    assert told(await running) == ([0, 2], [1], [])
