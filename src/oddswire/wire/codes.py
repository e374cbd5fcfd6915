"""Close codes, which say what the client should do (PROTOCOL 2.4)."""

from enum import Enum
from typing import NamedTuple

import msgspec


class Action(Enum):
    """What a client does when its connection was closed."""

    STOP = "stop, tell a person"
    NEW_TOKEN = "get a new token, reconnect"  # noqa: S105 - words, no secret
    BACK_OFF = "reconnect with back-off and full jitter"
    RESUME = "reconnect soon and resume"
    READ_AGAIN = "read the state again, reconnect without a cursor"


class CloseCode(NamedTuple):
    """One close code of ours: its `name` is the `code` of the close reason."""

    code: int
    name: str
    action: Action
    when: str


SIGNED_OUT = 4001
UNKNOWN_APP = 4004
ORIGIN_NOT_ALLOWED = 4005
MISBEHAVING = 4008
TOKEN_NEEDED = 4101
SERVER_ERROR = 4200
NO_SIGN_OF_LIFE = 4201
RATE_LIMITED = 4202
TOO_MANY_CONNECTIONS = 4203
DRAINING = 4300
SLOW_READER = 4301
HISTORY_EXPIRED = 4302

CLOSE_CODES: dict[int, CloseCode] = {
    row.code: row
    for row in (
        CloseCode(SIGNED_OUT, "session_revoked", Action.STOP, "signed out or revoked"),
        CloseCode(UNKNOWN_APP, "unknown_app", Action.STOP, "unknown or inactive app"),
        CloseCode(ORIGIN_NOT_ALLOWED, "origin_not_allowed", Action.STOP, "origin not allowed"),
        CloseCode(MISBEHAVING, "misbehaving_client", Action.STOP, "ten refused frames in a minute"),
        CloseCode(TOKEN_NEEDED, "token_expired", Action.NEW_TOKEN, "expired or invalid token"),
        CloseCode(SERVER_ERROR, "server_error", Action.BACK_OFF, "server error"),
        CloseCode(NO_SIGN_OF_LIFE, "no_sign_of_life", Action.BACK_OFF, "no sign of life for 10 s after a ping"),
        CloseCode(
            RATE_LIMITED,
            "rate_limited",
            Action.BACK_OFF,
            "more than 20 frames a second, or too many bad tokens from the address",
        ),
        CloseCode(TOO_MANY_CONNECTIONS, "too_many_connections", Action.BACK_OFF, "the newest connection is refused"),
        CloseCode(DRAINING, "draining", Action.RESUME, "server draining"),
        CloseCode(SLOW_READER, "slow_reader", Action.RESUME, "reader made no progress for 30 s"),
        CloseCode(HISTORY_EXPIRED, "history_expired", Action.READ_AGAIN, "history expired while catching up"),
    )
}
"""Every code the server closes with."""

_BANDS = {40: Action.STOP, 41: Action.NEW_TOKEN, 42: Action.BACK_OFF, 43: Action.RESUME}
_FAULTS_OF_THE_CLIENT = frozenset({1002, 1003, 1007, 1009})


def action_after(code: int) -> Action:
    """Return what a client does after any close code: ours, a later one of the same band, or RFC 6455's own."""
    if code in CLOSE_CODES:
        return CLOSE_CODES[code].action
    if code in _FAULTS_OF_THE_CLIENT:
        return Action.STOP
    return _BANDS.get(code // 100, Action.BACK_OFF)


class CloseReason(msgspec.Struct, rename="camel", omit_defaults=True):
    """The close frame's reason; `retry_after_ms` is how long to wait before connecting again."""

    code: str = ""
    retry_after_ms: int | None = None


def close_reason(code: int, retry_after_ms: int | None = None, name: str | None = None) -> bytes:
    """Return the JSON reason that goes with a close code: at most 123 bytes, the most a close frame takes.

    `name` replaces the code's own name where one code has two causes.
    """
    return msgspec.json.encode(CloseReason(name or CLOSE_CODES[code].name, retry_after_ms))


def read_reason(reason: bytes) -> CloseReason:
    """Return what a close reason says; an empty one where it is not ours."""
    try:
        return msgspec.json.decode(reason, type=CloseReason)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return CloseReason()
