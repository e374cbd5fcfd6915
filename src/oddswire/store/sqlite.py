"""The embedded store: SQLite with one writer thread that commits in groups, and readers beside it.

A unit of a batch that fails undoes itself alone; one COMMIT, one fsync, makes the batch durable; then, and only then,
bells are rung and answers given, with one call into the loop.
"""

import asyncio
import os
import queue
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn, ParamSpec, TypeVar

from oddswire.errors import Unavailable
from oddswire.store import sqlite_file
from oddswire.store.base import Bell, Tx
from oddswire.store.migrate import bring_up_to_date
from oddswire.store.queries import CORE, Schema, Statements, all_statements
from oddswire.store.sqlite_batch import Unit, commit
from oddswire.store.sqlite_readers import Readers
from oddswire.store.sqlite_whereabouts import Whereabouts

__all__ = ["CORE", "Schema", "SqliteStore", "share_the_interpreter"]

T = TypeVar("T")
P = ParamSpec("P")
BATCH = 64
"""How many units share a commit at most."""
WAITING = 10_000
"""How many units may wait for the writer; more are refused rather than queued."""
READERS = 2
FOREIGN_SECONDS = 0.2
"""How often an idle writer looks for commits of other processes, and whether its file is still there."""
BUSY_LOOK_SECONDS = 0.04
"""How often a busy one looks for such commits: with the wait of an idle one, within 250 ms."""


def share_the_interpreter() -> None:
    """Let threads take turns every half millisecond: behind a busy loop a commit waits 5 ms a turn by default."""
    sys.setswitchinterval(0.0005)


def end_the_process(reason: str) -> NoReturn:
    """Leave at once: whether the last commits are on disk is not known, and only a fresh start can tell."""
    sys.stderr.write(f"oddswire: the database failed: {reason}. See to it, then start again.\n")
    sys.stderr.flush()
    os._exit(70)


