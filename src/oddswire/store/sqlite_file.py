"""The database file: opening it and knowing it as ours, the lock of `serve`, backup and restore."""

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from oddswire.errors import OperatorError
from oddswire.ids import new_history_id
from oddswire.store.sqlite_whereabouts import must_have_one_name

APPLICATION_ID = 0x0DD5_3123
"""What marks a SQLite file as ours."""
BUSY_MS = 5_000
"""How long we wait for another process that writes."""
CHECKPOINT_PAGES = 4_000
"""How long the write-ahead log grows (16 MB) before it is folded in: what changes often is then written less often."""
COPY_PAGES = 1_024
"""How much of a database is copied between two reports of progress."""

Progress = Callable[[str, int, int | None], None]
"""Told the step, its pages done, and its pages in all (None: not known)."""
_COPYING = "Copying …"
_CHECKING = "Looking whether the copy is whole …"
_SYNCING = "Waiting for the disk …"


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Return a connection in WAL mode that commits durably (`synchronous=FULL`); a new file is its owner's alone.

    A file of somebody else is not changed in any way.

    Raises:
        OperatorError: `database_unusable`, `database_foreign` or `database_locked`.
    """
    path = path.resolve()
    if not read_only:
        _make(path, path)
        _must_be_writable(path)
        # a reader belongs to a store that is open: a link made since must not stop it
        must_have_one_name(path)
    try:
        connection = _open(path)
        try:
            is_ours(connection, path)
            _switch_to_wal(connection)
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
            connection.execute("PRAGMA foreign_keys=ON")
            # what is deleted is overwritten, also by an SQLite that would leave it in free pages: a user is to be gone
            connection.execute("PRAGMA secure_delete=ON")
            connection.execute(f"PRAGMA query_only={int(read_only)}")
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as fault:
        raise unusable(path, fault) from fault
    return connection


def is_ours(connection: sqlite3.Connection, path: Path) -> bool:
    """Return whether the file bears our mark; False is a database with nothing in it.

    Raises:
        OperatorError: `database_foreign`.
    """
    # one transaction around both, or a process that marks the file in between makes it look like somebody else's
    alone = not connection.in_transaction
    if alone:
        connection.execute("BEGIN")
    try:
        mark = connection.execute("PRAGMA application_id").fetchone()[0]
        tables = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
    finally:
        if alone and connection.in_transaction:
            connection.execute("ROLLBACK")
    if mark == APPLICATION_ID:
        return True
    if mark or tables:
        raise OperatorError("database_foreign", f"{path} is a database of another program.")
    return False


def must_not_be_foreign(path: Path) -> None:
    """Refuse a file of another program before a lock is left beside it; one that is not there may be made.

    Raises:
        OperatorError: `database_foreign`.
    """
    if not path.is_file():
        return
    try:
        with contextlib.closing(_open(path)) as connection:
            is_ours(connection, path)
    except sqlite3.Error as fault:
        refusal = unusable(path, fault)
        if refusal.code == "database_foreign":
            raise refusal from fault
        # what else is wrong with it is for whoever opens it to say


def primary_code(fault: BaseException) -> int:
    """Return SQLite's result code without its finer distinctions; 0 where the fault is not the engine's."""
    return int(getattr(fault, "sqlite_errorcode", 0)) & 0xFF


def unusable(path: Path, fault: sqlite3.Error) -> OperatorError:
    """Return what to tell a person about an error met at start."""
    code = primary_code(fault)
    if code == sqlite3.SQLITE_NOTADB:
        return OperatorError("database_foreign", f"{path} is no SQLite database.")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return OperatorError("database_locked", f"{path} is locked by another process.")
    reason = "it is a folder" if path.is_dir() else fault
    return OperatorError("database_unusable", f"{path} cannot be used: {reason}.")


def lock(path: Path) -> IO[str]:
    """Take the lock that only one `serve` may hold on a file; it goes when the file returned is closed, or the process.

    Raises:
        OperatorError: `database_locked`, naming the process that holds it, or `database_unusable`.
    """
    # two names of one file are one lock
    path = path.resolve()
    lock_path = path.with_name(path.name + ".lock")
    try:
        held = _own(lock_path)
    except OSError as fault:
        raise OperatorError("database_unusable", f"{lock_path} cannot be made: {fault.strerror}.") from fault
    try:
        _take(held, path)
    except BaseException:
        held.close()
        raise
    return held


def _own(path: Path) -> IO[str]:
    """Open a file that nobody else may open: who can read it can hold its lock."""
    held = open(path, "a+", opener=lambda name, flags: os.open(name, flags, 0o600))  # noqa: SIM115 - it is held as long as the database
    with contextlib.suppress(PermissionError):
        # one of another user is as safe as they have made it
        os.fchmod(held.fileno(), 0o600)
    return held


def _take(held: IO[str], path: Path) -> None:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as fault:
        held.seek(0)
        holder = held.read().strip() or "unknown"
        raise OperatorError("database_locked", f"{path} is being served by process {holder}.") from fault
    except OSError as fault:
        raise OperatorError("database_unusable", f"{held.name} cannot be locked: {fault.strerror}.") from fault
    held.truncate(0)
    held.write(str(os.getpid()))
    held.flush()


def _untold(_step: str, _done: int, _total: int | None) -> None:
    """Tell nobody."""


def backup(path: Path, to: Path, progress: Progress = _untold) -> None:
    """Copy a database, also while it is served, to a new file that is its owner's alone.

    The copy is one consistent state, and is only there, whole and on disk, when this returns.

    Raises:
        OperatorError: the source is no database of ours, `to` exists, or cannot be written.
    """
    if to.exists():
        raise OperatorError("output_unusable", f"{to} exists; a backup is never written over something.")
    if path.is_file():
        must_have_one_name(path)
    with _copied(path, to, progress) as part:
        progress(_SYNCING, 0, None)
        _rename(part, to)


def restore(copy: Path, to: Path, *, force: bool = False, progress: Progress = _untold) -> str:
    """Put a backup in the place of a database and begin a new history; return its id.

    Cursors given out before are refused from then on, because the events after the backup are gone and their numbers
    will be given again. A crash leaves either the old database whole or the new one.

    Raises:
        OperatorError: the copy is damaged or none of ours, `to` is in use, or exists and `force` is not set.
    """
    to = to.resolve()
    if to.exists() and not force:
        raise OperatorError("usage", f"{to} exists; --force puts the backup in its place.")
    if to.is_dir():
        raise OperatorError("database_unusable", f"{to} is a folder.")
    if not copy.is_file():
        raise OperatorError("usage", f"There is no backup {copy}: `oddswire backup` makes one.")
    with contextlib.closing(lock(to)), _copied(copy, to, progress) as part:
        progress(_CHECKING, 0, None)
        history = _begin_history(part, copy)
        progress(_SYNCING, 0, None)
        _fold(to)
        _rename(part, to)
    return history


def _make(path: Path, called: Path) -> None:
    """Make a new file that nobody else may read, for it will hold signing keys; errors name it as it was `called`."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return
    except OSError as fault:
        raise OperatorError("database_unusable", f"{called} cannot be made: {fault.strerror}.") from fault


