"""Backup and restore."""

import asyncio
import os
import resource
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from oddswire.errors import OperatorError
from oddswire.store import sqlite_file
from oddswire.store.base import Tx
from oddswire.store.queries import CORE
from oddswire.store.sqlite import SqliteStore
from oddswire.store.sqlite_file import backup, connect, restore
from oddswire.testing.store_suite import add
from tests.store.test_sqlite_file import filled, look, make, python, seen


def test_a_backup_is_a_database(path: Path, tmp_path: Path) -> None:
    history = make(path, "ann", "bob")
    copy = tmp_path / "copy.db"
    backup(path, copy)
    assert look(copy) == (history, ["ann", "bob"])
    assert not list(tmp_path.glob("*.part*"))


def test_a_backup_is_never_written_over_something(path: Path, tmp_path: Path) -> None:
    make(path)
    copy = tmp_path / "copy.db"
    copy.write_text("precious")
    with pytest.raises(OperatorError, match="exists"):
        backup(path, copy)
    assert copy.read_text() == "precious"


def test_a_backup_that_cannot_be_is_told(path: Path, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="There is no database"):
        backup(path, tmp_path / "copy.db")
    make(path)
    with pytest.raises(OperatorError, match=r"copy\.db.* cannot be made: No such file"):
        backup(path, tmp_path / "missing" / "copy.db")
    for content in (b"", b"not a database at all\n"):
        (tmp_path / "other.db").write_bytes(content)
        with pytest.raises(OperatorError) as fault:
            backup(tmp_path / "other.db", tmp_path / "copy.db")
        assert fault.value.code == "database_foreign"
    assert not list(tmp_path.glob("copy*"))


def test_a_backup_that_finds_no_room_names_the_file_that_was_given(path: Path, tmp_path: Path) -> None:
    make(path, "ann")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # the source needs 32 KiB of memory that it shares by a file
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, before[1]))
    try:
        with pytest.raises(OperatorError, match=r"copy\.db cannot be written") as fault:
            backup(path, tmp_path / "copy.db")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert fault.value.code == "output_unusable"
    assert not list(tmp_path.glob("copy*"))


