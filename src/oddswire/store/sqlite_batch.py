"""A batch of units in one SQLite transaction: what becomes of each when one fails, the disk is full, or COMMIT does.

Units seldom fail once they have changed something, so a batch is run without savepoints first, which cost an eighth of
all the writer does; only when one does fail so is the batch run again with a savepoint a unit.

The engine may end a transaction by itself (a full disk does it, an I/O error, `ON CONFLICT ROLLBACK`). After every
fault we therefore look whether the transaction still is: if not, nothing more may run, for it would commit by itself.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from types import NoneType
from typing import Any, Generic, TypeVar, cast

from msgspec import Struct

from oddswire.errors import Unavailable
from oddswire.store.base import Bell, SqlValue, Tx
from oddswire.store.queries import Statements
from oddswire.store.sqlite_file import primary_code

T = TypeVar("T")
R = TypeVar("R")
_PLAIN = frozenset({int, str, bytes, NoneType})
_NOT_NOW = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    }
)
_SURELY_NOT_COMMITTED = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY)


class OutcomeUnknown(Exception):
    """COMMIT failed, and whether the batch is on disk only a fresh start can tell."""


class SqliteTx:
    """A unit's transaction: named statements on one connection, and the bells to ring once it is durable.

    Values and columns are whole numbers, text, bytes or None: a float, or a sum that grew into one, is a `TypeError`.
    """

    __slots__ = ("_connection", "_statements", "bells")

    def __init__(self, connection: sqlite3.Connection, statements: Statements) -> None:
        self._connection: sqlite3.Connection | None = connection
        self._statements = statements
        self.bells: list[Bell] = []

    def one(self, shape: Callable[..., T], name: str, *values: SqlValue) -> T | None:
        """Return `shape(*columns)` of the first row, or None."""
        row: tuple[SqlValue, ...] | None = self._run(name, values, sqlite3.Cursor.fetchone)
        if row is None:
            return None
        if not _PLAIN.issuperset(map(type, row)):
            _check(name, row)
        return shape(*row)

    def all(self, shape: Callable[..., T], name: str, *values: SqlValue) -> list[T]:
        """Return `shape(*columns)` of every row."""
        # every row is fetched before the first is shaped: a cursor kept alive by a fault would hold the snapshot
        rows: list[tuple[SqlValue, ...]] = self._run(name, values, sqlite3.Cursor.fetchall)
        for row in rows:
            if not _PLAIN.issuperset(map(type, row)):
                _check(name, row)
        return [shape(*row) for row in rows]

    def run(self, name: str, *values: SqlValue) -> int:
        """Run a statement that returns no rows; return how many it changed."""
        return self._run(name, values, _changed)

    def ring(self, bell: Bell) -> None:
        """Ring once this unit is durable."""
        self.bells.append(bell)

    def end(self) -> None:
        """Let nothing more run: a unit must not use it after it has returned."""
        self._connection = None

    def _run(self, name: str, values: tuple[SqlValue, ...], take: Callable[[sqlite3.Cursor], R]) -> R:
        connection = self._connection
        if connection is None:
            raise RuntimeError(f"{name} cannot run: this transaction is over")
        if not _PLAIN.issuperset(map(type, values)):
            _check(name, values)
        try:
            return take(connection.execute(self._statements[name], values))
        except BaseException:
            if not connection.in_transaction:
                self.end()
            raise


class Unit(Struct, Generic[T]):
    """A unit on its way: its work, who waits for it, and what came of it."""

    work: Callable[[Tx], T]
    answer: "asyncio.Future[T]"
    result: T | None = None
    fault: Exception | None = None
    bells: list[Bell] = []

    def tell(self) -> None:
        """Answer who waits, on the loop, unless they have been cancelled."""
        if self.answer.done():
            return
        if self.fault is not None:
            self.answer.set_exception(self.fault)
        else:
            self.answer.set_result(cast("T", self.result))


def commit(connection: sqlite3.Connection, statements: Statements, batch: Sequence[Unit[Any]]) -> bool:
    """Run units in one transaction, one that fails undoing itself alone, and return whether it is committed.

    If it is, each has its result or its own fault. If not, nothing is stored and every one's fault is `Unavailable`,
    also of those that had ended well or by a fault of their own.

    Raises:
        OutcomeUnknown: no unit may be answered.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        if not all(_run(connection, statements, unit) for unit in batch):
            # something half done must be undone: begin anew, and this time so that one unit can be undone alone
            connection.execute("ROLLBACK")
            connection.execute("BEGIN IMMEDIATE")
            for unit in batch:
                _run_in_savepoint(connection, statements, unit)
    except (sqlite3.Error, MemoryError) as fault:
        _void(connection, batch, fault)
        return False
    try:
        connection.execute("COMMIT")
    except sqlite3.Error as fault:
        if primary_code(fault) not in _SURELY_NOT_COMMITTED:
            raise OutcomeUnknown(str(fault)) from fault
        _void(connection, batch, fault)
        return False
    return True


def _run(connection: sqlite3.Connection, statements: Statements, unit: Unit[Any]) -> bool:
    """Run one unit and return true, or false if it failed and has changed rows; an `sqlite3.Error` voids the batch."""
    tx, before = SqliteTx(connection, statements), connection.total_changes
    unit.fault, unit.bells = None, []
    try:
        unit.result = unit.work(tx)
        unit.bells = tx.bells
    except BaseException as fault:
        unit.fault = as_told(fault)
    tx.end()
    if not connection.in_transaction:
        raise sqlite3.OperationalError(f"the engine rolled back ({unit.fault or 'a fault the unit kept to itself'})")
    return unit.fault is None or connection.total_changes == before


def _run_in_savepoint(connection: sqlite3.Connection, statements: Statements, unit: Unit[Any]) -> None:
    """Run one unit and undo it if it fails; an `sqlite3.Error` from here voids the batch."""
    connection.execute("SAVEPOINT unit")
    _run(connection, statements, unit)
    if unit.fault is not None:
        connection.execute("ROLLBACK TO unit")
    connection.execute("RELEASE unit")


def _void(connection: sqlite3.Connection, batch: Sequence[Unit[Any]], fault: BaseException) -> None:
    if connection.in_transaction:
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error as worse:
            raise OutcomeUnknown(f"{fault}, and then {worse}") from fault
    for unit in batch:
        unit.result, unit.bells = None, []
        unit.fault = Unavailable("store_unavailable", f"Nothing was stored: {fault}.")


def as_told(fault: BaseException) -> Exception:
    """Return what the caller is told: trouble of the engine's is "not now", anything else is the unit's own."""
    if isinstance(fault, sqlite3.Error) and primary_code(fault) in _NOT_NOW:
        told: Exception = Unavailable("store_unavailable", f"The database cannot be used now: {fault}.")
    elif isinstance(fault, Exception) and not isinstance(fault, StopIteration):
        return fault
    else:
        # a future takes no StopIteration, and what ends a program must not end the caller's loop
        told = RuntimeError(f"a unit of work ended by {fault!r}")
    told.__cause__ = fault
    return told


def _changed(cursor: sqlite3.Cursor) -> int:
    return cursor.rowcount


def _check(name: str, values: tuple[SqlValue, ...]) -> None:
    """Raise for the value that is none of the plain types; one of a subclass, as of an enum, passes."""
    for value in values:
        if isinstance(value, bool) or not (value is None or isinstance(value, int | str | bytes)):
            raise TypeError(f"{name}: a {type(value).__name__} is neither whole number, text, bytes nor None")
