import asyncio
import os
import shutil
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from oddswire.errors import OperatorError, Unavailable
from oddswire.store.queries import CORE
from oddswire.store.sqlite import SqliteStore
from oddswire.store.sqlite_file import backup, restore
from oddswire.store.sqlite_whereabouts import Misplaced, Whereabouts
from oddswire.testing.store_suite import add, names


def delete(path: Path) -> None:
    path.unlink()


def move_away(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))


def replace(path: Path) -> None:
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").rename(path)


def delete_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("gone"))


class Ending:
    """Takes the place of ending the process."""

    def __init__(self) -> None:
        self.reason = ""
        self.told = threading.Event()

    def __call__(self, reason: str) -> None:
        self.reason = reason
        self.told.set()


@asynccontextmanager
async def served(path: Path) -> AsyncIterator[tuple[SqliteStore, Ending]]:
    ending = Ending()
    path.parent.mkdir(exist_ok=True)
    store = await SqliteStore.open(path, [CORE], exclusive=True, fatal=ending)
    try:
        await store.write(add("ann"))
        yield store, ending
    finally:
        await store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "oddswire.db"


@pytest.mark.parametrize("suffix", ["", "-wal", ".lock"])
@pytest.mark.parametrize(
    ("harm", "words"),
    [(delete, "was deleted"), (move_away, "was deleted"), (replace, "was replaced"), (delete_folder, "was deleted")],
)
async def test_a_file_that_is_gone_ends_an_idle_process(
    path: Path, suffix: str, harm: Callable[[Path], None], words: str
) -> None:
    async with served(path) as (store, ending):
        harm(path.with_name(path.name + suffix))
        assert await asyncio.to_thread(ending.told.wait, 2)
        assert words in ending.reason
        with pytest.raises(Unavailable):
            await store.write(add("bob"))


@pytest.mark.parametrize("harm", [delete, replace])
async def test_nobody_is_answered_whose_commit_went_into_a_file_that_is_gone(
    path: Path, harm: Callable[[Path], None]
) -> None:
    async with served(path) as (store, ending):
        harm(path)
        asking = asyncio.ensure_future(store.write(add("bob")))
        assert await asyncio.to_thread(ending.told.wait, 2)
        done, _ = await asyncio.wait({asking}, timeout=0.3)
        assert not done or isinstance(asking.exception(), Unavailable)
        asking.cancel()


async def test_files_that_stay_are_never_called_gone(path: Path, tmp_path: Path) -> None:
    """Also while others come and go, copy it, and give it another name for a while."""
    async with served(path) as (store, ending):
        for number in range(3):
            other = await SqliteStore.open(path, [CORE], exclusive=False)
            await other.write(add(f"user{number}"))
            await other.close()
            backup(path, tmp_path / f"copy{number}.db")
            os.link(path, tmp_path / "linked.db")
            await store.write(add(f"more{number}"))
            (tmp_path / "linked.db").unlink()
        assert len(await store.read(names)) == 7
        assert not ending.told.is_set()


def test_a_log_that_comes_later_is_known_from_then_on(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    whereabouts = Whereabouts(path, None)
    whereabouts.check()
    wal = path.with_name("oddswire.db-wal")
    wal.touch()
    whereabouts.check()
    wal.unlink()
    with pytest.raises(Misplaced, match=r"oddswire\.db-wal was deleted"):
        whereabouts.check()


def test_what_cannot_be_looked_at_is_not_called_gone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.parent.mkdir()
    path.touch()
    whereabouts = Whereabouts(path, None)

    def fail(_: object) -> os.stat_result:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr("oddswire.store.sqlite_whereabouts.os.stat", fail)
        whereabouts.check()
    path.unlink()
    with pytest.raises(Misplaced):
        whereabouts.check()


async def test_a_second_name_is_refused_and_a_copy_with_two_is_restored(path: Path, tmp_path: Path) -> None:
    async with served(path) as (store, ending):
        os.link(path, tmp_path / "second.db")
        for opened in (tmp_path / "second.db", path):
            with pytest.raises(OperatorError, match=r"has 2 names \(hard links\)") as told:
                await SqliteStore.open(opened, [CORE], exclusive=opened != path)
            assert told.value.code == "database_unusable"
        with pytest.raises(OperatorError, match="has 2 names"):
            backup(tmp_path / "second.db", tmp_path / "copy.db")
        await store.write(add("bob"))
        assert await store.read(names) == ["ann", "bob"]
        assert not ending.told.is_set()
        (tmp_path / "second.db").unlink()
        backup(path, tmp_path / "copy.db")
    os.link(tmp_path / "copy.db", tmp_path / "same.db")
    restore(tmp_path / "copy.db", tmp_path / "restored.db")
    again = await SqliteStore.open(tmp_path / "restored.db", [CORE], exclusive=True)
    assert await again.read(names) == ["ann", "bob"]
    await again.close()
