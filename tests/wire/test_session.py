from dataclasses import dataclass

import pytest

from oddswire.wire.frames import (
    Authenticated,
    Connected,
    Error,
    Heartbeat,
    Pong,
    TokenExpiring,
)
from oddswire.wire.session import (
    TABLE,
    Asked,
    Close,
    Flow,
    Hold,
    Join,
    Output,
    PingPeer,
    Place,
    Renew,
    Say,
    ServerSession,
    State,
    Verify,
)

WALL = 1_700_000_000_000
HOUR = 3_600_000
PLACE = Place(7, 9, "e")
PING = b'{"action":"ping"}'


@dataclass(frozen=True)
class Who:
    app_id: str = "a"
    user_id: str = "u"
    expires_at: int = WALL + HOUR


def auth(token: str = "t", more: str = "") -> bytes:
    return f'{{"action":"authenticate","token":"{token}"{more}}}'.encode()


def fresh() -> ServerSession:
    return ServerSession("a", 0, 0.5)


def anonymous(since: int | None = None, epoch: str | None = None) -> ServerSession:
    session = fresh()
    assert session.open(None, Asked(since, epoch)) == [Say(Connected(app_id="a"))]
    return session


def signed_in(who: Who | None = None) -> ServerSession:
    session = fresh()
    assert session.open("t") == [Verify("t")]
    assert session.verified(who or Who(), 0, WALL) == [Join(None, None)]
    said, flow, *_ = session.placed(PLACE, 0, WALL)
    assert said == Say(Connected(app_id="a", user_id="u", seq=7, head=9, epoch="e"))
    assert flow == Flow()
    return session


def wake(session: ServerSession, now: int, wall: int, queued: int = 0, seq: int | None = None) -> list[Output]:
    return session.wake(now, wall, queued=queued, sent=0, seq=seq, chance=0.5)


def errors(outputs: list[Output]) -> list[str]:
    return [out.frame.code for out in outputs if isinstance(out, Say) and isinstance(out.frame, Error)]


def closes(outputs: list[Output]) -> list[int]:
    return [out.code for out in outputs if isinstance(out, Close)]


def test_no_move_leads_out_of_closed() -> None:
    assert all(state is not State.CLOSED for state, _ in TABLE)


def test_the_founding_document() -> None:
    session = anonymous()
    assert session.receive(auth("x"), 0, WALL) == [Verify("x")]
    assert session.verified(Who(), 0, WALL) == [Join(None, None)]
    outputs = session.placed(PLACE, 0, WALL)
    assert outputs == [Say(Authenticated(user_id="u", seq=7, head=9, epoch="e")), Flow()]


@pytest.mark.parametrize(
    ("code", "close"),
    [("token_invalid", 4101), ("token_expired", 4101), ("session_revoked", 4001), ("rate_limited", 4202)],
)
def test_a_bad_token_at_connect_is_an_error_and_a_close(code: str, close: int) -> None:
    session = fresh()
    session.open("t")
    outputs = session.refused(code, "no", 0, WALL)
    assert errors(outputs) == [code]
    assert outputs[-1] == Close(close, code)
    assert session.state is State.CLOSED
    assert session.receive(PING, 0, WALL) == []


@pytest.mark.parametrize(
    ("who", "code"), [(Who(app_id="other"), "token_invalid"), (Who(expires_at=WALL), "token_expired")]
)
def test_a_good_token_of_another_app_or_time_is_refused(who: Who, code: str) -> None:
    session = fresh()
    session.open("t")
    assert errors(session.verified(who, 0, WALL)) == [code]


def test_a_bad_token_later_changes_nothing() -> None:
    for session in (anonymous(), signed_in()):
        before = session.state, session.bearer
        session.receive(auth("bad"), 0, WALL)
        assert errors(session.refused("token_invalid", "no", 0, WALL)) == ["token_invalid"]
        assert (session.state, session.bearer) == before
        assert session.receive(PING, 0, WALL) == [Say(Pong(ts=WALL))]


def test_frames_wait_while_a_token_is_looked_at() -> None:
    session = anonymous()
    session.receive(auth("x"), 0, WALL)
    assert session.receive(b'{"action":"ping","id":1}', 0, WALL) == []
    assert session.receive(auth("y"), 0, WALL) == []
    assert session.receive(b'{"action":"ping","id":2}', 0, WALL) == []
    session.verified(Who(), 0, WALL)
    outputs = session.placed(PLACE, 0, WALL)
    assert outputs[-2:] == [Say(Pong(ts=WALL, id=1)), Verify("y")]
    assert session.busy
    assert session.refused("token_invalid", "no", 0, WALL)[-1] == Say(Pong(ts=WALL, id=2))


