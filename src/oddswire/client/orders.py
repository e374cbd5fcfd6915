"""A user's orders, as the client places, cancels and lists them."""

from decimal import Decimal
from urllib.parse import quote

import msgspec

from oddswire.client.calls import Call, Calls
from oddswire.client.errors import ServerRefused
from oddswire.clock import SystemClock
from oddswire.events import Side
from oddswire.ids import new_id
from oddswire.wire import bodies

Amount = Decimal | int | str
"""An exact amount; a float is refused."""


class Orders:
    """`client.orders`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def place(
        self,
        *,
        venue: str,
        market_id: str,
        outcome_id: str,
        side: Side,
        price: Amount,
        size: Amount,
        time_in_force: bodies.TimeInForce = "gtc",
        expires_at: int | None = None,
        post_only: bool = False,
        client_order_id: str | None = None,
    ) -> bodies.Order:
        """Place one order, and return it as the venue took it, or `unconfirmed` where the venue did not answer.

        `price` is dollars a contract, `size` contracts, `expires_at` Unix epoch ms. The call carries a
        `clientOrderId`, a new one where none is given, so making it again after a lost answer places nothing twice.
        Who may be killed in the middle gives one of their own, kept before the call, and calls again with it.

        Raises:
            ServerRefused: denied by the gateway, or `rejected_by_venue` with the stored order in `order`.
            ServerUnreachable: no answer within the client's `retry_seconds`: whether it was placed is not known.
            TypeError: an amount is a float.
        """
        wanted = bodies.PlaceOrder(
            venue=venue,
            market_id=market_id,
            outcome_id=outcome_id,
            side=side,
            price=_exact(price),
            size=_exact(size),
            time_in_force=time_in_force,
            expires_at=expires_at,
            post_only=post_only,
            client_order_id=client_order_id or new_id("cli", SystemClock().now()),
        )
        order = await self._calls.signed(Call(method="POST", path="/trading/orders", body=wanted), bodies.Order)
        if order.status == "rejected":
            # the first answer was lost, and a repeat is answered with the order as it is
            detail = f"The venue rejected the order: {order.error_reason or 'it does not say why'}."
            raise ServerRefused("rejected_by_venue", detail, status=422, order=order)
        return order

    async def cancel(self, order_id: str) -> bodies.Order:
        """Ask for an order's cancel; an event tells what came of it. One that is canceled already is returned as it is.

        Raises:
            ServerRefused: `not_found`, or `order_finished` with the order.
        """
        path = f"/trading/orders/{quote(order_id, safe='')}/cancel"
        try:
            return await self._calls.signed(Call(method="POST", path=path), bodies.Order)
        except ServerRefused as said:
            if said.code == "order_finished" and said.order is not None and said.order.status == "canceled":
                # it may have been this very call, its answer lost
                return said.order
            raise

    async def cancel_all(self, *, venue: str | None = None, market_id: str | None = None) -> list[str]:
        """Ask for the cancel of every unfinished order, of a venue or a market only if named; return their ids.

        Those that a first call, whose answer was lost, has canceled already are not among them.
        """
        body = bodies.CancelAll(venue=venue, market_id=market_id)
        call = Call(method="POST", path="/trading/orders/cancel-all", body=body)
        return (await self._calls.signed(call, bodies.CancelRequested)).order_ids

    async def get(self, order_id: str) -> bodies.Order:
        """Return one order.

        Raises:
            ServerRefused: `not_found`.
        """
        return await self._calls.signed(
            Call(method="GET", path=f"/trading/orders/{quote(order_id, safe='')}"), bodies.Order
        )

    async def list(
        self,
        *,
        status: str | None = None,
        venue: str | None = None,
        client_order_id: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> bodies.Orders:
        """Return a page of orders, newest first; `status` may name several with commas between."""
        params = {
            "status": status,
            "venue": venue,
            "clientOrderId": client_order_id,
            "cursor": cursor,
            "limit": limit,
        }
        return await self._calls.signed(Call(method="GET", path="/trading/orders", params=params), bodies.Orders)


def _exact(value: Amount) -> msgspec.Raw:
    """Return an amount as the JSON string the gateway reads exactly; whether it is one is the gateway's to say."""
    if isinstance(value, float):
        raise TypeError("an amount is a str, an int or a Decimal, never a float")
    text = format(value.normalize(), "f") if isinstance(value, Decimal) else str(value)
    return msgspec.Raw(msgspec.json.encode(text))
