import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from oddswire.errors import OperatorError
from oddswire.store import sqlite_file
from oddswire.store.queries import CORE
from oddswire.store.sqlite import SqliteStore
from oddswire.store.sqlite_file import backup, connect, lock
from oddswire.testing.store_suite import add, names


async def filled(path: Path, *stored: str) -> str:
    store = await SqliteStore.open(path, [CORE], exclusive=True)
    for name in stored:
        await store.write(add(name))
    await store.close()
    return store.history_id


def make(path: Path, *stored: str) -> str:
    """Make a database with these names in it; return its history's id."""
    return asyncio.run(filled(path, *stored))


async def seen(path: Path) -> tuple[str, list[str]]:
    store = await SqliteStore.open(path, [CORE], exclusive=False)
    try:
        return store.history_id, await store.read(names)
    finally:
        await store.close()


def look(path: Path) -> tuple[str, list[str]]:
    """Return a database's history id and the names in it."""
    return asyncio.run(seen(path))


async def opening_fails(path: Path, code: str, words: str, *, exclusive: bool = False) -> None:
    with pytest.raises(OperatorError, match=words) as fault:
        await SqliteStore.open(path, [CORE], exclusive=exclusive)
    assert fault.value.code == code


def refused(path: Path, code: str, words: str, *, exclusive: bool = False) -> None:
    asyncio.run(opening_fails(path, code, words, exclusive=exclusive))


def python(script: str, *args: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", script, *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@contextmanager
def without_rights() -> Iterator[Path]:
    """Yield a folder, and be nobody in particular in it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if os.geteuid():
            yield folder
            folder.chmod(0o700)
        else:
            folder.chmod(0o755)
            try:
                yield folder
            finally:
                os.seteuid(0)


def give_up_rights(path: Path, mode: int) -> None:
    path.chmod(mode)
    if not os.geteuid():
        os.seteuid(65534)


# ---- opening


def test_a_connection_commits_durably(path: Path) -> None:
    with closing(connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)


def test_a_new_file_is_its_owners_alone(path: Path, tmp_path: Path) -> None:
    make(path, "ann")
    backup(path, tmp_path / "copy.db")
    with closing(connect(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        files = [path, tmp_path / "copy.db", *tmp_path.glob("oddswire.db-*")]
        assert len(files) == 4
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


@pytest.mark.parametrize("content", [b"ruins", b"not a database at all\n" * 100, b"\0" * 4096])
def test_a_file_that_is_no_database_is_left_as_it_is(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    refused(path, "database_foreign", "is no SQLite database")
    assert path.read_bytes() == content


@pytest.mark.parametrize("mark", [0, 42])
def test_another_programs_database_is_left_as_it_is(path: Path, mark: int) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute(f"PRAGMA application_id={mark}")
        other.execute("CREATE TABLE photos (x)")
        other.commit()
    before = path.read_bytes()
    refused(path, "database_foreign", "is a database of another program", exclusive=True)
    assert path.read_bytes() == before
    assert not list(path.parent.glob("*-wal"))


def test_an_empty_file_is_a_new_database(path: Path) -> None:
    path.touch()
    assert make(path, "ann")


def test_a_path_that_cannot_be_is_told(path: Path, tmp_path: Path) -> None:
    for exclusive in (False, True):
        nowhere = tmp_path / "missing" / "oddswire.db"
        refused(nowhere, "database_unusable", "cannot be made: No such file", exclusive=exclusive)
        refused(tmp_path, "database_unusable", "it is a folder", exclusive=exclusive)


def test_a_name_with_odd_characters_is_a_name(tmp_path: Path) -> None:
    odd = tmp_path / "a?mode=ro#%41 ü.db"
    make(odd, "ann")
    assert (look(odd))[1] == ["ann"]
    assert {path.name for path in tmp_path.iterdir()} == {odd.name, f"{odd.name}.lock"}


def test_a_file_that_may_not_be_written_is_told() -> None:
    with without_rights() as folder:
        path = folder / "oddswire.db"
        make(path)
        (folder / "oddswire.db.lock").chmod(0o666)
        give_up_rights(path, 0o444)
        for exclusive in (False, True):
            refused(path, "database_unusable", "oddswire.db may not be written", exclusive=exclusive)


def test_a_folder_that_may_not_be_written_is_told() -> None:
    with without_rights() as folder:
        give_up_rights(folder, 0o555)
        refused(folder / "oddswire.db", "database_unusable", "cannot be made: Permission denied")
        refused(folder / "oddswire.db", "database_unusable", "lock cannot be made", exclusive=True)


def test_a_file_that_another_process_keeps_to_itself_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(path)
    monkeypatch.setattr(sqlite_file, "BUSY_MS", 50)
    with closing(connect(path)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE history SET begun_at = 1")
        refused(path, "database_locked", "is locked by another process")


# ---- the lock


async def test_a_second_serve_is_refused_and_others_are_not(path: Path, tmp_path: Path) -> None:
    store = await SqliteStore.open(path, [CORE], exclusive=True)
    try:
        await opening_fails(path, "database_locked", f"is being served by process {os.getpid()}", exclusive=True)
        alias = tmp_path / "alias.db"
        alias.symlink_to(path)
        await opening_fails(alias, "database_locked", "is being served", exclusive=True)
        assert (await seen(path))[0] == store.history_id
    finally:
        await store.close()
    await filled(path)


def test_the_lock_goes_with_its_process(path: Path) -> None:
    script = "import os, sys, pathlib; from oddswire.store.sqlite_file import lock; lock(pathlib.Path(sys.argv[1]))\n"
    assert python(script + "os._exit(9)", path).returncode == 9
    lock(path).close()


def test_the_lock_is_nobody_else_s_to_take(path: Path) -> None:
    there = path.with_name(path.name + ".lock")
    for before in (None, 0o644):
        if before is not None:
            there.chmod(before)
        lock(path).close()
        assert stat.S_IMODE(there.stat().st_mode) == 0o600


def test_a_database_that_could_not_be_opened_is_not_locked(path: Path) -> None:
    path.write_bytes(b"ruins")
    refused(path, "database_foreign", "is no SQLite database", exclusive=True)
    path.unlink()
    make(path)
