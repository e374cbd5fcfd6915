"""Every error the software tells anybody, in one tree: a stable code, what happened, where, and what to do next.

A code is for programs and never changes its meaning; `detail` is for people. Neither ever echoes a secret.
"""

from typing import NamedTuple


class Code(NamedTuple):
    """What a code means, wherever it is told."""

    status: int
    title: str
    action: str


CODES: dict[str, Code] = {
    # what was sent
    "invalid_json": Code(400, "Not JSON", "Send one JSON document in UTF-8."),
    "invalid_body": Code(400, "Wrong shape", "Compare the value at `path` with the reference."),
    "invalid_parameter": Code(400, "Wrong parameter", "Compare the query parameter at `path` with the reference."),
    "invalid_amount": Code(400, "Not an amount", "Send a plain decimal: no sign, no exponent, at most 6 decimals."),
    "invalid_frame": Code(400, "Wrong frame", "Compare the value at `path` with the reference."),
    "unknown_action": Code(400, "Unknown action", "Send `authenticate` or `ping`."),
    "app_id_missing": Code(400, "No app", "Send the app's id: `appId` on the socket, the `x-app-id` header over HTTP."),
    "early_bytes": Code(400, "Bytes before the upgrade", "Wait for the 101 answer before sending anything."),
    "bad_handshake": Code(400, "Not a WebSocket handshake", "Connect with a WebSocket client, version 13."),
    "invalid_http": Code(400, "Not HTTP", "Send well-formed HTTP/1.1, with one `Origin` at most."),
    "head_too_large": Code(431, "Head too large", "Send at most 32 KiB of request line and headers."),
    "upgrade_required": Code(426, "Upgrade required", "Connect with a WebSocket client, version 13."),
    "body_too_large": Code(413, "Body too large", "Send at most 64 KiB."),
    "body_too_slow": Code(408, "Body too slow", "Send the whole body within 10 seconds."),
    "not_found": Code(404, "Not found", "Check the path and the id."),
    "method_not_allowed": Code(405, "Method not allowed", "See the `Allow` header."),
    # who is asking
    "token_missing": Code(401, "No token", "Send `Authorization: Bearer <accessToken>`."),
    "token_invalid": Code(401, "Token not valid here", "Get a new token from `/auth/token` or refresh it."),
    "token_expired": Code(401, "Token expired", "Refresh it with `/auth/token/refresh`."),
    "session_revoked": Code(401, "Signed out", "Let the user sign in again."),
    "refresh_token_invalid": Code(401, "Refresh token not valid", "Let the user sign in again."),
    "api_key_invalid": Code(
        401, "API key not valid", "Send a key that `oddswire app key list APP` shows as live, as `x-app-api-key`."
    ),
    "api_key_in_browser": Code(
        403,
        "API key in a browser",
        "Call this from your own backend; make another key with `oddswire app key add APP --name NAME` and "
        "end this one with `oddswire app key revoke APP NAME`.",
    ),
    "unknown_app": Code(403, "Unknown or inactive app", "Check the app's id; `oddswire app list` shows them."),
    "origin_not_allowed": Code(403, "Origin not allowed", "Add it with `oddswire app origins APP --add ORIGIN`."),
    "wallet_sign_in_off": Code(403, "Wallet sign-in is off", "Switch it on with `oddswire app wallet on`."),
    "wallet_message_invalid": Code(
        400, "Not an EIP-4361 message", "Have the `message` of `POST /auth/start` signed as it is."
    ),
    "wallet_message_refused": Code(
        403, "Message not for this app or time", "Have the `message` of `POST /auth/start` signed as it is."
    ),
    "nonce_invalid": Code(401, "Nonce not valid", "Begin again with `POST /auth/start`: a nonce serves once."),
    "signature_invalid": Code(401, "Signature not valid", "Sign the message with `personal_sign`, by its own address."),
    "operator_only": Code(
        403, "For operators only", "Call it from a tool, not a page, by the address it listens on, such as 127.0.0.1."
    ),
    # orders denied by us: nothing is stored and nothing is held
    "insufficient_funds": Code(422, "Not enough money", "Place a smaller order or deposit first."),
    "insufficient_holdings": Code(422, "Not enough contracts", "Sell at most what is `available`."),
    "unknown_venue": Code(422, "Unknown venue", "`GET /venues` lists them."),
    "unknown_market": Code(422, "Unknown market", "`GET /markets` and `oddswire markets` list them."),
    "unknown_outcome": Code(422, "Unknown outcome", "`GET /markets` lists each market's outcomes."),
    "market_closed": Code(422, "Market closed", "Wait until its status is `open`, or choose another."),
    "price_out_of_range": Code(422, "Price out of range", "Send a price above 0 and below 1."),
    "price_off_tick": Code(422, "Price off the tick", "Send a multiple of the market's `tick`."),
    "size_too_small": Code(422, "Size too small", "Send at least the market's `minSize`."),
    "size_too_large": Code(422, "Size too large", "Send at most the market's `maxSize`."),
    "size_off_step": Code(422, "Size off the step", "Send a multiple of the market's `sizeStep`."),
    "expiry_invalid": Code(422, "Expiry not valid", "`gtd` wants an `expiresAt` in the future (ms); the others none."),
    "post_only_invalid": Code(422, "Post-only not possible", "`postOnly` goes with `gtc` and `gtd` only."),
    "venue_correction": Code(422, "Venue is correcting itself", "Wait until the balance is not negative any more."),
    # orders, later
    "rejected_by_venue": Code(422, "Rejected by the venue", "See `order.errorReason`."),
    "order_conflict": Code(
        409, "clientOrderId used already", "The field at `path` differs; use a new `clientOrderId`."
    ),
    "order_finished": Code(409, "Order finished", "Nothing to cancel: see `order.status`."),
    # cursors
    "history_expired": Code(410, "History expired", "Read the state again and go on from its `seq`."),
    "epoch_changed": Code(410, "Another history", "Read the state again and go on from its `seq` and `epoch`."),
    "ahead": Code(410, "Cursor ahead of the stream", "Read the state again and go on from its `seq`."),
    # limits and the state of the house
    "rate_limited": Code(429, "Too many requests", "Wait `Retry-After` seconds."),
    "too_many_connections": Code(429, "Too many connections", "Close one first."),
    "draining": Code(503, "Server going down", "Try again in a moment; another node may answer."),
    "store_unavailable": Code(503, "Store unavailable", "Nothing was stored; try again in a moment."),
    "provider_unavailable": Code(503, "Identity provider unavailable", "Try again in a moment; the token may be good."),
    "venue_unavailable": Code(503, "Venue unavailable", "Nothing was sent; try again in a moment."),
    "internal": Code(500, "Fault of ours", "See the server's log."),
    # what an operator meets at start
    "database_missing": Code(0, "No such database", "Give another --database; `oddswire serve` makes a new one."),
    "database_locked": Code(0, "Database in use", "Stop the other process, or give another --database."),
    "database_foreign": Code(0, "Not an Oddswire database", "Give another --database."),
    "database_newer": Code(0, "Database of a newer version", "Upgrade Oddswire."),
    "database_unusable": Code(0, "Database cannot be used", "See the reason; check path, rights and space."),
    "config_invalid": Code(0, "Setting not valid", "See `docs/reference/settings.md`."),
    "address_unusable": Code(0, "Address cannot be used", "Give another --port, --host or --admin HOST:PORT."),
    "key_waiting": Code(409, "A key waits already", "Let it begin to sign first: `oddswire keys list` says when."),
    "app_exists": Code(409, "App exists already", "Choose another id; `oddswire app list` shows them."),
    "key_exists": Code(409, "API key exists already", "Choose another name, or end the key of that name first."),
    "orders_live": Code(
        409, "Orders unfinished", "Serve the database, cancel them with `oddswire user cancel`, and stop it again."
    ),
    "output_unusable": Code(0, "Output cannot be written", "Make room, or give it another place."),
    "usage": Code(0, "Cannot do that", "See the command's --help."),
    "server_unreachable": Code(0, "No answer from the server", "Start it with `oddswire serve --dev`, or give --url."),
    "refused_by_server": Code(0, "Refused by the server", "See the reason."),
}