def _must_be_writable(path: Path) -> None:
    """Refuse what SQLite would open all the same, only to fail at the first write."""
    for place, name in ((path, str(path)), (path.parent, f"The folder of {path}")):
        if not os.access(place, os.W_OK, effective_ids=True):
            raise OperatorError("database_unusable", f"{name} may not be written.")


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Switch a new file to WAL mode; SQLite does not wait by itself for another process that does the same."""
    deadline = time.monotonic() + BUSY_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as fault:
            if primary_code(fault) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.005)


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=512,
        timeout=BUSY_MS / 1000,
    )


@contextlib.contextmanager
def _copied(path: Path, to: Path, progress: Progress) -> Iterator[Path]:
    """Yield a whole copy beside `to`, under a name of its own; what is left there in the end is removed."""
    if not path.is_file():
        raise OperatorError("database_missing", f"There is no database {path}.")
    part = to.with_name(f"{to.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    _make(part, to)
    try:
        _copy(path, part, progress)
        yield part
    except sqlite3.Error as fault:
        if getattr(fault, "sqlite_errorcode", 0) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE):
            # only the copy is written
            raise OperatorError("output_unusable", f"{to} cannot be written: {fault}.") from fault
        raise unusable(path, fault) from fault
    except OSError as fault:
        raise OperatorError("database_unusable", f"{to} cannot be written: {fault.strerror}.") from fault
    finally:
        part.unlink(missing_ok=True)


def _copy(path: Path, part: Path, progress: Progress) -> None:
    with contextlib.closing(_open(path)) as source, contextlib.closing(_open(part)) as target:
        if not is_ours(source, path):
            raise OperatorError("database_foreign", f"{path} is empty.")
        # one read transaction around it all: otherwise every commit of a busy server would begin the copy anew
        source.execute("BEGIN")
        source.execute("SELECT COUNT(*) FROM history").fetchone()
        source.backup(
            target,
            pages=COPY_PAGES,
            progress=lambda _status, left, total: progress(_COPYING, total - left, total),
            sleep=0,
        )
        source.execute("ROLLBACK")
        target.execute("PRAGMA journal_mode=DELETE")


def _begin_history(part: Path, copy: Path) -> str:
    history = new_history_id()
    with contextlib.closing(_open(part)) as connection:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise OperatorError("database_unusable", f"{copy} is damaged: {found}.")
        now = time.time_ns() // 1_000_000
        connection.execute("UPDATE history SET history_id = ?, begun_at = ?", (history, now))
    return history


def _fold(to: Path) -> None:
    """Fold its write-ahead log into the database that goes: the new one must not find it, the old one may be needed.

    Raises:
        OperatorError: `database_locked`: another process has the database open.
    """
    if to.exists():
        try:
            with contextlib.closing(_open(to)) as old:
                old.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.Error as fault:
            if primary_code(fault) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise unusable(to, fault) from fault
            # a file that is too damaged to be opened has no use for its log either
    for suffix in ("-wal", "-shm"):
        to.with_name(to.name + suffix).unlink(missing_ok=True)


def _rename(part: Path, to: Path) -> None:
    """Make the new file durable before its name, and its name before we say so."""
    _sync(part)
    _sync(part.parent)
    part.rename(to)
    _sync(to.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
