import pytest

from oddswire.wire.client_session import Broken, ClientSession, Level, Next, ReadAgain, SignedIn, Told
from oddswire.wire.codes import Action
from oddswire.wire.frames import Authenticated, Connected, Heartbeat, ServerFrame, VenueStatus, encode


def event(seq: int, kind: str = "balance_update") -> bytes:
    return f'{{"type":"{kind}","seq":{seq}}}'.encode()


def connected(seq: int, head: int, resumed: bool | None = None, epoch: str = "e") -> bytes:
    if resumed is None:
        return encode(Connected(app_id="a", user_id="u", seq=seq, head=head, epoch=epoch))
    return encode(Connected(app_id="a", user_id="u", seq=seq, head=head, epoch=epoch, resumed=resumed))


def open_session(since: int | None = None, epoch: str | None = None) -> ClientSession:
    client = ClientSession(since, epoch)
    client.opened(0)
    return client


def test_it_starts_level_and_follows() -> None:
    client = open_session()
    assert client.query() == {}
    assert client.receive(connected(4, 4), 0) == [SignedIn("u", None), Level(4)]
    assert client.receive(event(5), 0) == [Told(5, "balance_update", event(5))]
    assert client.query() == {"since": "5", "epoch": "e"}
    assert b'"since":5' in client.authenticate("t")


def test_it_is_level_once_it_has_seen_the_head() -> None:
    client = open_session(4, "e")
    assert client.receive(connected(4, 6, True), 0) == [SignedIn("u", True)]
    assert client.receive(event(5), 0) == [Told(5, "balance_update", event(5))]
    assert client.receive(event(6), 0)[1:] == [Level(6)]
    assert client.receive(event(7), 0)[1:] == []


def test_a_later_kind_of_event_is_counted() -> None:
    client = open_session()
    client.receive(connected(0, 0), 0)
    assert client.receive(event(1, "lottery_won"), 0) == [Told(1, "lottery_won", event(1, "lottery_won"))]
    assert client.receive(b'{"type":"advertisement"}', 0) == []
    assert client.cursor == 1


def test_a_cursor_that_was_not_honoured_means_reading_again() -> None:
    client = open_session(4, "old")
    frame = encode(Connected(app_id="a", user_id="u", seq=9, head=9, epoch="e", resumed=False, reason="epoch_changed"))
    assert client.receive(frame, 0) == [SignedIn("u", False), ReadAgain("epoch_changed", 9), Level(9)]
    assert client.query() == {"since": "9", "epoch": "e"}


@pytest.mark.parametrize(
    "frame",
    [
        event(6),
        event(8),
        event(4),
        b"nonsense",
        b'{"seq":7}',
        encode(Heartbeat(ts=1, seq=5)),
        encode(Heartbeat(ts=1, seq=7)),
        encode(Authenticated(user_id="u", seq=5, head=9, epoch="e")),
        encode(Authenticated(user_id="u", seq=6, head=9, epoch="f")),
    ],
)
def test_what_does_not_fit_breaks_and_resumes(frame: bytes) -> None:
    client = open_session()
    client.receive(connected(6, 6), 0)
    assert isinstance(client.receive(frame, 0)[0], Broken)
    assert client.receive(event(7), 0) == []
    assert client.closed(1006, b"", 10_000, 1.0).action is Action.RESUME
    assert client.query() == {"since": "6", "epoch": "e"}


def test_a_server_that_resumes_elsewhere_is_not_believed() -> None:
    client = open_session(4, "e")
    assert isinstance(client.receive(connected(5, 6, True), 0)[0], Broken)


@pytest.mark.parametrize(
    "frame",
    [
        encode(Heartbeat(ts=1, seq=6)),
        encode(Heartbeat(ts=1)),
        encode(VenueStatus(venue="paper", status="live", since=1, timestamp=1)),
    ],
)
def test_what_fits_does_not_break(frame: bytes) -> None:
    client = open_session()
    client.receive(connected(6, 6), 0)
    assert not any(isinstance(heard, Broken) for heard in client.receive(frame, 0))


def test_a_refreshed_token_goes_on_and_another_user_begins_anew() -> None:
    client = open_session()
    client.receive(connected(6, 6), 0)
    same: ServerFrame = Authenticated(user_id="u", seq=6, head=6, epoch="e")
    assert client.receive(encode(same), 0) == [SignedIn("u", None), Level(6)]
    other: ServerFrame = Authenticated(user_id="v", seq=1, head=2, epoch="f")
    assert client.receive(encode(other), 0) == [SignedIn("v", None)]
    assert client.receive(event(2), 0)[1:] == [Level(2)]


def test_silence_of_two_and_a_half_heartbeats_breaks() -> None:
    client = open_session()
    client.receive(connected(6, 6), 1_000)
    client.receive(event(7), 5_000)
    assert client.wake(54_999) == []
    assert client.wake(55_000) == [Broken("no sign of life")]
    assert client.wake(55_001) == []


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (4001, b"", Next(Action.STOP, 0)),
        (4101, b"", Next(Action.NEW_TOKEN, 0)),
        (4200, b"", Next(Action.BACK_OFF, 250)),
        (1006, b"", Next(Action.BACK_OFF, 250)),
        (4300, b'{"code":"draining","retryAfterMs":1840}', Next(Action.RESUME, 1840)),
        (4302, b"", Next(Action.READ_AGAIN, 0)),
    ],
)
def test_the_close_says_what_to_do(code: int, reason: bytes, expected: Next) -> None:
    client = open_session()
    client.receive(connected(6, 6), 0)
    assert client.closed(code, reason, 10, 0.5) == expected
    assert client.query() == ({} if code == 4302 else {"since": "6", "epoch": "e"})


def test_the_back_off_doubles_to_its_ceiling_and_a_steady_connection_resets_it() -> None:
    client = ClientSession()
    ceilings = [client.closed(1006, b"", 0, 1.0).delay_ms for _ in range(9)]
    assert ceilings == [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]
    assert client.closed(4300, b"", 0, 0.5).delay_ms == 15_000
    client.opened(100_000)
    assert client.closed(1006, b"", 105_000, 1.0).delay_ms == 500


def test_an_event_before_a_user_breaks() -> None:
    client = open_session()
    client.receive(encode(Connected(app_id="a")), 0)
    assert isinstance(client.receive(event(1), 0)[0], Broken)
