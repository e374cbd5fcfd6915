"""`/trading/orders` and `/trading/fills`: placing, cancelling and looking up."""

from typing import Annotated, Final

from litestar import Router, get, post, route
from litestar.enums import HttpMethod
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.response import Response

from oddswire.errors import Denied, Rejected
from oddswire.orders.views import STATUSES_PATTERN, parse_cursor, parse_statuses
from oddswire.server.callers import reads, trades
from oddswire.server.calls import Call, Json
from oddswire.server.openapi import USER, errors
from oddswire.server.parameters import Cursor, Limit, Venue, guarded, view_of
from oddswire.wire.bodies import CancelAll, CancelRequested, Fills, Order, Orders, PlaceOrder

REPLAY: Final = "idempotent-replay"
DENIALS: Final = (
    *("insufficient_funds", "insufficient_holdings", "unknown_venue", "unknown_market", "unknown_outcome"),
    *("market_closed", "price_out_of_range", "price_off_tick", "size_too_small", "size_too_large", "size_off_step"),
    *("expiry_invalid", "post_only_invalid", "venue_correction"),
)
"""Why an order is denied by us: nothing is stored and nothing held."""


@post(
    "/orders",
    before_request=guarded(trades),
    summary="Place an order",
    responses={
        200: ResponseSpec(Order, generate_examples=False, description="A repeat: the order as it now is"),
        202: ResponseSpec(Order, generate_examples=False, description="The venue has not answered yet"),
    },
    response_description="The venue has the order",
    opt=errors(
        *(*DENIALS, "invalid_amount", "rejected_by_venue", "order_conflict"),
        *("rate_limited", "draining", "store_unavailable", "venue_unavailable"),
        body=True,
        user=True,
        replays=True,
    ),
)
async def place(request: Call, data: JSONBody[PlaceOrder]) -> Response[Order]:
    """Answers once the venue has the order, or after ten seconds (a setting) without its answer.

    With a `clientOrderId` the call may be repeated: it places one order, and the repeat carries `Idempotent-Replay`.
    """
    who, metrics = request.user, request.parts.metrics
    try:
        placed = await request.parts.desk.place(who.app_id, who.user_id, data, who.session_id)
    except Denied:
        metrics.order("denied")
        raise
    if placed.replay:
        metrics.order("replayed")
        return Json(placed.order, status_code=200, headers={REPLAY: "true"})
    metrics.order(placed.outcome)
    if placed.outcome == "rejected":
        reason = placed.order.error_reason or "no reason given"
        raise Rejected(f"{placed.order.venue} did not take the order: {reason}.", order=placed.order)
    return Json(placed.order, status_code=201 if placed.outcome == "taken" else 202)


@post(
    "/orders/{order_id:str}/cancel",
    status_code=202,
    before_request=guarded(trades),
    summary="Cancel an order",
    response_description="Taken; what comes of it is told by events",
    opt=errors("not_found", "order_finished", "rate_limited", "draining", "store_unavailable", user=True),
)
async def cancel(request: Call, order_id: FromPath[str]) -> Order:
    """The cancel of an order the venue has not answered for is kept, and sent when it has."""
    return await request.parts.desk.cancel(request.user.app_id, request.user.user_id, order_id)


@post(
    "/orders/cancel-all",
    status_code=202,
    before_request=guarded(trades),
    summary="Cancel every open order",
    response_description="Taken; what comes of it is told by events",
    opt=errors(
        *("unknown_venue", "unknown_market", "rate_limited", "draining", "store_unavailable"), body=True, user=True
    ),
)
async def cancel_all(request: Call, data: JSONBody[CancelAll | None] = None) -> CancelRequested:
    """Every open order, or those of one venue or market."""
    wanted = data or CancelAll()
    ids = await request.parts.desk.cancel_all(request.user.app_id, request.user.user_id, wanted)
    return CancelRequested(order_ids=ids)


@get(
    "/orders",
    before_request=guarded(reads),
    summary="List orders",
    opt=errors("unknown_venue", "rate_limited", "store_unavailable", user=True),
)
async def list_orders(
    request: Call,
    venue: Venue = None,
    status: Annotated[
        str | None,
        QueryParameter(
            description="Only these, with a comma between", max_length=200, schema_extra={"pattern": STATUSES_PATTERN}
        ),
    ] = None,
    client_order_id: Annotated[
        str | None, QueryParameter(name="clientOrderId", description="The one with this id", max_length=64)
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Orders:
    """Newest first. A `pending` order is found by its `clientOrderId` only."""
    statuses, after, view = parse_statuses(status), parse_cursor(cursor, "ord"), view_of(request)
    return await request.parts.store.read(
        lambda tx: view(tx).orders(
            statuses=statuses, venue=venue, client_order_id=client_order_id, cursor=after, limit=limit
        )
    )


@route("/orders", http_method=[HttpMethod.OPTIONS], status_code=204, include_in_schema=False)
async def order_methods() -> Response[None]:
    """What may be done with orders: the framework's own answer knows only what was registered first."""
    return Response(None, headers={"allow": "GET, OPTIONS, POST"})


@get(
    "/orders/{order_id:str}",
    before_request=guarded(reads),
    summary="Get an order",
    opt=errors("not_found", "rate_limited", "store_unavailable", user=True),
)
async def get_order(request: Call, order_id: FromPath[str]) -> Order:
    """One order, whatever its status."""
    view = view_of(request)
    return await request.parts.store.read(lambda tx: view(tx).order(order_id))


@get(
    "/fills",
    before_request=guarded(reads),
    summary="List fills",
    opt=errors("unknown_venue", "rate_limited", "store_unavailable", user=True),
)
async def list_fills(
    request: Call,
    venue: Venue = None,
    order_id: Annotated[
        str | None, QueryParameter(name="orderId", description="Only this order's", max_length=128)
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Fills:
    """Newest first."""
    after, view = parse_cursor(cursor, "fil"), view_of(request)
    return await request.parts.store.read(
        lambda tx: view(tx).fills(order_id=order_id, venue=venue, cursor=after, limit=limit)
    )


routes = Router(
    "/trading",
    route_handlers=[order_methods, place, cancel, cancel_all, list_orders, get_order, list_fills],
    security=USER,
    tags=["Orders"],
)
