"""The database file: opening and marking it, bringing its tables up to date, the lock, backup and restore."""

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from oddswire.errors import OperatorError
from oddswire.ids import new_history_id
from oddswire.store.queries import Schema

APPLICATION_ID = 0x0DD5_3123
"""What marks a SQLite file as ours."""
BUSY_MS = 5_000
_OWN_TABLES = """
CREATE TABLE history (history_id TEXT NOT NULL, begun_at BIGINT NOT NULL);
CREATE TABLE migrations (schema TEXT NOT NULL, number BIGINT NOT NULL, title TEXT NOT NULL, applied_at BIGINT NOT NULL,
    PRIMARY KEY (schema, number));
"""


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Return a connection in WAL mode that commits durably (`synchronous=FULL`) and waits 5 s for other processes.

    Raises:
        OperatorError: `database_unusable`, `database_foreign` or `database_locked`.
    """
    mode = "rw" if path.exists() else "rwc"
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=512,
            timeout=BUSY_MS / 1000,
        )
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(f"PRAGMA query_only={int(read_only)}")
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as fault:
        raise unusable(path, fault) from fault
    return connection


def unusable(path: Path, fault: sqlite3.Error) -> OperatorError:
    """Return what to tell a person about an error met at start."""
    code = getattr(fault, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_NOTADB:
        return OperatorError("database_foreign", f"{path} is no SQLite database.")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return OperatorError("database_locked", f"{path} is locked by another process.")
    return OperatorError("database_unusable", f"{path} cannot be used: {fault}.")


def bring_up_to_date(connection: sqlite3.Connection, path: Path, schemas: Sequence[Schema]) -> str:
    """Mark a new file as ours, apply the migrations that are missing, and return the history's id.

    Each migration is one transaction: a crash in the middle leaves the one before.

    Raises:
        OperatorError: `database_foreign`, `database_newer`, `database_locked` or `database_unusable`.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            _claim(connection, path)
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        for schema in schemas:
            _migrate(connection, path, schema)
        row = connection.execute("SELECT history_id FROM history").fetchone()
    except sqlite3.Error as fault:
        raise unusable(path, fault) from fault
    return str(row[0])


def _claim(connection: sqlite3.Connection, path: Path) -> None:
    mark = connection.execute("PRAGMA application_id").fetchone()[0]
    if mark == APPLICATION_ID:
        return
    if mark or connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]:
        raise OperatorError("database_foreign", f"{path} is a database of another program.")
    for statement in _OWN_TABLES.split(";\n"):
        connection.execute(statement)
    connection.execute("INSERT INTO history VALUES (?, ?)", (new_history_id(), time.time_ns() // 1_000_000))
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")


def _migrate(connection: sqlite3.Connection, path: Path, schema: Schema) -> None:
    steps = schema.migrations()
    for step in steps:
        connection.execute("BEGIN IMMEDIATE")
        try:
            done = connection.execute("SELECT MAX(number) FROM migrations WHERE schema = ?", (schema.name,)).fetchone()[
                0
            ]
            if (done or 0) > len(steps):
                raise OperatorError(
                    "database_newer",
                    f"{path} was made by a newer version: its {schema.name} tables are at step {done}, "
                    f"this version knows {len(steps)}.",
                )
            if step.number > (done or 0):
                for statement in split_script(step.sql):
                    connection.execute(statement)
                now = time.time_ns() // 1_000_000
                connection.execute(
                    "INSERT INTO migrations VALUES (?, ?, ?, ?)", (schema.name, step.number, step.title, now)
                )
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def split_script(sql: str) -> list[str]:
    """Return the statements of a script; `executescript` would commit after each."""
    statements, part = [], ""
    for line in sql.splitlines():
        part += line + "\n"
        if sqlite3.complete_statement(part):
            statements.append(part)
            part = ""
    return statements


def lock(path: Path) -> IO[str]:
    """Take the lock that only one `serve` may hold on a file; it goes when the file returned is closed, or the process.

    Raises:
        OperatorError: `database_locked`, naming the process that holds it.
    """
    lock_path = path.with_name(path.name + ".lock")
    try:
        held = lock_path.open("a+")
    except OSError as fault:
        raise OperatorError("database_unusable", f"{lock_path} cannot be made: {fault.strerror}.") from fault
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as fault:
        held.seek(0)
        holder = held.read().strip()
        held.close()
        raise OperatorError("database_locked", f"{path} is served by process {holder or 'unknown'}.") from fault
    held.seek(0)
    held.truncate()
    held.write(str(os.getpid()))
    held.flush()
    return held


def backup(path: Path, to: Path, progress: Callable[[int, int], None] | None = None) -> None:
    """Copy a database, also while it is served, to a new file; `progress` is told pages done and pages in all.

    The copy is one consistent state, and is only there, whole, when this returns.

    Raises:
        OperatorError: the source is no database of ours, `to` exists, or cannot be written.
    """
    if to.exists():
        raise OperatorError("database_unusable", f"{to} exists; a backup is never written over something.")
    part = to.with_name(to.name + ".part")
    _copy(path, part, progress)
    _rename(part, to)


def restore(copy: Path, to: Path, *, force: bool = False, progress: Callable[[int, int], None] | None = None) -> str:
    """Put a backup in the place of a database and begin a new history; return its id.

    Cursors given out before are refused from then on, because the events after the backup are gone and their numbers
    will be given again.

    Raises:
        OperatorError: the copy is none of ours, `to` is being served, or exists and `force` is not set.
    """
    if to.exists() and not force:
        raise OperatorError("database_unusable", f"{to} exists; --force puts the backup in its place.")
    with contextlib.closing(lock(to)):
        part = to.with_name(to.name + ".part")
        _copy(copy, part, progress)
        history = new_history_id()
        with contextlib.closing(connect(part)) as connection:
            connection.execute(
                "UPDATE history SET history_id = ?, begun_at = ?", (history, time.time_ns() // 1_000_000)
            )
            connection.execute("PRAGMA journal_mode=DELETE")
        # a write-ahead log of the file that goes would be played into the one that comes
        for suffix in ("-wal", "-shm"):
            to.with_name(to.name + suffix).unlink(missing_ok=True)
        _rename(part, to)
    return history


def _copy(path: Path, part: Path, progress: Callable[[int, int], None] | None) -> None:
    if not path.exists():
        raise OperatorError("database_unusable", f"{path} does not exist.")
    part.unlink(missing_ok=True)
    try:
        with contextlib.closing(connect(path)) as source:
            if source.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
                raise OperatorError("database_foreign", f"{path} is a database of another program.")
            with contextlib.closing(sqlite3.connect(part)) as target:
                # all pages in one step: a copy in parts would begin again at every commit of a busy server
                source.backup(target, pages=-1, progress=_told(progress))
                target.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as fault:
        raise unusable(path, fault) from fault


def _told(progress: Callable[[int, int], None] | None) -> Callable[[int, int, int], object] | None:
    if progress is None:
        return None
    told = progress
    return lambda _status, left, total: told(total - left, total)


def _rename(part: Path, to: Path) -> None:
    """Make the new file durable before its name, and its name before we say so."""
    for target in (part, part.parent):
        handle = os.open(target, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
    part.rename(to)
    handle = os.open(to.parent, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)
