"""What is told to a user: facts in the past tense, in the one form that log, socket and REST share.

Each struct is the frame of PROTOCOL 1 and 2.2 itself. Amounts named `...Raw` are integer strings in millionths,
`...Cents` whole cents rounded down, prices and sizes exact JSON numbers.
`timestamp` is our commit time in ms, `seq` the place in the stream.
"""

from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

Number = Annotated[Decimal, Meta(extra_json_schema={"type": "number", "format": "decimal"})]
"""An exact decimal, a JSON number on the wire."""
Millis = Annotated[int, Meta(ge=0, le=2**53 - 1, description="Unix epoch milliseconds")]
Seq = Annotated[int, Meta(ge=1, description="Place in the user's stream: 1, 2, 3, … without a hole")]
Raw = Annotated[str, Meta(pattern=r"^-?[0-9]+$", description="Integer in millionths")]
Side = Literal["buy", "sell"]
OrderStatus = Literal["pending", "unconfirmed", "open", "partially_filled", "filled", "canceled", "expired", "rejected"]
OrderStep = Literal[
    "partially_filled", "filled", "canceled", "expired", "rejected", "unconfirmed", "reversed", "cancel_rejected"
]
BalanceReason = Literal["order_placed", "fill", "released", "fee", "settlement", "deposit", "withdrawal", "correction"]
Source = Literal["venue", "reconciled"]


class Event(Struct, kw_only=True, frozen=True, rename="camel", tag_field="type"):
    """What every event carries."""

    venue: str
    timestamp: Millis
    seq: Seq
    venue_timestamp: Millis | UnsetType = UNSET

    @property
    def type(self) -> str:
        """What kind of event it is, as on the wire: `order_submitted`, `balance_update`, …"""
        return str(self.__struct_config__.tag)


class OrderSubmitted(Event, kw_only=True, frozen=True, tag="order_submitted"):
    """The venue has the order: exactly one an order."""

    order_id: str
    side: Side
    price: Number
    size: Number
    market_id: str
    outcome_id: str
    client_order_id: str | UnsetType = UNSET
    origin: Literal["venue"] | UnsetType = UNSET


class BalanceUpdate(Event, kw_only=True, frozen=True, tag="balance_update"):
    """The user's balance at a venue, as full values, never deltas."""

    trading_balance_cents: int
    wallet_balance_cents: int | None
    trading_balance_raw: Raw
    wallet_balance_raw: Raw | None
    reason: BalanceReason
    order_id: str | UnsetType = UNSET


class OrderEvent(Event, kw_only=True, frozen=True, tag="order_event"):
    """A further step of an order."""

    event: OrderStep
    order_id: str
    market_id: str
    outcome_id: str
    status: OrderStatus
    previous_status: OrderStatus
    filled_amount_raw: Raw
    remaining_amount_raw: Raw
    source: Source
    client_order_id: str | UnsetType = UNSET
    fill_price: Number | UnsetType = UNSET
    fill_size: Number | UnsetType = UNSET
    fee_raw: Raw | UnsetType = UNSET
    error_reason: str | UnsetType = UNSET


class HoldingUpdate(Event, kw_only=True, frozen=True, tag="holding_update"):
    """A changed holding, as full values; `available` is size less open sells, less what has not settled."""

    market_id: str
    outcome_id: str
    size: Number
    available: Number
    average_price: Number


class MarketSettled(Event, kw_only=True, frozen=True, tag="market_settled"):
    """A market in which the user held contracts paid out; `outcomeId` won."""

    market_id: str
    outcome_id: str
    payout_cents: int


UserEvent = OrderSubmitted | BalanceUpdate | OrderEvent | HoldingUpdate | MarketSettled
"""Any fact of a user's stream."""

_encoder = msgspec.json.Encoder(decimal_format="number")
_decoder: msgspec.json.Decoder[UserEvent] = msgspec.json.Decoder(UserEvent)


def encode(event: UserEvent) -> bytes:
    """Return the event's one encoding: the text that is stored, sent to every socket and served over REST."""
    return _encoder.encode(event)


def decode(frame: bytes | str) -> UserEvent:
    """Return the event a stored or received frame tells; fields it does not know are passed over.

    Raises:
        msgspec.ValidationError: it is no event.
    """
    return _decoder.decode(frame)
