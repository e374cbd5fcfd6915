import pytest

from oddswire.wire.liveness import Liveness, Sign


@pytest.mark.parametrize(("chance", "beat"), [(0.0, 16_000), (0.5, 20_000), (1.0, 24_000)])
def test_a_beat_is_due_within_its_spread(chance: float, beat: int) -> None:
    live = Liveness(0, chance)
    assert live.next_look(0) == beat
    assert live.look(beat - 1, 0, 0, chance) is Sign.FINE
    assert live.look(beat, 0, 0, chance) is Sign.BEAT
    assert live.next_look(beat) == beat + 10_000


def test_silence_after_a_ping_is_death_and_any_sign_is_life() -> None:
    live = Liveness(0, 0.5)
    assert live.look(20_000, 0, 0, 0.5) is Sign.BEAT
    live.heard()
    assert live.look(30_000, 0, 0, 0.5) is Sign.FINE
    assert live.look(40_000, 0, 0, 0.5) is Sign.BEAT
    assert live.look(49_999, 0, 0, 0.5) is Sign.FINE
    assert live.look(50_000, 0, 0, 0.5) is Sign.DEAD


def test_while_something_is_queued_only_progress_counts() -> None:
    live = Liveness(0, 0.5)
    live.look(20_000, 0, 0, 0.5)
    live.queued(25_000, 100)
    sent = 100
    for now in range(26_000, 100_000, 1_000):  # slow, but it reads: no ping, no verdict
        sent += 1
        assert live.look(now, 50, sent, 0.5) is Sign.FINE
        assert live.next_look(now) == now + 1_000
    assert live.look(99_000 + 29_999, 50, sent, 0.5) is Sign.FINE
    assert live.look(99_000 + 30_000, 50, sent, 0.5) is Sign.STALLED


def test_after_the_queue_is_drained_a_beat_that_waited_is_due_at_once() -> None:
    live = Liveness(0, 0.5)
    live.queued(15_000, 0)
    assert live.look(21_000, 10, 0, 0.5) is Sign.FINE
    live.drained()
    assert live.next_look(22_000) == 20_000
    assert live.look(22_000, 0, 10, 0.5) is Sign.BEAT
