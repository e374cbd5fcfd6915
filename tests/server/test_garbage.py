import gc
import weakref
from collections.abc import Iterator

import pytest

from oddswire.server.garbage import THAW_SECONDS, ShortCollections


class Ring:
    """Holds itself."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    frozen = gc.get_freeze_count()
    yield
    gc.unfreeze()
    if frozen:
        gc.freeze()


def full_collection(short: ShortCollections) -> None:
    short.look("start", {"generation": 2})
    gc.collect()
    short.look("stop", {"generation": 2})


def test_what_survives_a_full_collection_is_not_looked_at_again() -> None:
    short = ShortCollections(lambda: 0.0)
    kept = [Ring() for _ in range(1000)]
    full_collection(short)
    assert gc.get_freeze_count() >= len(kept)
    gone = weakref.ref(kept[0])
    kept.clear()
    full_collection(short)
    assert gone() is not None


def test_now_and_then_everything_is_looked_at() -> None:
    now = [0.0]
    short = ShortCollections(lambda: now[0])
    kept = [Ring()]
    full_collection(short)
    gone = weakref.ref(kept.pop())
    now[0] = THAW_SECONDS
    full_collection(short)
    assert gone() is None


@pytest.mark.parametrize("generation", [0, 1])
def test_a_young_collection_changes_nothing(generation: int) -> None:
    before = gc.get_freeze_count()
    ShortCollections(lambda: 0.0).look("stop", {"generation": generation})
    assert gc.get_freeze_count() == before
