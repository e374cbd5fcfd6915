from itertools import islice

from oddswire import ids


def test_ids_of_later_milliseconds_sort_later() -> None:
    made = [
        ids.make_id("ord", now, b"\xff" * 10 if now % 2 else b"\0" * 10)
        for now in range(1_710_705_123_456, 1_710_705_123_500)
    ]
    assert made == sorted(made)
    assert all(len(one) == len("ord_") + 26 for one in made)


def test_new_ids_differ_even_within_a_millisecond() -> None:
    assert len({ids.new_id("ord", 1) for _ in range(1000)}) == 1000
    assert 0 < ids.new_stream_id(2**41 - 1) < 2**62


def test_no_two_streams_and_no_two_histories_share_an_epoch() -> None:
    epochs = {
        ids.epoch_of(history, stream)
        for history in (ids.new_history_id(), ids.new_history_id())
        for stream in range(500)
    }
    assert len(epochs) == 1000
    assert ids.epoch_of("h", 1) == ids.epoch_of("h", 1)


def test_a_series_sorts_in_the_order_in_which_it_was_made() -> None:
    made = list(islice(ids.id_series("fil", 5), 300))
    assert made == sorted(set(made))
