import time

import pytest

from oddswire.errors import InvalidInput
from oddswire.wire import frames
from oddswire.wire.frames import Authenticate, Connected, Ping, decode_request, encode

DEEP = b"[" * 15_000 + b"]" * 15_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"action":"authenticate","token":"t"}', Authenticate(token="t")),
        (
            b'{"action":"authenticate","token":"t","since":0,"epoch":"e"}',
            Authenticate(token="t", since=0, epoch="e"),
        ),
        (b'{"action":"authenticate","token":"t","since":null,"later":[1]}', Authenticate(token="t")),
        (
            b'{"action":"authenticate","token":"t","cancelOnDisconnect":300}',
            Authenticate(token="t", cancel_on_disconnect=300),
        ),
        (
            b'{"action":"authenticate","token":"t","cancelOnDisconnect":null}',
            Authenticate(token="t", cancel_on_disconnect=None),
        ),
        (b' {"action" : "ping"} ', Ping()),
        (b'{"action":"ping","id":7}', Ping(id=7)),
        (b'{"action":"ping","id":"a"}', Ping(id="a")),
    ],
)
def test_a_request_is_read(text: bytes, expected: frames.ClientFrame) -> None:
    assert decode_request(text) == expected


@pytest.mark.parametrize(
    ("text", "code", "path"),
    [
        (b"", "invalid_json", None),
        (b"hello", "invalid_json", None),
        (b"NaN", "invalid_json", None),
        (b"[1,", "invalid_json", None),
        (b'{"action":"ping"', "invalid_json", None),
        (b'{"action":"ping"}{}', "invalid_json", None),
        (b'{"action":"\xff"}', "invalid_json", None),
        (b'{"action":"ping","x":"\xff"}', "invalid_json", None),
        (b'{"action":"ping","x":' + DEEP + b"}", "invalid_json", None),
        (b"[]", "invalid_frame", "$"),
        (b"5", "invalid_frame", "$"),
        (b'"ping"', "invalid_frame", "$"),
        (b"null", "invalid_frame", "$"),
        (b"{}", "invalid_frame", "$"),
        (b'{"action":5}', "invalid_frame", "$.action"),
        (b'{"action":null}', "invalid_frame", "$.action"),
        (b'{"action":"subscribe"}', "unknown_action", "$.action"),
        (b'{"action":"Ping"}', "unknown_action", "$.action"),
        (b'{"action":"authenticate"}', "invalid_frame", "$"),
        (b'{"action":"authenticate","token":5}', "invalid_frame", "$.token"),
        (b'{"action":"authenticate","token":""}', "invalid_frame", "$.token"),
        (b'{"action":"authenticate","token":"t","since":-1}', "invalid_frame", "$.since"),
        (b'{"action":"authenticate","token":"t","since":"5"}', "invalid_frame", "$.since"),
        (b'{"action":"authenticate","token":"t","since":1.5}', "invalid_frame", "$.since"),
        (b'{"action":"authenticate","token":"t","since":9007199254740992}', "invalid_frame", "$.since"),
        (b'{"action":"authenticate","token":"t","since":1e3000000}', "invalid_frame", "$.since"),
        (b'{"action":"authenticate","token":"t","since":' + b"9" * 15_000 + b"}", "invalid_frame", "$.since"),
        (b'{"action":"authenticate","token":"t","epoch":5}', "invalid_frame", "$.epoch"),
        (b'{"action":"authenticate","token":"t","cancelOnDisconnect":301}', "invalid_frame", "$.cancelOnDisconnect"),
        (b'{"action":"authenticate","token":"t","cancelOnDisconnect":-1}', "invalid_frame", "$.cancelOnDisconnect"),
        (b'{"action":"authenticate","token":"t","cancelOnDisconnect":1.5}', "invalid_frame", "$.cancelOnDisconnect"),
        (b'{"action":"authenticate","token":"t","cancelOnDisconnect":"9"}', "invalid_frame", "$.cancelOnDisconnect"),
        (b'{"action":"authenticate","token":"t","cancelOnDisconnect":true}', "invalid_frame", "$.cancelOnDisconnect"),
        (b'{"action":"ping","id":true}', "invalid_frame", "$.id"),
        (b'{"action":"ping","id":{}}', "invalid_frame", "$.id"),
    ],
)
def test_a_bad_request_is_refused_fast_with_its_code_and_path(text: bytes, code: str, path: str | None) -> None:
    began = time.perf_counter()
    with pytest.raises(InvalidInput) as caught:
        decode_request(text)
    assert (caught.value.code, caught.value.path) == (code, path)
    assert time.perf_counter() - began < 0.5


def test_a_refusal_never_repeats_what_was_sent() -> None:
    for text in (b'{"action":"s3cret"}', b'{"action":"authenticate","token":["s3cret"]}', b'{"action":"ping" s3cret'):
        with pytest.raises(InvalidInput) as caught:
            decode_request(text)
        assert "s3cret" not in str(caught.value)


def test_fields_that_do_not_apply_are_left_out() -> None:
    assert encode(Connected(app_id="a")) == b'{"type":"connected","appId":"a"}'
    assert encode(Connected(app_id="a", user_id="u")) == b'{"type":"connected","appId":"a","userId":"u"}'
    assert encode(frames.Heartbeat(ts=5)) == b'{"type":"heartbeat","ts":5}'
    assert encode(frames.Pong(ts=5, id="x")) == b'{"type":"pong","ts":5,"id":"x"}'
    told = frames.error_frame("token_invalid", "no")
    assert b'"path"' not in encode(told)
    assert told.action
