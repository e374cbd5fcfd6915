"""What every store must do: a class to inherit in a test module that has a fixture `store`, opened on the core tables.

    class TestMine(StoreSuite):
        pass

Needs a runner that awaits `async def test_…` methods. A unit may be run again, so none of them counts its own runs.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from oddswire.errors import Denied
from oddswire.store.base import Bell, Revoked, Store, Tx

_SECONDS = 10.0


def add(name: str, number: int = 0) -> Callable[[Tx], int]:
    """Return a unit that stores a row under that name; it returns how many rows it made."""
    return lambda tx: tx.run("apps.insert", name, "[]", number)


def add_and_ring(name: str, number: int) -> Callable[[Tx], int]:
    """Return a unit that stores a row and rings its number."""

    def unit(tx: Tx) -> int:
        tx.ring(Revoked(number))
        tx.run("apps.insert", name, "[]", number)
        return number

    return unit


def add_and_deny(name: str, number: int) -> Callable[[Tx], int]:
    """Return a unit that does the same and then says no."""

    def unit(tx: Tx) -> int:
        add_and_ring(name, number)(tx)
        raise Denied("insufficient_funds", name)

    return unit


def names(tx: Tx) -> list[str]:
    """Return the names stored, sorted."""
    return tx.all(lambda app_id, *_: str(app_id), "apps.all")


async def fault_of(call: Awaitable[object]) -> BaseException:
    """Return what the call raises."""
    try:
        await call
    except BaseException as fault:
        return fault
    raise AssertionError("nothing was raised")


class StoreSuite:
    """The promises of `store.base.Store`."""

    async def test_a_unit_is_answered_with_its_result_and_is_stored(self, store: Store) -> None:
        """What it returns comes back, and the next read sees it."""
        assert await store.write(add("ann")) == 1
        assert await store.read(names) == ["ann"]

    async def test_run_tells_how_many_rows_changed(self, store: Store) -> None:
        """Also none."""
        assert await store.write(add("ann")) == 1
        assert await store.write(add("ann")) == 0

    async def test_one_is_the_first_row_or_none(self, store: Store) -> None:
        """A shape gets the columns in their order."""
        await store.write(add("ann", 7))
        assert await store.read(lambda tx: tx.one(lambda *row: row[:4], "apps.find", "ann")) == ("ann", "[]", 1, 7)
        assert await store.read(lambda tx: tx.one(lambda *row: row, "apps.find", "bob")) is None

    async def test_values_come_back_as_they_went_in(self, store: Store) -> None:
        """64-bit numbers to their ends, any text."""
        rows = [(2**63 - 1, "Ω 🎲 'quoted' \"twice\"\n$1 ?1 %s"), (-(2**63), "")]
        await store.write(lambda tx: [tx.run("apps.insert", text, text, number) for number, text in rows])
        found = await store.read(lambda tx: tx.all(lambda *row: row[:4], "apps.all"))
        assert sorted(found) == sorted((text, text, 1, number) for number, text in rows)

    async def test_a_float_is_refused_and_the_unit_undone(self, store: Store) -> None:
        """Money never meets a float, and a bool is no number to every database."""
        for wrong in (1.0, True):

            def unit(tx: Tx, wrong: Any = wrong) -> None:
                tx.run("apps.insert", "ann", "[]", 1)
                tx.run("apps.insert", "bob", "[]", wrong)

            assert isinstance(await fault_of(store.write(unit)), TypeError)
        assert await store.read(names) == []

    async def test_an_unknown_statement_is_named(self, store: Store) -> None:
        """It is a slip of the programmer's, and fails loudly."""
        fault = await fault_of(store.write(lambda tx: tx.run("apps.no_such")))
        assert isinstance(fault, KeyError)
        assert "apps.no_such" in str(fault)

    async def test_a_failing_unit_undoes_itself_alone(self, store: Store) -> None:
        """64 at once, every third says no."""
        units = [(add_and_deny if n % 3 == 0 else add_and_ring)(f"user-{n:02}", n) for n in range(64)]
        answers = await asyncio.gather(*map(store.write, units), return_exceptions=True)
        for n, answer in enumerate(answers):
            if n % 3 == 0:
                assert isinstance(answer, Denied), answer
                assert answer.detail == f"user-{n:02}"
            else:
                assert answer == n
        assert await store.read(names) == [f"user-{n:02}" for n in range(64) if n % 3]

    async def test_bells_are_rung_in_order_before_the_answer_and_never_for_a_failed_unit(self, store: Store) -> None:
        """Who has an answer has had the bell."""
        told: list[tuple[str, int]] = []

        def listen(bells: Sequence[Bell]) -> None:
            told.extend(("bell", bell.number) for bell in bells if isinstance(bell, Revoked))

        async def ask(n: int) -> None:
            unit = (add_and_deny if n % 5 == 0 else add_and_ring)(f"user-{n:02}", n)
            try:
                told.append(("answer", await store.write(unit)))
            except Denied:
                told.append(("denied", n))

        store.on_bells(listen)
        await asyncio.gather(*map(ask, range(64)))
        durable = [n for n in range(64) if n % 5]
        assert sorted(n for kind, n in told if kind == "bell") == durable
        assert sorted(n for kind, n in told if kind == "answer") == durable
        assert all(told.index(("bell", n)) < told.index(("answer", n)) for n in durable)

    async def test_a_listener_that_fails_keeps_nobody_from_bells_and_answers(self, store: Store) -> None:
        """Its fault goes to the loop."""
        heard: list[Bell] = []
        faults: list[object] = []

        def broken(_bells: Sequence[Bell]) -> None:
            raise ArithmeticError("this listener is broken")

        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context["exception"]))
        store.on_bells(broken)
        store.on_bells(heard.extend)
        assert await store.write(add_and_ring("ann", 1)) == 1
        assert heard == [Revoked(1)]
        assert [type(fault) for fault in faults] == [ArithmeticError]

    async def test_a_read_is_one_snapshot(self, store: Store) -> None:
        """What is committed in the middle of it is not seen by it, and is seen by the next."""
        await store.write(add("ann"))
        begun, go_on = threading.Event(), threading.Event()

        def look_twice(tx: Tx) -> tuple[list[str], list[str]]:
            first = names(tx)
            begun.set()
            assert go_on.wait(_SECONDS)
            return first, names(tx)

        reading = asyncio.ensure_future(store.read(look_twice))
        try:
            assert await asyncio.to_thread(begun.wait, _SECONDS)
            await store.write(add("bob"))
        finally:
            go_on.set()
        assert await reading == (["ann"], ["ann"])
        assert await store.read(names) == ["ann", "bob"]

    async def test_reads_never_see_half_a_unit(self, store: Store) -> None:
        """Two rows that always change together are always read equal."""
        await store.write(lambda tx: [tx.run("streams.insert", n, "app", f"user-{n}", 0) for n in (1, 2)])

        def heads(tx: Tx) -> list[int | None]:
            return [tx.one(lambda *row: int(row[3]), "streams.by_id", n) for n in (1, 2)]

        async def write(last: int) -> None:
            for head in range(last):
                await store.write(lambda tx, h=head: [tx.run("streams.advance", n, h, 0) for n in (1, 2)])  # type: ignore[misc]

        writing = asyncio.ensure_future(write(200))
        seen = []
        while not writing.done():
            seen.append(await store.read(heads))
        await writing
        assert all(first == second for first, second in seen)
        assert await store.read(heads) == [199, 199]

    async def test_a_writer_reads_what_it_was_answered(self, store: Store) -> None:
        """Twenty at once, each sees its own write."""

        async def ask(n: int) -> None:
            for step in range(10):
                name = f"user-{n:02}-{step}"
                await store.write(add(name))
                assert name in await store.read(names)

        await asyncio.gather(*map(ask, range(20)))

    async def test_units_are_serial(self, store: Store) -> None:
        """Twenty writers count one row up: no number is lost or given twice, and each sees them grow."""
        await store.write(lambda tx: tx.run("streams.insert", 1, "app", "user", 0))

        def count(tx: Tx) -> int:
            head = tx.one(lambda *row: int(row[3]), "streams.by_id", 1)
            assert head is not None
            tx.run("streams.advance", 1, head + 1, 0)
            tx.ring(Revoked(head + 1))
            return head + 1

        async def writer() -> list[int]:
            return [await store.write(count) for _ in range(25)]

        rung: list[int] = []
        store.on_bells(lambda bells: rung.extend(bell.number for bell in bells if isinstance(bell, Revoked)))
        given = await asyncio.gather(*(writer() for _ in range(20)))
        assert sorted(n for some in given for n in some) == list(range(1, 501))
        assert all(some == sorted(some) for some in given)
        assert rung == list(range(1, 501))

    async def test_a_caller_that_is_cancelled_changes_nothing(self, store: Store) -> None:
        """Its unit is committed and rung all the same."""
        heard: list[Bell] = []
        store.on_bells(heard.extend)
        caller = asyncio.ensure_future(store.write(add_and_ring("ann", 1)))
        await asyncio.sleep(0)
        caller.cancel()
        assert isinstance(await fault_of(caller), asyncio.CancelledError)
        await store.write(add_and_ring("bob", 2))
        assert await store.read(names) == ["ann", "bob"]
        assert heard == [Revoked(1), Revoked(2)]

    async def test_a_transaction_is_of_no_use_after_its_unit(self, store: Store) -> None:
        """It would be somebody else's by then."""
        for do in (store.write, store.read):
            kept: list[Tx] = []
            await do(kept.append)
            fault = await fault_of(asyncio.to_thread(kept[0].run, "apps.insert", "ann", "[]", 0))
            assert isinstance(fault, RuntimeError)
            assert "over" in str(fault)
        assert await store.read(names) == []

    async def test_whatever_ends_a_unit_its_caller_is_answered(self, store: Store) -> None:
        """Also by what a future cannot carry, or what would end the caller's loop."""
        for do in (store.write, store.read):
            for end in (StopIteration, SystemExit, asyncio.CancelledError):

                def unit(_tx: Tx, end: type[BaseException] = end) -> None:
                    raise end

                async with asyncio.timeout(_SECONDS):
                    assert isinstance(await fault_of(do(unit)), RuntimeError)
        assert await store.write(add("ann")) == 1

    async def test_a_fault_that_is_kept_holds_nothing(self, store: Store) -> None:
        """A shape that fails in the middle of its rows does not keep its transaction open."""
        await store.write(lambda tx: [add(f"user-{n}")(tx) for n in range(9)])

        def shape(*_row: object) -> None:
            raise ArithmeticError

        kept = [await fault_of(do(lambda tx: tx.all(shape, "apps.all"))) for do in (store.write, store.read)]
        assert [type(fault) for fault in kept] == [ArithmeticError, ArithmeticError]
        assert await store.write(add("zoe")) == 1
        assert "zoe" in await store.read(names)

    async def test_a_read_cannot_write(self, store: Store) -> None:
        """It fails, and nothing is stored."""
        await fault_of(store.read(add("ann")))
        assert await store.read(names) == []

    async def test_a_history_has_a_name(self, store: Store) -> None:
        """It stays the same while it is open."""
        assert store.history_id
        await store.write(add("ann"))
        assert store.history_id == store.history_id