def test_the_same_user_goes_on_and_another_begins_anew() -> None:
    session = signed_in()
    session.receive(auth("t2", ',"since":3,"epoch":"e"'), 0, WALL)
    later = Who(expires_at=WALL + 2 * HOUR)
    assert session.verified(later, 0, WALL) == [Renew()]
    assert session.bearer is later
    assert session.placed(Place(8, 9, "e"), 0, WALL) == [
        Say(Authenticated(user_id="u", seq=8, head=9, epoch="e")),
        Flow(),
    ]
    session.receive(auth("t3", ',"since":3,"epoch":"f"'), 0, WALL)
    assert session.verified(Who(user_id="v"), 0, WALL) == [Join(3, "f")]
    placed = session.placed(Place(9, 9, "f", False, "ahead"), 0, WALL)
    assert placed[0] == Say(Authenticated(user_id="v", seq=9, head=9, epoch="f", resumed=False, reason="ahead"))


def test_the_cursor_of_an_anonymous_connect_serves_once() -> None:
    session = anonymous(5, "e")
    session.receive(auth("bad"), 0, WALL)
    session.refused("token_invalid", "no", 0, WALL)
    session.receive(auth("x", ',"since":6,"epoch":"e"'), 0, WALL)
    assert session.verified(Who(), 0, WALL) == [Join(6, "e")]  # its own goes first
    session.placed(PLACE, 0, WALL)
    session.receive(auth("y"), 0, WALL)
    assert session.verified(Who(user_id="v"), 0, WALL) == [Join(5, "e")]
    session.placed(PLACE, 0, WALL)
    session.receive(auth("z"), 0, WALL)
    assert session.verified(Who(user_id="w"), 0, WALL) == [Join(None, None)]


def test_ten_refused_frames_in_a_minute_close() -> None:
    session = anonymous()
    for number in range(9):
        assert closes(session.receive(b"{", number * 1000, WALL)) == []
    outputs = session.receive(b"{", 59_999, WALL)
    assert errors(outputs) == ["invalid_json"]
    assert closes(outputs) == [4008]
    patient = anonymous()
    for number in range(40):
        assert closes(patient.receive(b"{", number * 6_700, WALL)) == []


def test_more_than_twenty_frames_a_second_close() -> None:
    session = anonymous()
    for number in range(20):
        assert closes(session.receive(PING, 900 + number, WALL)) == []
    assert closes(session.receive(PING, 1_899, WALL)) == [4202]
    steady = anonymous()
    for number in range(200):
        assert closes(steady.receive(PING, number * 50, WALL)) == []


def test_frames_that_wait_count_too() -> None:
    session = anonymous()
    session.receive(auth(), 0, WALL)
    outputs = [session.receive(PING, 1, WALL) for _ in range(20)]
    assert closes(outputs[-1]) == [4202]


def test_the_token_is_warned_of_then_held_then_closed() -> None:
    session = signed_in()
    end = WALL + HOUR
    assert session.next_wake(0, end - 61_000) == 1_000
    assert wake(session, 1, end - 60_001) == []
    assert wake(session, 1, end - 60_000) == [Say(TokenExpiring(expires_at=end))]
    assert wake(session, 1, end - 1) == []
    assert session.next_wake(1, end - 1) == 2
    assert wake(session, 1, end) == [Hold()]
    assert session.next_wake(1, end) == 5_001
    assert wake(session, 1, end + 4_999) == []
    assert wake(session, 1, end + 5_000) == [Close(4101)]


def test_a_short_token_is_warned_of_at_once() -> None:
    session = fresh()
    session.open("t")
    session.verified(Who(expires_at=WALL + 1_000), 0, WALL)
    assert session.placed(PLACE, 0, WALL)[1:] == [Flow(), Say(TokenExpiring(expires_at=WALL + 1_000))]


def test_a_new_token_within_the_grace_goes_on_however_long_it_is_looked_at() -> None:
    session = signed_in()
    end = WALL + HOUR
    assert Hold() in wake(session, 1, end)
    session.receive(auth("bad"), 1, end + 1)
    session.refused("token_expired", "old", 1, end + 2)
    assert Hold() not in wake(session, 1, end + 3)
    assert session.receive(auth("t2"), 1, end + 4_999) == [Verify("t2")]
    assert wake(session, 1, end + 9_000) == []
    session.verified(Who(expires_at=end + HOUR), 1, end + 9_000)
    assert Flow() in session.placed(PLACE, 1, end + 9_000)
    assert session.state is State.SIGNED_IN
    assert wake(session, 1, end + 9_001) == []