class SqliteStore:
    """A `store.base.Store` on one SQLite file, used from the loop it was opened on; make it with `open`."""

    def __init__(
        self,
        path: Path,
        history_id: str,
        writer: sqlite3.Connection,
        statements: Statements,
        whereabouts: Whereabouts,
        held: IO[str] | None,
        fatal: Callable[[str], None],
    ) -> None:
        self._history_id = history_id
        self._writer = writer
        self._statements = statements
        self._whereabouts = whereabouts
        self._held = held
        self._fatal = fatal
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[Unit[Any] | None] = queue.SimpleQueue()
        self._waiting = 0
        self._bell_listeners: list[Callable[[Sequence[Bell]], None]] = []
        self._foreign_listeners: list[Callable[[], None]] = []
        self._readers = Readers(path, statements, self._loop, READERS)
        self._closed = False
        self._broken = False
        self.batches = 0
        self.units = 0
        self.failures = 0
        """Units told `store_unavailable`: the disk is full or failing, or too many waited."""
        self._thread = threading.Thread(target=self._write_forever, name="oddswire-writer", daemon=True)
        self._thread.start()

    @classmethod
    async def open(
        cls,
        path: Path,
        schemas: Sequence[Schema],
        *,
        exclusive: bool,
        fatal: Callable[[str], None] = end_the_process,
    ) -> "SqliteStore":
        """Open (or make) a database and bring its tables up to date; waits for the disk without leaving the loop.

        `exclusive` is for the process that serves it: a second one is refused. `fatal` is called, on the writer
        thread, when it is not known whether a commit is on disk, or when the file was deleted or replaced under its
        name; nobody who waits is answered any more, and nobody is answered whose commit went into a file that is gone.

        Raises:
            OperatorError: `database_locked`, `database_foreign`, `database_newer` or `database_unusable`.
        """
        statements = all_statements(schemas)
        if exclusive:
            sqlite_file.must_not_be_foreign(path)
        held = sqlite_file.lock(path) if exclusive else None
        try:
            writer = sqlite_file.connect(path)
            try:
                whereabouts = Whereabouts(path, None if held is None else Path(held.name))
                history_id = bring_up_to_date(writer, path, schemas)
            except BaseException:
                writer.close()
                raise
        except BaseException:
            if held is not None:
                held.close()
            raise
        return cls(path, history_id, writer, statements, whereabouts, held, fatal)

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
        if self._closed or self._broken or self._waiting >= WAITING:
            self.failures += 1
            raise Unavailable("store_unavailable", "The store takes no more work now.")
        self._waiting += 1
        queued: Unit[T] = Unit(unit, self._loop.create_future())
        self._queue.put(queued)
        return await queued.answer

    async def read(self, unit: Callable[[Tx], T]) -> T:
        """Run a unit on one snapshot of all that is durable now.

        Raises:
            Unavailable: `store_unavailable`: the database cannot be read now.
        """
        if self._closed:
            raise Unavailable("store_unavailable", "The store is closed.")
        return await self._readers.read(unit)

    def on_bells(self, listener: Callable[[Sequence[Bell]], None]) -> None:
        """Call `listener` on the loop with the bells of each commit, in commit order."""
        self._bell_listeners.append(listener)

    def on_foreign_write(self, listener: Callable[[], None]) -> None:
        """Call `listener` on the loop when another process has committed, within 250 ms."""
        self._foreign_listeners.append(listener)

    async def close(self) -> None:
        """Finish what waits, then close every connection; the last one to leave folds the write-ahead log in."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        await self._loop.run_in_executor(None, self._thread.join)
        await self._loop.run_in_executor(None, self._readers.end)
        self._writer.close()
        if self._held is not None:
            self._held.close()

    # ---- the writer thread

    def _write_forever(self) -> None:
        try:
            version, looked_at = self._data_version(0), time.monotonic()
            while (batch := self._next_batch()) is not None:
                self._write(batch)
                now = time.monotonic()
                if batch and now - looked_at < BUSY_LOOK_SECONDS:
                    continue
                before, version, looked_at = version, self._data_version(version), now
                if version != before:
                    self._on_loop(self._tell_foreign_write)
        except BaseException as fault:
            # a writer that is gone would leave everybody waiting for ever
            self._broken = True
            self._fatal(str(fault) or repr(fault))

    def _next_batch(self) -> list[Unit[Any]] | None:
        """Return what waits, nothing if there is nothing for a while, None once the store is closed."""
        batch: list[Unit[Any]] = []
        try:
            unit = self._queue.get(timeout=FOREIGN_SECONDS)
            while unit is not None:
                batch.append(unit)
                if len(batch) == BATCH:
                    return batch
                unit = self._queue.get_nowait()
        except queue.Empty:
            return batch
        if batch:
            self._queue.put(None)
        return batch or None

    def _write(self, batch: list[Unit[Any]]) -> None:
        if batch and commit(self._writer, self._statements, batch):
            self.batches += 1
            self.units += len(batch)
        # after the commit and before any answer: nobody is told of what went into a file that is gone
        self._whereabouts.check()
        if batch:
            self._on_loop(self._tell, batch)

    def _data_version(self, before: int) -> int:
        # asked on the connection that writes, so that our own commits do not count
        try:
            return int(self._writer.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error:
            # locked for a moment; whatever is really wrong with the file, the next batch will say
            return before

    def _on_loop(self, call: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            self._loop.call_soon_threadsafe(lambda: call(*args, **kwargs))
        except RuntimeError:
            # the loop is gone, and with it everybody who waited; what is committed stays
            if not self._loop.is_closed():
                raise

    # ---- on the loop

    def _tell(self, batch: list[Unit[Any]]) -> None:
        self._waiting -= len(batch)
        bells: list[Bell] = []
        for unit in batch:
            bells += unit.bells
            self.failures += unit.fault is not None and _not_stored(unit.fault)
        if bells:
            for listener in self._bell_listeners:
                self._call(listener, bells)
        for unit in batch:
            unit.tell()

    def _tell_foreign_write(self) -> None:
        for listener in self._foreign_listeners:
            self._call(listener)

    def _call(self, listener: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Call a listener; its fault is reported to the loop, and keeps nobody from their bells and answers."""
        try:
            listener(*args, **kwargs)
        except Exception as fault:
            self._loop.call_exception_handler({"message": f"{listener!r} failed", "exception": fault})


def _not_stored(fault: Exception) -> bool:
    return isinstance(fault, Unavailable) and fault.code == "store_unavailable"
