"""The log of a stream: where it is made."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from oddswire.store.queries import CORE
from oddswire.store.sqlite import SqliteStore
from oddswire.streams import log


async def test_a_stream_whose_id_is_taken_gets_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids: Iterator[int] = iter([1, 1, 1, 2])
    monkeypatch.setattr(log, "new_stream_id", lambda _now: next(ids))
    store = await SqliteStore.open(tmp_path / "log.db", [CORE], exclusive=True)
    try:
        ann = await store.write(lambda tx: log.open_stream(tx, "demo", "ann", 7))
        bob = await store.write(lambda tx: log.open_stream(tx, "demo", "bob", 7))
        assert (ann.stream_id, bob.stream_id, bob.user_id, bob.head) == (1, 2, "bob", 0)
        assert await store.write(lambda tx: log.open_stream(tx, "demo", "ann", 8)) == ann
    finally:
        await store.close()
