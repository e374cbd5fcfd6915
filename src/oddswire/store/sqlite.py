"""The embedded store: SQLite with one writer thread that commits in groups, and readers beside it.

Every unit of a batch runs in a savepoint, so that one that fails undoes itself alone; one COMMIT, one fsync, makes the
batch durable; then, and only then, bells are rung and answers given, with one call into the loop.
"""

import asyncio
import os
import queue
import sqlite3
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Generic, NoReturn, TypeVar

from oddswire.errors import Unavailable
from oddswire.store import sqlite_file
from oddswire.store.base import Bell, SqlValue, Tx
from oddswire.store.queries import CORE, Schema, all_statements

__all__ = ["CORE", "Schema", "SqliteStore", "share_the_interpreter"]

T = TypeVar("T")
BATCH = 64
"""How many units share a commit at most."""
WAITING = 10_000
"""How many units may wait for the writer; more are refused rather than queued."""
READERS = 2
FOREIGN_SECONDS = 0.2
_UNKNOWN_AT_COMMIT = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT)


def share_the_interpreter() -> None:
    """Let threads take turns every half millisecond: behind a busy loop a commit waits 5 ms a turn by default."""
    sys.setswitchinterval(0.0005)


class SqliteTx:
    """A unit's transaction: named statements on one connection, and the bells to ring once it is durable."""

    def __init__(self, connection: sqlite3.Connection, statements: dict[str, str]) -> None:
        self._execute = connection.execute
        self._statements = statements
        self.bells: list[Bell] = []

    def one(self, shape: Callable[..., T], name: str, *values: SqlValue) -> T | None:
        """Return `shape(*columns)` of the first row, or None."""
        row = self._execute(self._statements[name], values).fetchone()
        return None if row is None else shape(*row)

    def all(self, shape: Callable[..., T], name: str, *values: SqlValue) -> list[T]:
        """Return `shape(*columns)` of every row."""
        return [shape(*row) for row in self._execute(self._statements[name], values)]

    def run(self, name: str, *values: SqlValue) -> int:
        """Run a statement that returns no rows; return how many it changed."""
        return self._execute(self._statements[name], values).rowcount

    def ring(self, bell: Bell) -> None:
        """Ring once this unit is durable."""
        self.bells.append(bell)


@dataclass(slots=True)
class _Unit(Generic[T]):
    """A unit on its way: its work, who waits for it, and what came of it."""

    work: Callable[[Tx], T]
    answer: "asyncio.Future[T]"
    result: T | None = None
    fault: BaseException | None = None
    bells: list[Bell] = field(default_factory=list)


def _end_the_process(reason: str) -> NoReturn:
    """Leave at once: whether the last commit is on disk is not known, and only a fresh start can tell."""
    sys.stderr.write(f"oddswire: the database failed while committing: {reason}. Start again.\n")
    sys.stderr.flush()
    os._exit(70)


