from collections.abc import Callable

import pytest

from oddswire.auth.identity import Identity
from oddswire.streams.countdown import Absent, ArmedRow, Countdowns

WALL = 1_700_000_000_000
SECOND = 1_000
ANN = Identity("app", "ann", "s1", WALL, WALL + 3_600_000)
Step = tuple[int, str] | tuple[int, str, int]


def absent(gone_at: int) -> Absent:
    return Absent("app", "ann", "s1", WALL + gone_at)


def play(countdowns: Countdowns, *steps: Step) -> None:
    """Do what each step says at its time, in ms from the beginning; what has changed is kept at once."""
    doing: dict[str, Callable[..., None]] = {
        "here": lambda at, seconds: countdowns.here(ANN, seconds),
        "gone": lambda at: countdowns.gone("s1", at, WALL + at),
        "revoked": lambda at: countdowns.gone_for_good(lambda who: who.session_id == "s1", at, WALL + at),
        "another revoked": lambda at: countdowns.gone_for_good(lambda who: who.session_id != "s1", at, WALL + at),
    }
    for at, name, *more in steps:
        doing[name](at, *more)
        for armed in countdowns.unkept():
            countdowns.keep(armed.session_id, armed.gone_at)


@pytest.mark.parametrize(
    ("steps", "due_at", "since"),
    [
        pytest.param([(0, "here", 30)], None, 0, id="who is here is never due"),
        pytest.param([(0, "here", 30), (5_000, "gone")], 35_000, 5_000, id="gone for its seconds"),
        pytest.param([(0, "here", 30), (5_000, "gone"), (9_000, "gone")], 35_000, 5_000, id="the first end counts"),
        pytest.param([(0, "here", 30), (0, "gone"), (29_999, "here", 30)], None, 0, id="back in time"),
        pytest.param([(0, "here", 1), (0, "gone"), (1_001, "here", 1)], None, 0, id="back before it was taken"),
        pytest.param(
            [(0, "here", 30), (0, "gone"), (20_000, "here", 30), (21_000, "gone")], 51_000, 21_000, id="counts anew"
        ),
        pytest.param([(0, "here", 30), (0, "here", 5), (0, "gone")], 5_000, 0, id="the last number said counts"),
        pytest.param([(0, "here", 30), (0, "here", 0), (0, "gone")], None, 0, id="disarmed"),
        pytest.param([(0, "gone")], None, 0, id="never armed"),
        pytest.param([(0, "here", 300), (7_000, "revoked")], 7_000, 7_000, id="signed out: at once"),
        pytest.param([(0, "here", 300), (1_000, "gone"), (7_000, "revoked")], 7_000, 1_000, id="signed out when gone"),
        pytest.param([(0, "here", 30), (0, "gone"), (7_000, "another revoked")], 30_000, 0, id="somebody else is"),
    ],
)
def test_when_a_session_is_due(steps: list[Step], due_at: int | None, since: int) -> None:
    countdowns = Countdowns()
    play(countdowns, *steps)
    if due_at is None:
        assert countdowns.due(1 << 60) == []
    else:
        assert countdowns.due(due_at - 1) == []
        assert countdowns.due(due_at) == [absent(since)]


@pytest.mark.parametrize(
    ("seconds", "gone_at", "due_at", "since"),
    [
        pytest.param(30, None, 30_000, 0, id="it was here: all its seconds from the start on"),
        pytest.param(30, -5_000, 25_000, -5_000, id="it was gone: the time runs on"),
        pytest.param(30, -3_600_000, 10_000, -3_600_000, id="it has had no chance to come back yet"),
        pytest.param(4, -3_600_000, 4_000, -3_600_000, id="it wants less than that"),
        pytest.param(30, 9_999_999, 30_000, 0, id="the machine's clock was set back"),
    ],
)
def test_when_a_session_from_before_the_start_is_due(
    seconds: int, gone_at: int | None, due_at: int, since: int
) -> None:
    countdowns = Countdowns()
    row = ArmedRow("s1", "app", "ann", seconds, None if gone_at is None else WALL + gone_at)
    countdowns.load(row, 0, WALL)
    play(countdowns, (0, "gone"))
    assert countdowns.due(due_at - 1) == []
    assert countdowns.due(due_at) == [absent(since)]


def test_nobody_is_due_before_the_database_has_since_when() -> None:
    countdowns = Countdowns()
    countdowns.here(ANN, 1)
    countdowns.gone("s1", 0, WALL)
    assert countdowns.due(5 * SECOND) == []
    assert [armed.gone_at for armed in countdowns.unkept()] == [WALL]
    countdowns.keep("s1", WALL)
    assert countdowns.unkept() == []
    assert countdowns.due(5 * SECOND) == [absent(0)]


def test_what_was_kept_too_late_is_kept_anew() -> None:
    countdowns = Countdowns()
    countdowns.here(ANN, 30)
    countdowns.gone("s1", 0, WALL)
    countdowns.here(ANN, 30)
    countdowns.keep("s1", WALL)  # had been on its way when the session came back
    assert [(armed.session_id, armed.gone_at) for armed in countdowns.unkept()] == [("s1", None)]
    countdowns.keep("s1", None)
    assert countdowns.unkept() == []
    assert countdowns.due(1 << 60) == []


def test_a_wish_that_is_spent_is_gone_unless_the_session_came_back() -> None:
    countdowns = Countdowns()
    play(countdowns, (0, "here", 1), (0, "gone"))
    countdowns.here(ANN, 1)
    countdowns.spent(absent(0))
    assert countdowns.seconds("s1") == 1
    play(countdowns, (5_000, "gone"))
    countdowns.spent(absent(5_000))
    assert (countdowns.seconds("s1"), len(countdowns), countdowns.due(1 << 60)) == (0, 0, [])
