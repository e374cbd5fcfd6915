from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from oddswire.store.queries import CORE, Schema
from oddswire.store.sqlite import SqliteStore

SAMPLE = Schema("sample", "tests.store.sample")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "oddswire.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(path, [CORE, SAMPLE], exclusive=True)
    yield store
    await store.close()
