import pytest

from oddswire.wire.codes import CLOSE_CODES, Action, CloseReason, action_after, close_reason, read_reason


@pytest.mark.parametrize(
    ("code", "action"),
    [
        (4001, Action.STOP),
        (4008, Action.STOP),
        (4099, Action.STOP),
        (4101, Action.NEW_TOKEN),
        (4199, Action.NEW_TOKEN),
        (4200, Action.BACK_OFF),
        (4203, Action.BACK_OFF),
        (4300, Action.RESUME),
        (4301, Action.RESUME),
        (4399, Action.RESUME),
        (4302, Action.READ_AGAIN),
        (1000, Action.BACK_OFF),
        *[(code, Action.STOP) for code in (1002, 1003, 1007, 1009)],
        *[(code, Action.BACK_OFF) for code in (1001, 1005, 1006, 1011, 1012)],
    ],
)
def test_every_code_says_what_to_do(code: int, action: Action) -> None:
    assert action_after(code) is action


def test_every_reason_fits_a_close_frame_and_can_be_read() -> None:
    for code, row in CLOSE_CODES.items():
        reason = close_reason(code, 2**53)
        assert len(reason) <= 123
        assert read_reason(reason) == CloseReason(row.name, 2**53)
    assert close_reason(4300, 1840) == b'{"code":"draining","retryAfterMs":1840}'
    assert close_reason(4101, name="token_invalid") == b'{"code":"token_invalid"}'


@pytest.mark.parametrize("reason", [b"", b"bye", b"[]", b"\xff", b'{"code":5}', b"[" * 120])
def test_a_foreign_reason_says_nothing(reason: bytes) -> None:
    assert read_reason(reason) == CloseReason()
