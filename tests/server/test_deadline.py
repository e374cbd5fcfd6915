"""A deadline that is set again and again takes one timer, and is missed once."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from oddswire.server.deadline import Deadline


class HandLoop:
    """The part of a loop that tells the time and keeps timers; both go by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.made = 0

    def time(self) -> float:
        return self.now

    def call_at(self, at: float, call: Callable[[], None]) -> "HandLoop":
        self.timers = [(at, call)]
        self.made += 1
        return self

    def cancel(self) -> None:
        self.timers.clear()

    def pass_to(self, now: float) -> None:
        while self.timers and self.timers[0][0] <= now:
            at, call = self.timers.pop()
            self.now = at
            call()
        self.now = now


@pytest.fixture
def loop() -> HandLoop:
    return HandLoop()


@pytest.fixture
def missed() -> list[float]:
    return []


@pytest.fixture
def deadline(loop: HandLoop, missed: list[float]) -> Deadline:
    return Deadline(cast("asyncio.AbstractEventLoop", cast("Any", loop)), lambda: missed.append(loop.now))


def test_it_is_missed_once(loop: HandLoop, deadline: Deadline, missed: list[float]) -> None:
    deadline.set(5)
    loop.pass_to(4.9)
    assert missed == []
    loop.pass_to(100)
    assert missed == [5]


def test_set_anew_it_counts_from_then_and_takes_no_other_timer(
    loop: HandLoop, deadline: Deadline, missed: list[float]
) -> None:
    for second in range(50):
        loop.pass_to(second / 10)
        deadline.set(5)
    assert loop.made == 1
    loop.pass_to(9.8)
    assert missed == []
    loop.pass_to(10)
    assert missed == [pytest.approx(9.9)]


def test_an_earlier_one_is_in_time(loop: HandLoop, deadline: Deadline, missed: list[float]) -> None:
    deadline.set(60)
    deadline.set(2)
    loop.pass_to(100)
    assert missed == [2]


def test_cleared_it_is_not_missed_and_can_be_set_again(loop: HandLoop, deadline: Deadline, missed: list[float]) -> None:
    deadline.set(5)
    deadline.clear()
    loop.pass_to(20)
    assert missed == []
    deadline.set(5)
    loop.pass_to(30)
    assert missed == [25]


def test_ended_it_leaves_no_timer(loop: HandLoop, deadline: Deadline, missed: list[float]) -> None:
    deadline.set(5)
    deadline.end()
    assert loop.timers == []
    loop.pass_to(20)
    assert missed == []
