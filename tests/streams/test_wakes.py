from oddswire.streams.wakes import NEVER, WOKEN_A_TURN, Wakes
from tests.streams.conftest import HandClock, until


class Sleeper:
    def __init__(self) -> None:
        self.wake_at = NEVER
        self.woken: list[int] = []

    def wake(self, now: int, wall: int) -> None:
        self.woken.append(wall)


def test_each_is_woken_once_when_it_is_due() -> None:
    clock = HandClock()
    wakes, sleeper, start = Wakes(clock), Sleeper(), clock.ms
    wakes.at(sleeper, start + 100)
    wakes.at(sleeper, start + 200)  # woken earlier anyway
    wakes.at(sleeper, start + 50)
    clock.ms = start + 49
    assert not wakes.wake_due()
    assert sleeper.woken == []
    clock.ms = start + 300
    wakes.wake_due()
    assert sleeper.woken == [start + 300]
    assert sleeper.wake_at == NEVER


def test_a_crowd_is_woken_in_turns() -> None:
    clock = HandClock()
    wakes, sleepers = Wakes(clock), [Sleeper() for _ in range(WOKEN_A_TURN + 1)]
    for sleeper in sleepers:
        wakes.at(sleeper, clock.ms)
    assert wakes.wake_due()
    assert sleepers[-1].woken == []
    assert not wakes.wake_due()
    assert all(sleeper.woken for sleeper in sleepers)


async def test_it_ticks() -> None:
    clock = HandClock()
    wakes = Wakes(clock, tick_seconds=0.01)
    wakes.start()
    sleepers = [Sleeper() for _ in range(3 * WOKEN_A_TURN)]
    for sleeper in sleepers:
        wakes.at(sleeper, clock.ms)
    await until(lambda: all(sleeper.woken for sleeper in sleepers))
    wakes.stop()
