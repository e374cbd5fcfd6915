"""Many things wait on one timer, and each is over when its own time is."""

import asyncio
import time

from oddswire.patience import Patience

SECONDS = 0.05


class Waiting:
    """A patience, and what was over when, in seconds since the beginning."""

    def __init__(self) -> None:
        self.patience = Patience[str, str](SECONDS, self._over)
        self.began = time.monotonic()
        self.over: list[tuple[str, float]] = []

    def _over(self, value: str) -> None:
        self.over.append((value, time.monotonic() - self.began))

    async def until_over(self, *values: str) -> None:
        async with asyncio.timeout(10):
            while len(self.over) < len(values):
                await asyncio.sleep(0.001)
        assert [value for value, _ in self.over] == list(values)


async def test_what_ends_in_time_is_never_over() -> None:
    waiting = Waiting()
    waiting.patience.begin("a", "ann")
    waiting.patience.begin("b", "bob")
    assert (waiting.patience.get("a"), waiting.patience.end("a"), waiting.patience.end("a")) == ("ann", "ann", None)
    assert waiting.patience.get("a") is None
    assert len(waiting.patience) == 1
    await waiting.until_over("bob")
    assert len(waiting.patience) == 0


async def test_each_waits_its_own_time_and_the_timer_is_set_again() -> None:
    waiting = Waiting()
    waiting.patience.begin("a", "ann")
    await asyncio.sleep(SECONDS / 2)
    later = time.monotonic() - waiting.began
    waiting.patience.begin("b", "bob")
    await waiting.until_over("ann", "bob")
    (_, first), (_, second) = waiting.over
    assert first >= SECONDS * 0.9
    assert second >= later + SECONDS * 0.9
    waiting.patience.begin("c", "cy")
    await waiting.until_over("ann", "bob", "cy")


async def test_a_new_value_under_a_key_waits_no_longer_than_the_first() -> None:
    waiting = Waiting()
    waiting.patience.begin("a", "ann")
    waiting.patience.begin("b", "bob")
    await asyncio.sleep(SECONDS / 2)
    waiting.patience.begin("a", "ann again")
    await waiting.until_over("ann again", "bob")


async def test_after_clear_nothing_is_over() -> None:
    waiting = Waiting()
    waiting.patience.begin("a", "ann")
    assert waiting.patience.clear() == ["ann"]
    waiting.patience.begin("b", "bob")
    await waiting.until_over("bob")


async def test_one_that_is_over_may_begin_anew_at_once() -> None:
    waiting = Waiting()

    def over(value: str) -> None:
        waiting.over.append((value, 0))
        if len(waiting.over) < 3:
            patience.begin("a", value)

    patience = Patience[str, str](SECONDS / 10, over)
    patience.begin("a", "ann")
    await waiting.until_over("ann", "ann", "ann")
