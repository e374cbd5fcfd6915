from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from oddswire.auth.authority import Authority
from oddswire.store.queries import CORE
from oddswire.store.sqlite import SqliteStore

NOW = 1_800_000_000_000


class HandClock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> int:
        return self.at

    def monotonic(self) -> float:
        return self.at / 1000


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(tmp_path / "auth.db", [CORE], exclusive=True)
    yield store
    await store.close()


@pytest.fixture
async def elsewhere(store: SqliteStore, tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """The same database, as another process has it open."""
    other = await SqliteStore.open(tmp_path / "auth.db", [CORE], exclusive=False)
    yield other
    await other.close()


@pytest.fixture
async def authority(store: SqliteStore, clock: HandClock) -> Authority:
    authority = Authority(store, clock)
    await authority.start()
    return authority
