import pytest

from oddswire.orders.pulse import STALE_AFTER, Pulse

SECOND = 1_000


@pytest.mark.parametrize(
    ("answers", "status", "since"),
    [
        ([], "live", 0),
        ([(1, True), (2, True)], "live", 0),
        ([(1, False)], "degraded", 1),
        ([(1, False), (20, False)], "degraded", 1),
        ([(1, False), (1 + STALE_AFTER, False)], "stale", 1 + STALE_AFTER),
        ([(1, False), (1 + STALE_AFTER, False), (90_000, True)], "live", 90_000),
        ([(1, False), (2, True), (3 + STALE_AFTER, False)], "degraded", 3 + STALE_AFTER),
    ],
)
def test_how_a_venue_is_doing(answers: list[tuple[int, bool]], status: str, since: int) -> None:
    pulse = Pulse(0)
    changes = 0
    for now, answered in answers:
        changes += pulse.answered(now) if answered else pulse.silent(now)
    assert (pulse.status, pulse.since) == (status, since)
    assert changes <= len(answers)