class OddswireError(Exception):
    """The root: `code` is one of `CODES`, `detail` what happened, `path` where in what was sent (`$.price`)."""

    def __init__(self, code: str, detail: str, *, path: str | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.path = path

    @property
    def meaning(self) -> Code:
        """The status, title and advice that go with the code."""
        return CODES[self.code]

    def __str__(self) -> str:
        return f"{self.detail} ({self.code} at {self.path})" if self.path else f"{self.detail} ({self.code})"


class InvalidInput(OddswireError):
    """What was sent cannot be understood; nothing was done."""


class Refused(OddswireError):
    """Who asks may not: token, app, key or origin."""


class Denied(OddswireError):
    """An order that we refuse; nothing is stored, nothing is held."""


class Missing(OddswireError):
    """What was asked for is not there, or not this user's."""

    def __init__(self, detail: str, *, path: str | None = None) -> None:
        super().__init__("not_found", detail, path=path)


class Conflict(OddswireError):
    """It contradicts what is stored; `order` is the stored order it is about, in its wire form."""

    def __init__(self, code: str, detail: str, *, path: str | None = None, order: object = None) -> None:
        super().__init__(code, detail, path=path)
        self.order = order


class Rejected(OddswireError):
    """The venue said no (`rejected_by_venue`); `order` is the stored order, in its wire form."""

    def __init__(self, detail: str, *, order: object) -> None:
        super().__init__("rejected_by_venue", detail)
        self.order = order


class CursorRefused(OddswireError):
    """A cursor this stream cannot honour: `history_expired`, `epoch_changed` or `ahead`."""


class Unavailable(OddswireError):
    """Not now, and nothing was stored: the same call may go through later."""


class Limited(OddswireError):
    """Too much, too fast; `retry_after` is in seconds."""

    def __init__(self, code: str, detail: str, *, retry_after: float) -> None:
        super().__init__(code, detail)
        self.retry_after = retry_after


class OperatorError(OddswireError):
    """What a person at the command line can mend: said in one line, never as a traceback."""
