"""Every frame that is no event: what the server says about the connection, and what a client may say (PROTOCOL 2.2)."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, structs

from oddswire.errors import CODES, InvalidInput
from oddswire.events import Millis

LARGEST_SEQ = 2**53 - 1
"""What a JSON number holds exactly in every client."""

Position = Annotated[int, Meta(ge=0, le=LARGEST_SEQ, description="A place in the stream; 0 before the first event")]
Epoch = Annotated[str, Meta(max_length=64, description="Opaque name of this stream's history")]
LONGEST_ABSENCE = 300
"""The most seconds a session's orders may be left open without it."""
ArmedSeconds = Annotated[
    int, Meta(ge=1, le=LONGEST_ABSENCE, description="Seconds without a connection after which orders are canceled")
]
WantedSeconds = Annotated[int, Meta(ge=0, le=LONGEST_ABSENCE, description="0: not any more")]
ResetReason = Literal["expired", "epoch_changed", "ahead"]
PingId = Annotated[str, Meta(max_length=128)] | Annotated[int, Meta(ge=-LARGEST_SEQ, le=LARGEST_SEQ)]


class Frame(Struct, kw_only=True, frozen=True, rename="camel", tag_field="type"):
    """A frame from the server; fields that do not apply are left out."""


class Connected(Frame, kw_only=True, frozen=True, tag="connected"):
    """The first frame. Without a user only `appId`; `resumed` only where `since` was asked for."""

    app_id: str
    user_id: str | UnsetType = UNSET
    seq: Position | UnsetType = UNSET
    head: Position | UnsetType = UNSET
    epoch: Epoch | UnsetType = UNSET
    resumed: bool | UnsetType = UNSET
    reason: ResetReason | UnsetType = UNSET
    cancel_on_disconnect: ArmedSeconds | UnsetType = UNSET


class Authenticated(Frame, kw_only=True, frozen=True, tag="authenticated"):
    """A token has been taken: events after `seq` follow; having seen `head` you are level."""

    user_id: str
    seq: Position
    head: Position
    epoch: Epoch
    resumed: bool | UnsetType = UNSET
    reason: ResetReason | UnsetType = UNSET
    cancel_on_disconnect: ArmedSeconds | UnsetType = UNSET


class Heartbeat(Frame, kw_only=True, frozen=True, tag="heartbeat"):
    """Sign of life; `seq` is the last event sent on this connection."""

    ts: Millis
    seq: Position | UnsetType = UNSET


class TokenExpiring(Frame, kw_only=True, frozen=True, tag="token_expiring"):
    """This connection's token ends at `expiresAt`: send `authenticate` with a new one."""

    expires_at: Millis


class Error(Frame, kw_only=True, frozen=True, tag="error"):
    """A client frame or the connection itself was refused: `path` is where in what was sent, `action` what to do."""

    code: str
    message: str
    path: str | UnsetType = UNSET
    action: str | UnsetType = UNSET


class Pong(Frame, kw_only=True, frozen=True, tag="pong"):
    """The answer to `ping`, with its `id`."""

    ts: Millis
    id: PingId | UnsetType = UNSET


class VenueStatus(Frame, kw_only=True, frozen=True, tag="venue_status"):
    """How a venue is doing, told when it changed; not part of the stream."""

    venue: str
    status: Literal["live", "degraded", "stale"]
    since: Millis
    timestamp: Millis


ServerFrame = Connected | Authenticated | Heartbeat | TokenExpiring | Error | Pong | VenueStatus
"""Any frame of the server that is no event."""


class Request(Struct, kw_only=True, frozen=True, rename="camel", tag_field="action"):
    """A frame from a client; fields it may gain are passed over."""


class Authenticate(Request, kw_only=True, frozen=True, tag="authenticate"):
    """Sign in, or bring a new token; `since` and `epoch` ask for what was missed.

    `cancelOnDisconnect` arms the token's session, 0 or null disarms it; without it the session stays as it is.
    """

    token: Annotated[str, Meta(min_length=1)]
    since: Position | None = None
    epoch: Epoch | None = None
    cancel_on_disconnect: WantedSeconds | UnsetType | None = UNSET


class Ping(Request, kw_only=True, frozen=True, tag="ping"):
    """Ask for a `pong`."""

    id: PingId | None = None


ClientFrame = Authenticate | Ping
"""Any frame of a client."""


class _Named(Struct):
    action: str


_encoder = msgspec.json.Encoder()
_named = msgspec.json.Decoder(_Named)
_syntax = msgspec.json.Decoder(msgspec.Raw)
_requests: dict[str, msgspec.json.Decoder[Authenticate] | msgspec.json.Decoder[Ping]] = {
    "authenticate": msgspec.json.Decoder(Authenticate),
    "ping": msgspec.json.Decoder(Ping),
}


def encode(frame: ServerFrame | ClientFrame) -> bytes:
    """Return a frame as JSON."""
    return _encoder.encode(frame)


def connected(app_id: str, told: Authenticated) -> Connected:
    """Return the first frame of a connection that brought its token along: it tells the same as `authenticated`."""
    return Connected(app_id=app_id, **structs.asdict(told))


def error_frame(code: str, message: str, path: str | None = None) -> Error:
    """Return the frame that tells an error of `oddswire.errors`, with that code's advice."""
    return Error(code=code, message=message, path=path or UNSET, action=CODES[code].action)


def decode_request(text: bytes) -> ClientFrame:
    """Return what a client said.

    Raises:
        InvalidInput: `invalid_json`, `unknown_action`, or `invalid_frame` with the path of the fault. The detail never
            repeats what was sent.
    """
    try:
        text.decode()
        action = _named.decode(text).action
        decoder = _requests.get(action)
        if decoder is None:
            raise InvalidInput("unknown_action", "There is no such action.", path="$.action")
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        _refuse_malformed(text)
        said, _, path = str(error).partition(" - at `")
        raise InvalidInput("invalid_frame", f"{said}.", path=path.rstrip("`") or "$") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidInput("invalid_json", "The frame is not one JSON document in UTF-8.") from None
    except RecursionError:
        raise InvalidInput("invalid_json", "The frame is nested too deeply.") from None


def _refuse_malformed(text: bytes) -> None:
    """Tell broken JSON from JSON of the wrong shape: a decoder stops at the first of the two it meets."""
    try:
        _syntax.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise InvalidInput("invalid_json", "The frame is not one JSON document in UTF-8.") from None