def test_a_token_refused_after_the_grace_closes() -> None:
    session = signed_in()
    end = WALL + HOUR
    wake(session, 1, end)
    session.receive(auth("bad"), 1, end + 4_000)
    wake(session, 1, end + 6_000)
    session.refused("token_invalid", "no", 1, end + 6_000)
    assert wake(session, 1, end + 6_000) == [Close(4101)]


def test_heartbeats_tell_the_last_event_sent() -> None:
    session = signed_in()
    assert wake(session, 20_000, WALL + 20_000, seq=12) == [Say(Heartbeat(ts=WALL + 20_000, seq=12)), PingPeer()]
    assert closes(wake(session, 30_000, WALL + 30_000)) == [4201]
    without = anonymous()
    assert wake(without, 20_000, WALL)[0] == Say(Heartbeat(ts=WALL))


def test_a_pong_or_a_frame_is_a_sign_of_life() -> None:
    session = signed_in()
    wake(session, 20_000, WALL)
    session.pong()
    wake(session, 40_000, WALL)
    session.receive(PING, 45_000, WALL)
    assert closes(wake(session, 50_000, WALL)) == []


def test_a_stalled_reader_is_closed_and_not_pinged() -> None:
    session = signed_in()
    session.backed_up(10_000, 0)
    assert wake(session, 21_000, WALL, queued=9) == []
    assert closes(wake(session, 40_000, WALL, queued=9)) == [4301]


def test_nothing_is_said_before_the_first_frame_or_after_the_end() -> None:
    session = fresh()
    session.open("t")
    assert wake(session, 60_000, WALL) == []
    assert session.next_wake(60_000, WALL) > 60_000
    session.end()
    assert session.verified(Who(), 0, WALL) == []
    assert session.refused("token_invalid", "no", 0, WALL) == []
    assert session.placed(PLACE, 0, WALL) == []


def test_what_is_asked_for_beside_a_cursor_is_told_once_it_is_certain() -> None:
    session = fresh()
    asked = Asked(armed=30)
    assert session.open("t", asked) == [Verify("t")]
    assert session.verified(Who(), 0, WALL) == [Join(None, None, 30)]
    said, *_ = session.placed(PLACE, 0, WALL, 30)
    assert said == Say(Connected(app_id="a", user_id="u", seq=7, head=9, epoch="e", cancel_on_disconnect=30))
    session.receive(auth(), 1, WALL)
    assert session.verified(Who(), 1, WALL) == [Renew(None)]
    said, *_ = session.placed(PLACE, 1, WALL)
    assert said == Say(Authenticated(user_id="u", seq=7, head=9, epoch="e"))


@pytest.mark.parametrize(
    ("more", "armed"),
    [("", None), (',"cancelOnDisconnect":0', 0), (',"cancelOnDisconnect":null', 0), (',"cancelOnDisconnect":9', 9)],
)
def test_a_frame_arms_disarms_or_says_nothing(more: str, armed: int | None) -> None:
    session = signed_in()
    session.receive(auth("t", more), 0, WALL)
    assert session.verified(Who(), 0, WALL) == [Renew(armed)]
    session.placed(PLACE, 0, WALL)
    session.receive(auth("t", more), 0, WALL)
    assert session.verified(Who(user_id="v"), 0, WALL) == [Join(None, None, armed)]


@pytest.mark.parametrize(
    ("more", "first"),
    [
        ("", Join(5, "e", 30)),
        (',"cancelOnDisconnect":9', Join(5, "e", 9)),
        (',"cancelOnDisconnect":0', Join(5, "e", 0)),
        (',"since":6,"epoch":"f"', Join(6, "f", 30)),
    ],
)
def test_a_connect_without_a_token_asks_for_the_first_sign_in_alone(more: str, first: Join) -> None:
    session = fresh()
    session.open(None, Asked(5, "e", 30))
    session.receive(auth("t", more), 0, WALL)
    assert session.verified(Who(), 0, WALL) == [first]
    session.placed(PLACE, 0, WALL)
    session.receive(auth(), 0, WALL)
    assert session.verified(Who(), 0, WALL) == [Renew(None)]


def test_what_came_with_a_refused_token_is_forgotten() -> None:
    session = signed_in()
    session.receive(auth("bad", ',"cancelOnDisconnect":9'), 0, WALL)
    session.refused("token_invalid", "no", 0, WALL)
    session.receive(auth(), 0, WALL)
    assert session.verified(Who(), 0, WALL) == [Renew(None)]
