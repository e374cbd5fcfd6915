"""The bodies of the REST calls, both ways, shared by the server and the client (PROTOCOL 2.5)."""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from oddswire.events import Millis, Number, OrderStatus, Raw, Side

TimeInForce = Literal["gtc", "ioc", "fok", "gtd"]
# `$` alone would let a newline pass at the end
ClientOrderId = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_:+=/.-]+$(?!\n)")]
Id = Annotated[str, Meta(min_length=1, max_length=128)]
WALLET_USER_PREFIX: Final = "wallet:"
"""What the ids of users begin with who signed in by wallet, and no others: none that a backend vouches for."""
UserId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        pattern=rf"^(?!{WALLET_USER_PREFIX})[^\u0000-\u001f\u007f]+$(?!\n)",
        description=f"The app's own id of its user: no control characters, and not beginning with "
        f"`{WALLET_USER_PREFIX}`, which is for who signs in by wallet",
    ),
]
Label = Annotated[
    str,
    Meta(
        max_length=80,
        pattern=r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$(?!\n)",
        description="Names the session for people, such as a device: no control characters",
    ),
]
Amount = Annotated[
    msgspec.Raw,
    Meta(
        extra_json_schema={
            "oneOf": [
                {"type": "number", "minimum": 0, "exclusiveMaximum": 10**12, "multipleOf": 0.000001},
                {"type": "string", "pattern": r"^(0|[1-9][0-9]{0,11})(\.[0-9]{1,6})?$"},
            ]
        }
    ),
]
"""An exact amount, as the JSON text it was sent as: `oddswire.money.parse_amount` reads it."""
ChainId = Literal[1, 137]
"""The chains a wallet may sign in on, Ethereum and Polygon: an address is the same on both."""
Cursor = Annotated[int, Meta(ge=0, description="The answer is exactly the state after this event")]


class Body(Struct, kw_only=True, rename="camel"):
    """What every body is: camelCase on the wire."""


# ---- who is asking


class SignInRequest(Body):
    """`POST /auth/token`, by the app's own backend with its API key; without `create` only a user seen before."""

    user_id: UserId
    label: Label = ""
    create: bool = True


class StartWallet(Body):
    """`POST /auth/start`: with an `address`, a message is returned that is ready to be signed."""

    address: Annotated[str, Meta(pattern=r"^0x[0-9A-Fa-f]{40}$(?!\n)")] | None = None
    chain_id: ChainId = 1


class WalletStarted(Body):
    """What a message for signing in by wallet is made of.

    Its `Nonce`, its `Issued At`, when the nonce expires, and which a `Chain ID` may be; `message` is all of it,
    where an address was given.
    """

    nonce: str
    issued_at: Millis
    expires_at: Millis
    chain_ids: list[ChainId]
    message: str | UnsetType = UNSET


class VerifyWallet(Body):
    """`POST /auth/verify`: an EIP-4361 message, and the signature `personal_sign` gives for it."""

    message: Annotated[str, Meta(max_length=4096)]
    signature: Annotated[str, Meta(max_length=8192)]
    label: Label = ""


class RefreshRequest(Body):
    """`POST /auth/token/refresh`."""

    refresh_token: Annotated[str, Meta(min_length=1, max_length=512)]


class SignedInUser(Body):
    """Who has been signed in."""

    id: str


class SignedIn(Body):
    """A pair of tokens.

    `expires_in` is the access token's life in seconds; the refresh token may be used again and again.
    """

    access_token: str
    refresh_token: str
    expires_in: int
    user: SignedInUser


class SessionInfo(Body):
    """A session that lives. Times in ms, `used_at` to the hour; `current` is the one the call itself was made in."""

    session_id: str
    label: str
    created_at: Millis
    used_at: Millis
    expires_at: Millis
    current: bool


class Sessions(Body):
    """`GET /auth/sessions`: the last used first, at most 100."""

    sessions: list[SessionInfo]


# ---- orders


class PlaceOrder(Body, forbid_unknown_fields=True):
    """`POST /trading/orders`."""

    venue: Id
    market_id: Id
    outcome_id: Id
    side: Side
    price: Amount
    size: Amount
    time_in_force: TimeInForce = "gtc"
    expires_at: Millis | None = None
    post_only: bool = False
    client_order_id: ClientOrderId | None = None