def test_a_backup_that_is_interrupted_leaves_nothing(path: Path, tmp_path: Path) -> None:
    make(path, "ann")

    def interrupt(_step: str, _done: int, _total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backup(path, tmp_path / "copy.db", interrupt)
    assert not list(tmp_path.glob("copy*"))


# ---- restore


def test_a_restore_begins_a_new_history(path: Path, tmp_path: Path) -> None:
    history = make(path, "ann")
    copy = tmp_path / "copy.db"
    backup(path, copy)
    before = copy.read_bytes()
    to = tmp_path / "new.db"
    restored = restore(copy, to)
    assert restored != history
    assert look(to) == (restored, ["ann"])
    assert copy.read_bytes() == before
    assert look(copy) == (history, ["ann"])
    assert stat.S_IMODE(to.stat().st_mode) == 0o600


def test_a_restore_takes_the_place_only_by_force(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    make(path, "ann")
    backup(path, copy)
    history = make(path, "late")
    with pytest.raises(OperatorError, match="--force"):
        restore(copy, path)
    assert look(path) == (history, ["ann", "late"])
    assert look(path) != look(copy)
    restored = restore(copy, path, force=True)
    assert look(path) == (restored, ["ann"])


def test_a_log_that_was_left_behind_is_not_played_into_what_is_restored(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    make(path, "ann")
    backup(path, copy)
    script = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute(\"INSERT INTO apps (app_id, origins, active, created_at) VALUES ('late', '[]', 1, 0)\"); os._exit(9)"
    )
    assert python(script, path).returncode == 9
    log = path.with_name("oddswire.db-wal")
    assert log.stat().st_size
    restored = restore(copy, path, force=True)
    assert not log.exists()
    assert look(path) == (restored, ["ann"])


def test_a_log_without_its_database_is_not_played_either(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    make(path, "ann")
    backup(path, copy)
    with closing(connect(path)) as connection:
        connection.execute("INSERT INTO apps (app_id, origins, active, created_at) VALUES ('late', '[]', 1, 0)")
        log = path.with_name("oddswire.db-wal").read_bytes()
    path.unlink()
    path.with_name("oddswire.db-wal").write_bytes(log)
    restored = restore(copy, path)
    assert look(path) == (restored, ["ann"])


def test_a_restore_over_a_damaged_file_is_possible(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    make(path, "ann")
    backup(path, copy)
    path.write_bytes(b"ruins")
    restored = restore(copy, path, force=True)
    assert look(path) == (restored, ["ann"])


async def test_a_restore_is_refused_while_the_database_is_in_use(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy.db"
    await filled(path, "ann")
    backup(path, copy)
    store = await SqliteStore.open(path, [CORE], exclusive=True)
    with pytest.raises(OperatorError, match="is being served by process"):
        restore(copy, path, force=True)
    await store.close()
    monkeypatch.setattr(sqlite_file, "BUSY_MS", 50)
    store = await SqliteStore.open(path, [CORE], exclusive=False)
    with pytest.raises(OperatorError, match="is locked by another process"):
        restore(copy, path, force=True)
    await store.write(add("bob"))
    await store.close()
    assert await seen(path) == (store.history_id, ["ann", "bob"])


def test_what_cannot_be_restored_leaves_all_as_it_was(path: Path, tmp_path: Path) -> None:
    history = make(path, "ann")
    copy = tmp_path / "copy.db"

    def fails(words: str, to: Path = path) -> None:
        with pytest.raises(OperatorError, match=words):
            restore(copy, to, force=True)

    fails("There is no backup")
    backup(path, copy)
    fails("is a folder", tmp_path)
    fails("cannot be made", tmp_path / "missing" / "to.db")
    sound = copy.read_bytes()
    copy.write_bytes(sound[: len(sound) - 4096])
    fails("damaged|malformed")
    # one page that nothing reads on the way: only a look at all of them finds it
    copy.write_bytes(sound[:-4096] + bytes(4096))
    fails("copy.db is damaged")
    copy.write_bytes(sound[:8192] + os.urandom(len(sound) - 8192))
    fails("damaged|malformed")
    copy.write_bytes(b"not a database at all\n")
    fails("no SQLite database")
    with closing(sqlite3.connect(tmp_path / "photos.db")) as other:
        other.execute("CREATE TABLE photos (x)")
    copy.write_bytes((tmp_path / "photos.db").read_bytes())
    fails("another program")
    assert look(path) == (history, ["ann"])
    assert not list(tmp_path.glob("*.part*"))


CRASH = """
import os, sys
from pathlib import Path
from oddswire.store import sqlite_file
copy, to, where = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
def crash(*_: object) -> None:
    os._exit(9)
told = {"progress": crash} if where == "progress" else {}
if where != "progress":
    setattr(sqlite_file, where, crash)
sqlite_file.restore(copy, to, force=True, **told)
"""


@pytest.mark.parametrize("where", ["progress", "_begin_history", "_fold", "_rename"])
def test_a_crash_while_restoring_leaves_the_old_one_whole(path: Path, tmp_path: Path, where: str) -> None:
    copy = tmp_path / "copy.db"
    make(path, "ann")
    backup(path, copy)
    script = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute(\"INSERT INTO apps (app_id, origins, active, created_at) VALUES ('only in the log', '[]', 1, 0)\"); "
        "os._exit(9)"
    )
    assert python(script, path).returncode == 9
    assert python(CRASH, copy, path, where).returncode == 9
    assert (look(path))[1] == ["ann", "only in the log"]
    restored = restore(copy, path, force=True)
    assert look(path) == (restored, ["ann"])


BACKUP = """
import sys
from pathlib import Path
from oddswire.store import sqlite_file
sqlite_file.COPY_PAGES = 8
def told(_step: str, done: int, total: int | None) -> None:
    if total is not None:
        print(done, total, flush=True)
sqlite_file.backup(Path(sys.argv[1]), Path(sys.argv[2]), told)
"""


async def test_a_backup_beside_a_busy_server_is_one_moment(path: Path, tmp_path: Path) -> None:
    store = await SqliteStore.open(path, [CORE], exclusive=True)
    await store.write(lambda tx: [tx.run("streams.insert", n, "app", f"user-{n}", 0) for n in (1, 2)])
    await store.write(lambda tx: [add(f"{n:04}-{'x' * 900}")(tx) for n in range(1_000)])
    stop = False

    async def write(head: int = 0) -> int:
        while not stop:
            head += 1

            def unit(tx: Tx, head: int = head) -> None:
                for n in (1, 2):
                    tx.run("streams.advance", n, head, 0)
                tx.run("streams.insert_event", 1, head, 0, "y" * 500)

            await store.write(unit)
        return head

    def heads(tx: Tx) -> list[Any]:
        return [tx.one(lambda *row: row[3], "streams.by_id", n) for n in (1, 2)]

    writing = asyncio.ensure_future(write())
    command = [sys.executable, "-c", BACKUP, str(path), str(tmp_path / "copy.db")]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    first_line = await process.stdout.readline()
    at_begin = (await store.read(heads))[0]
    lines = [first_line, *(await process.stdout.read()).splitlines()]
    assert await process.wait() == 0
    at_end = (await store.read(heads))[0]
    stop = True
    assert await writing >= at_end > at_begin
    await store.close()
    done = [int(line.split()[0]) for line in lines]
    assert len(done) > 20
    assert done == sorted(done)
    assert len({line.split()[1] for line in lines}) == 1
    copy = await SqliteStore.open(tmp_path / "copy.db", [CORE], exclusive=False)
    first, second = await copy.read(heads)
    events = await copy.read(lambda tx: tx.all(lambda seq, _: int(seq), "streams.page", 1, 0, 10**6))
    await copy.close()
    assert first == second <= at_begin + 64
    assert events == list(range(1, first + 1))
