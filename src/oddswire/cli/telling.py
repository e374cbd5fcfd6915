"""How events look on a terminal: aligned, coloured lines; plain text where it is a pipe."""

from datetime import datetime
from typing import Final

from msgspec import ValidationError
from rich.text import Text

from oddswire.cli.output import SIDE_COLOURS, STATUS_COLOURS, amount, dollars, number
from oddswire.cli.output import as_json as output_json
from oddswire.client import Reset, Told
from oddswire.events import BalanceUpdate, HoldingUpdate, MarketSettled, OrderEvent, OrderSubmitted, decode, encode
from oddswire.wire.frames import ResetReason

KIND_COLOURS: Final = {
    **{"order_submitted": "bold cyan", "balance_update": "green", "order_event": "magenta"},
    **{"holding_update": "blue", "market_settled": "bold yellow", "reset": "bold red"},
}
_RESETS: Final[dict[ResetReason, str]] = {
    "expired": "Those events are not kept any more",
    "epoch_changed": "The history is another one now",
    "ahead": "The history ends before that event",
}


def clock(timestamp: int) -> str:
    """Return Unix epoch ms as the local time of day, with milliseconds."""
    at = datetime.fromtimestamp(timestamp // 1000).astimezone()
    return f"{at:%H:%M:%S}.{timestamp % 1000:03d}"


def event_line(told: Told, user: str | None = None, colour: str = "bold") -> Text:
    """Return one line: time, the user's name where several share the screen, seq, type and what it says."""
    at = "" if isinstance(told, Reset) else clock(told.timestamp)
    line = Text.assemble((f"{at:<12}  ", "dim"))
    if user is not None:
        line.append(f"{user:<6} ", colour)
    line.append(f"{told.seq:>5}  ", "dim")
    line.append(f"{told.type:<16} ", KIND_COLOURS[told.type])
    return line.append_text(what(told))


def logged(frame: bytes) -> Text:
    """Return one line with the date, of an event as it is on the wire; of a kind we do not know, just that."""
    try:
        told = decode(frame)
    except ValidationError:
        return Text(frame.decode())
    day = f"{datetime.fromtimestamp(told.timestamp // 1000).astimezone():%Y-%m-%d} "
    return Text.assemble((day, "dim"), event_line(told))


def what(told: Told) -> Text:
    """Return what an event says."""
    match told:
        case OrderSubmitted():
            return _submitted(told)
        case BalanceUpdate():
            return Text.assemble(
                ("trading ", "dim"),
                (f"{dollars(told.trading_balance_cents):>10}", "bold"),
                ("  wallet ", "dim"),
                f"{dollars(told.wallet_balance_cents):>10}",
                (f"  {told.reason}", "dim"),
            )
        case OrderEvent():
            return _step(told)
        case HoldingUpdate():
            if not told.size:
                return Text.assemble(f"no {told.outcome_id} any more", (f"  {told.market_id}", "dim"))
            size, price = number(told.size), number(told.average_price)
            free = "" if told.available == told.size else f", {number(told.available)} of them free"
            owned = f" {told.outcome_id} owned at {price}{free}"
            return Text.assemble((size, "bold"), owned, (f"  {told.market_id}", "dim"))
        case MarketSettled():
            paid = f" won, paid {dollars(told.payout_cents)}"
            return Text.assemble(f"{told.market_id}: ", (told.outcome_id, "bold"), paid)
        case Reset():
            return Text(f"{_RESETS[told.reason]}: events are missing before this one, the state has been read again")


def short(order_id: str) -> str:
    """Return the end of an id: enough to tell the orders on one screen apart."""
    return "…" + order_id[-6:]


def _submitted(told: OrderSubmitted) -> Text:
    return Text.assemble(
        (told.side, SIDE_COLOURS[told.side]),
        f" {number(told.size)} {told.outcome_id} at {number(told.price)}",
        (f"  {told.market_id}  {short(told.order_id)}", "dim"),
    )


def _step(told: OrderEvent) -> Text:
    line = Text.assemble((told.event, STATUS_COLOURS.get(told.event, "yellow")))
    if told.fill_size and told.fill_price:
        line.append(f" {number(told.fill_size)} at {number(told.fill_price)}")
    if told.status not in ("filled", told.event):
        line.append(f", now {told.status}")
    if told.remaining_amount_raw != "0":
        line.append(f", {amount(told.remaining_amount_raw)} left")
    if told.error_reason:
        line.append(f" ({told.error_reason})", "yellow")
    if told.source == "reconciled":
        line.append(" found by our own check", "yellow")
    return line.append(f"  {told.market_id}  {short(told.order_id)}", "dim")


def as_json(told: Told) -> str:
    """Return an event as it is on the wire; a reset as `{"type":"reset", …}`."""
    if isinstance(told, Reset):
        return output_json({"type": "reset", **told._asdict()})
    return encode(told).decode()