class CancelAll(Body, forbid_unknown_fields=True):
    """`POST /trading/orders/cancel-all`."""

    venue: Id | None = None
    market_id: Id | None = None


class CancelRequested(Body):
    """The orders whose cancel has been taken; what comes of it is told by events."""

    order_ids: list[str]


class Order(Body):
    """An order as it is after the event `seq`; `seq` is 0 while no event has told it."""

    order_id: str
    client_order_id: str | None
    venue: str
    market_id: str
    outcome_id: str
    side: Side
    price: Number
    size: Number
    time_in_force: TimeInForce
    status: OrderStatus
    filled_amount_raw: Raw
    remaining_amount_raw: Raw
    timestamp: Millis
    seq: int
    expires_at: Millis | UnsetType = UNSET
    post_only: bool = False
    error_reason: str | UnsetType = UNSET
    origin: Literal["venue"] | UnsetType = UNSET


class Fill(Body):
    """One fill; `reversed` where the venue undid it."""

    fill_id: str
    order_id: str
    venue: str
    market_id: str
    outcome_id: str
    side: Side
    price: Number
    size: Number
    fee_raw: Raw
    reversed: bool
    timestamp: Millis
    venue_timestamp: Millis
    seq: int


class Orders(Body):
    """A page of orders, the newest first."""

    data: list[Order]
    next_cursor: str | None
    has_more: bool
    seq: Cursor
    epoch: str


class Fills(Body):
    """A page of fills, the newest first."""

    data: list[Fill]
    next_cursor: str | None
    has_more: bool
    seq: Cursor
    epoch: str


# ---- money and contracts


class Balance(Body):
    """The balance at one venue."""

    venue: str
    trading_balance_cents: int
    wallet_balance_cents: int | None
    trading_balance_raw: Raw
    wallet_balance_raw: Raw | None
    timestamp: Millis
    seq: int


class Balances(Body):
    """Every balance, exactly as it is after the event `seq`."""

    balances: list[Balance]
    seq: Cursor
    epoch: str


class Holding(Body):
    """Contracts of one outcome."""

    venue: str
    market_id: str
    outcome_id: str
    size: Number
    available: Number
    average_price: Number
    timestamp: Millis
    seq: int


class Holdings(Body):
    """Every holding, exactly as it is after the event `seq`."""

    holdings: list[Holding]
    seq: Cursor
    epoch: str


# ---- the stream over HTTP


class EventPage(Body):
    """A page of the stream: the events after `since`, as they went over the sockets; `seq` is the last one's."""

    events: list[msgspec.Raw]
    seq: Cursor
    head: Cursor
    epoch: str
    has_more: bool


# ---- what can be traded


class VenueInfo(Body):
    """One venue and how it is doing."""

    venue: str
    title: str
    status: Literal["live", "degraded", "stale"]
    since: Millis


class Venues(Body):
    """Every venue."""

    data: list[VenueInfo]


class Outcome(Body):
    """One outcome of a market; a best price is null where nobody quotes."""

    outcome_id: str
    title: str
    best_bid: Number | None
    best_ask: Number | None


class Market(Body):
    """A market, and the steps its orders go in."""

    venue: str
    market_id: str
    title: str
    status: Literal["open", "paused", "closed", "settled"]
    tick: Number
    size_step: Number
    min_size: Number
    max_size: Number
    outcomes: list[Outcome]
    winner: str | UnsetType = UNSET


class Markets(Body):
    """A page of markets, by venue and id."""

    data: list[Market]
    next_cursor: str | None
    has_more: bool


# ---- when it went wrong


class Problem(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """RFC 9457, with a stable `code`; `message` repeats `detail`, `path` is where in what was sent."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    message: str
    path: str | None = None
    action: str | None = None
    order: Order | None = None


_encoder = msgspec.json.Encoder(decimal_format="number")


def encode(body: Struct) -> bytes:
    """Return a body as JSON: exact decimals as numbers."""
    return _encoder.encode(body)
