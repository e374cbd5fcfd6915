"""Readers: threads that each run units on a connection of their own, one snapshot a unit, beside the writer.

Not an executor of the standard library, whose locks and chained futures cost more than a read does.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from oddswire.errors import OperatorError, Unavailable
from oddswire.store import sqlite_file
from oddswire.store.base import Tx
from oddswire.store.queries import Statements
from oddswire.store.sqlite_batch import SqliteTx, Unit, as_told

T = TypeVar("T")


class Readers:
    """So many threads, used from `loop` until `end`; a connection is opened at a thread's first unit."""

    def __init__(self, path: Path, statements: Statements, loop: asyncio.AbstractEventLoop, threads: int) -> None:
        self._path = path
        self._statements = statements
        self._loop = loop
        self._queue: queue.SimpleQueue[Unit[Any] | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._read_forever, name=f"oddswire-reader-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    async def read(self, work: Callable[[Tx], T]) -> T:
        """Run a unit on one snapshot, in its turn.

        Raises:
            Unavailable: `store_unavailable`: the database cannot be read now.
        """
        unit: Unit[T] = Unit(work, self._loop.create_future())
        self._queue.put(unit)
        return await unit.answer

    def end(self) -> None:
        """Finish what waits, and close every connection; waits for it."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _read_forever(self) -> None:
        connection: sqlite3.Connection | None = None
        while (unit := self._queue.get()) is not None:
            try:
                connection = connection or self._connect()
                self._run(connection, unit)
            except BaseException as fault:
                unit.fault = as_told(fault)
            try:
                self._loop.call_soon_threadsafe(unit.tell)
            except RuntimeError:
                # the loop is gone, and with it everybody who waited
                if not self._loop.is_closed():
                    raise
        if connection is not None:
            connection.close()

    def _connect(self) -> sqlite3.Connection:
        try:
            return sqlite_file.connect(self._path, read_only=True)
        except OperatorError as fault:
            raise Unavailable("store_unavailable", fault.detail) from fault

    def _run(self, connection: sqlite3.Connection, unit: Unit[Any]) -> None:
        tx = SqliteTx(connection, self._statements)
        connection.execute("BEGIN")
        try:
            unit.result = unit.work(tx)
        finally:
            tx.end()
            if connection.in_transaction:
                connection.execute("ROLLBACK")
