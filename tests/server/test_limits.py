import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddswire.server.limits import Allowance, Standing


def test_a_burst_goes_through_at_once_and_then_one_for_each_part_of_a_second() -> None:
    allowance = Allowance(per_second=10, burst=3)
    assert [allowance.take("ann", 0.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert allowance.take("ann", 0.0) == pytest.approx(0.1)
    assert allowance.take("ann", 0.04) == pytest.approx(0.06)
    assert allowance.take("ann", 0.1) == 0.0
    assert allowance.take("ann", 0.1) == pytest.approx(0.1)


def test_trying_again_after_what_was_answered_works() -> None:
    allowance = Allowance(per_second=20 / 60, burst=20)
    for _ in range(20):
        allowance.take("x", 5.0)
    wait = allowance.take("x", 5.0)
    assert wait == pytest.approx(3.0)
    assert allowance.take("x", 5.0 + wait) == 0.0


def test_a_refused_try_costs_nothing_and_asking_neither() -> None:
    allowance = Allowance(per_second=1, burst=1)
    allowance.take("x", 0.0)
    for _ in range(100):
        assert allowance.take("x", 0.5) == pytest.approx(0.5)
        assert allowance.wait("x", 0.5) == pytest.approx(0.5)
    assert allowance.wait("x", 1.0) == 0.0
    assert allowance.take("x", 1.0) == 0.0


def test_rest_never_saves_up_more_than_a_burst() -> None:
    allowance = Allowance(per_second=5, burst=5)
    allowance.take("x", 0.0)
    assert sum(allowance.take("x", 1e6) == 0.0 for _ in range(20)) == 5


def test_keys_do_not_touch_each_other() -> None:
    allowance = Allowance(per_second=1, burst=1)
    assert allowance.take("ann", 0.0) == 0.0
    assert allowance.take("bob", 0.0) == 0.0
    assert allowance.take("ann", 0.0) > 0.0


def test_the_table_is_bounded_and_forgets_the_least_recently_used() -> None:
    allowance = Allowance(per_second=1, burst=1, keys=3)
    for key in ("a", "b", "c"):
        allowance.take(key, 0.0)
    allowance.take("a", 0.0)
    allowance.take("d", 0.0)
    assert len(allowance) == 3
    assert allowance.wait("a", 0.0) > 0.0
    assert allowance.wait("b", 0.0) == 0.0


def test_asking_does_not_fill_the_table() -> None:
    allowance = Allowance(per_second=1, burst=1)
    allowance.wait("x", 0.0)
    assert len(allowance) == 0


@given(st.lists(st.floats(min_value=0, max_value=2), max_size=60), st.integers(1, 20), st.integers(1, 5))
def test_no_more_than_the_burst_and_the_rate_ever_go_through(pauses: list[float], rate: int, burst: int) -> None:
    allowance = Allowance(per_second=rate, burst=burst)
    now, through = 0.0, 0
    for pause in pauses:
        now += pause
        through += allowance.take("x", now) == 0.0
    assert through <= burst + now * rate + 1e-6


def test_how_somebody_stands_is_told_and_costs_nothing() -> None:
    allowance = Allowance(per_second=2, burst=4)
    assert allowance.standing("ann", 0.0) == Standing(4, 4, 0.0)
    for left in (3, 2, 1, 0):
        allowance.take("ann", 0.0)
        assert allowance.standing("ann", 0.0) == Standing(4, left, (4 - left) / 2)
    assert allowance.standing("ann", 0.75) == Standing(4, 1, 1.25)
    assert allowance.standing("ann", 2.0) == Standing(4, 4, 0.0)


def test_a_standing_is_headers_in_whole_seconds_rounded_up() -> None:
    assert Standing(20, 3, 50.01).headers() == {
        "ratelimit-limit": "20",
        "ratelimit-remaining": "3",
        "ratelimit-reset": "51",
    }
    assert Standing(20, 20, 0.0).headers()["ratelimit-reset"] == "0"


def test_what_has_happened_is_charged_even_where_nothing_is_left() -> None:
    allowance = Allowance(per_second=10, burst=2)
    for _ in range(3):
        allowance.charge("x", 0.0)
    assert allowance.standing("x", 0.0)[:2] == (2, 0)
    assert allowance.wait("x", 0.0) == pytest.approx(0.2)
    for _ in range(1000):
        allowance.charge("x", 0.0)
    assert allowance.wait("x", 0.0) == pytest.approx(0.3)
    assert allowance.take("x", 0.3) == 0.0


@given(
    st.lists(st.tuples(st.floats(min_value=0, max_value=2), st.booleans()), max_size=60),
    st.integers(1, 20),
    st.integers(1, 5),
)
def test_a_standing_is_what_can_be_taken_at_once(steps: list[tuple[float, bool]], rate: int, burst: int) -> None:
    allowance, now = Allowance(per_second=rate, burst=burst), 0.0
    for pause, charged in steps:
        now += pause
        if charged:
            allowance.charge("x", now)
        else:
            allowance.take("x", now)
    standing = allowance.standing("x", now)
    assert standing.limit == burst
    assert allowance.standing("x", now + standing.reset + 1e-6).remaining == burst
    assert sum(allowance.take("x", now) == 0.0 for _ in range(2 * burst)) == standing.remaining


@pytest.mark.parametrize(("rate", "burst", "keys"), [(0.0, 1, 1), (-1.0, 1, 1), (1.0, 0, 1), (1.0, 1, 0)])
def test_an_allowance_of_nothing_is_a_mistake(rate: float, burst: int, keys: int) -> None:
    with pytest.raises(ValueError, match="lets something through"):
        Allowance(rate, burst, keys)


def test_what_is_given_back_was_never_taken_and_nobody_gets_more_than_a_burst() -> None:
    allowance = Allowance(per_second=1, burst=2)
    assert [allowance.take("ann", 0.0) for _ in range(2)] == [0.0, 0.0]
    allowance.give_back("ann", 0.0)
    assert allowance.take("ann", 0.0) == 0.0
    assert allowance.take("ann", 0.0) == pytest.approx(1.0)
    for _ in range(5):
        allowance.give_back("ann", 0.0)
    assert allowance.standing("ann", 0.0) == Standing(2, 2, 0.0)