class SqliteStore:
    """A `store.base.Store` on one SQLite file; make it with `open`."""

    def __init__(
        self,
        path: Path,
        history_id: str,
        writer: sqlite3.Connection,
        statements: dict[str, str],
        held: IO[str] | None,
        fatal: Callable[[str], None],
    ) -> None:
        self._path = path
        self._history_id = history_id
        self._writer = writer
        self._statements = statements
        self._held = held
        self._fatal = fatal
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Unit[Any] | None] = queue.SimpleQueue()
        self._waiting = 0
        self._bell_listeners: list[Callable[[Sequence[Bell]], None]] = []
        self._foreign_listeners: list[Callable[[], None]] = []
        self._local = threading.local()
        self._reader_connections: list[sqlite3.Connection] = []
        self._readers = ThreadPoolExecutor(READERS, "oddswire-reader", self._open_reader)
        self._closed = False
        self.batches = 0
        self.units = 0
        self._thread = threading.Thread(target=self._write_forever, name="oddswire-writer", daemon=True)
        self._thread.start()

    @classmethod
    async def open(
        cls,
        path: Path,
        schemas: Sequence[Schema],
        *,
        exclusive: bool,
        fatal: Callable[[str], None] = _end_the_process,
    ) -> "SqliteStore":
        """Open (or make) a database and bring its tables up to date.

        `exclusive` is for the process that serves it: a second one is refused. `fatal` is called, on the writer
        thread, when it is not known whether a commit is on disk; it must not return.

        Raises:
            OperatorError: `database_locked`, `database_foreign`, `database_newer` or `database_unusable`.
        """
        held = sqlite_file.lock(path) if exclusive else None
        try:
            writer = sqlite_file.connect(path)
            try:
                history_id = sqlite_file.bring_up_to_date(writer, path, schemas)
            except BaseException:
                writer.close()
                raise
        except BaseException:
            if held is not None:
                held.close()
            raise
        return cls(path, history_id, writer, all_statements(list(schemas)), held, fatal)

    @property
    def history_id(self) -> str:
        """The name of this database's history."""
        return self._history_id

    @property
    def waiting(self) -> int:
        """How many units wait for the writer now."""
        return self._waiting

    async def write(self, unit: Callable[[Tx], T]) -> T:
        """Run a unit; its result, or what it raised, is seen once the batch it ran in is durable.

        Raises:
            Unavailable: `store_unavailable`: nothing of this unit is stored.
        """
        if self._closed or self._waiting >= WAITING:
            raise Unavailable("store_unavailable", "The store takes no more work now.")
        self._waiting += 1
        queued: _Unit[T] = _Unit(unit, self._loop.create_future())
        self._queue.put(queued)
        return await asyncio.shield(queued.answer)

    async def read(self, unit: Callable[[Tx], T]) -> T:
        """Run a unit on one snapshot of all that is durable now."""
        return await self._loop.run_in_executor(self._readers, self._read, unit)

    def on_bells(self, listener: Callable[[Sequence[Bell]], None]) -> None:
        """Call `listener` on the loop with the bells of each commit, in commit order."""
        self._bell_listeners.append(listener)

    def on_foreign_write(self, listener: Callable[[], None]) -> None:
        """Call `listener` on the loop when another process has committed, within 250 ms."""
        self._foreign_listeners.append(listener)

    async def close(self) -> None:
        """Finish what waits, then close every connection."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        await self._loop.run_in_executor(None, self._thread.join)
        await self._loop.run_in_executor(None, self._readers.shutdown)
        for reader in self._reader_connections:
            reader.close()
        self._writer.close()
        if self._held is not None:
            self._held.close()

    # ---- readers

    def _open_reader(self) -> None:
        self._local.connection = sqlite_file.connect(self._path, read_only=True)
        self._reader_connections.append(self._local.connection)

    def _read(self, unit: Callable[[Tx], T]) -> T:
        connection: sqlite3.Connection = self._local.connection
        connection.execute("BEGIN")
        try:
            return unit(SqliteTx(connection, self._statements))
        finally:
            connection.execute("ROLLBACK")

    # ---- the writer thread

    def _write_forever(self) -> None:
        version = self._data_version()
        while True:
            try:
                unit = self._queue.get(timeout=FOREIGN_SECONDS)
            except queue.Empty:
                version = self._look_for_foreign_writes(version)
                continue
            if unit is None:
                return
            batch = [unit]
            while len(batch) < BATCH:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    self._queue.put(None)
                    break
                batch.append(more)
            self._write(batch)
            version = self._look_for_foreign_writes(version)

    def _data_version(self) -> int:
        return int(self._writer.execute("PRAGMA data_version").fetchone()[0])

    def _look_for_foreign_writes(self, before: int) -> int:
        # on the connection that writes, so that our own commits do not count
        now = self._data_version()
        if now != before:
            self._loop.call_soon_threadsafe(self._tell_foreign_write)
        return now

    def _write(self, batch: list[_Unit[Any]]) -> None:
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            for unit in batch:
                self._run(unit)
            self._writer.execute("COMMIT")
        except sqlite3.Error as fault:
            self._void(batch, fault)
        self.batches += 1
        self.units += len(batch)
        try:
            self._loop.call_soon_threadsafe(self._tell, batch)
        except RuntimeError:
            # the loop is gone, and with it everybody who waited; what is committed stays
            return

    def _run(self, unit: _Unit[Any]) -> None:
        """Run one unit in its savepoint; an `sqlite3.Error` from here voids the batch."""
        writer = self._writer
        writer.execute("SAVEPOINT unit")
        tx = SqliteTx(writer, self._statements)
        try:
            unit.result = unit.work(tx)
        except Exception as fault:
            if not writer.in_transaction:
                # the engine has rolled everything back by itself, this unit and those before it
                raise sqlite3.OperationalError(f"the batch was rolled back: {fault}") from fault
            writer.execute("ROLLBACK TO unit")
            unit.fault = _as_unavailable(fault)
        else:
            unit.bells = tx.bells
        writer.execute("RELEASE unit")

    def _void(self, batch: list[_Unit[Any]], fault: sqlite3.Error) -> None:
        code = getattr(fault, "sqlite_errorcode", 0) & 0xFF
        if code in _UNKNOWN_AT_COMMIT:
            self._fatal(str(fault))
        if self._writer.in_transaction:
            self._writer.execute("ROLLBACK")
        for unit in batch:
            unit.result, unit.bells = None, []
            unit.fault = Unavailable("store_unavailable", f"Nothing was stored: {fault}.")

    # ---- on the loop

    def _tell(self, batch: list[_Unit[Any]]) -> None:
        self._waiting -= len(batch)
        bells = [bell for unit in batch for bell in unit.bells]
        if bells:
            for listener in self._bell_listeners:
                listener(bells)
        for unit in batch:
            if unit.answer.done():
                continue
            if unit.fault is not None:
                unit.answer.set_exception(unit.fault)
            else:
                unit.answer.set_result(unit.result)

    def _tell_foreign_write(self) -> None:
        for listener in self._foreign_listeners:
            listener()


def _as_unavailable(fault: Exception) -> Exception:
    """Return what the caller is told: the engine being full or busy is "not now", anything else is the unit's own."""
    if isinstance(fault, sqlite3.OperationalError):
        code = getattr(fault, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_IOERR):
            return Unavailable("store_unavailable", f"Nothing was stored: {fault}.")
    return fault
