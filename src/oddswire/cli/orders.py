"""`oddswire order`: place, cancel and list."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from oddswire.cli import options, output, paging
from oddswire.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from oddswire.wire import bodies

commands = typer.Typer(help="Place, cancel and list a user's orders.")
_RIGHT = ("size", "price", "filled")
_COLUMNS = ("order", "market, outcome", "side", "size", "price", "status", "filled")
InVenue = Annotated[str, typer.Option("--venue", help="Where the market is.")]


@commands.command("place")
def place(
    market: Annotated[str, typer.Argument(metavar="MARKET", help="The market's id, such as fed-cut-dec.")],
    outcome: Annotated[str, typer.Argument(metavar="OUTCOME", help="The outcome's id, such as yes.")],
    side: Annotated[Literal["buy", "sell"], typer.Argument(metavar="SIDE", help="What to do with it.")],
    size: Annotated[str, typer.Argument(metavar="SIZE", help="How many contracts.")],
    price: Annotated[str, typer.Argument(metavar="PRICE", help="Dollars a contract, between 0 and 1.")],
    user: options.User = None,
    token: options.Token = None,
    venue: InVenue = "paper",
    client_order_id: Annotated[
        str | None, typer.Option("--client-order-id", help="Your own id: with it a repeat places nothing twice.")
    ] = None,
    tif: Annotated[
        Literal["gtc", "ioc", "fok", "gtd"], typer.Option("--tif", help="How long it stays; gtd wants --expires.")
    ] = "gtc",
    expires: Annotated[
        str | None, typer.Option("--expires", help="When a gtd order ends: from now (90s, 15m, 2h, 1d), or epoch ms.")
    ] = None,
    post_only: Annotated[bool, typer.Option("--post-only", help="Refuse it if it would fill at once.")] = False,
    url: options.Url = options.URL,
    app: options.App = options.APP,
    api_key: options.ApiKey = options.API_KEY,
    as_json: options.Json = False,
) -> None:
    """Place an order, and print it once the venue has it.

    A --user who was never signed in is a new user from now on: mind how the name is written.

    Example:  oddswire order place fed-cut-dec yes buy 10 0.55 --user alice
    """
    expires_at = None if expires is None else _moment(expires)

    async def work() -> "bodies.Order":
        async with options.signed_in(url, app, api_key, user, token, create=True) as client:
            return await client.orders.place(
                venue=venue,
                market_id=market,
                outcome_id=outcome,
                side=side,
                price=price,
                size=size,
                time_in_force=tif,
                expires_at=expires_at,
                post_only=post_only,
                client_order_id=client_order_id,
            )

    _show(_placed(work()), as_json)


@commands.command("cancel")
def cancel(
    order_id: Annotated[str, typer.Argument(metavar="ORDER_ID", help="The order's id, ord_….")],
    user: options.User = None,
    token: options.Token = None,
    url: options.Url = options.URL,
    app: options.App = options.APP,
    api_key: options.ApiKey = options.API_KEY,
    as_json: options.Json = False,
) -> None:
    """Ask for an order's cancel, and print it as it is now; `oddswire watch` shows what comes of it.

    Example:  oddswire order cancel ord_01JQ… --user alice
    """

    async def work() -> "bodies.Order":
        async with options.signed_in(url, app, api_key, user, token) as client:
            return await client.orders.cancel(order_id)

    order = asyncio.run(work())
    _show(order, as_json)
    if order.status == "canceled":
        output.note("It had been canceled already.")
    else:
        output.note("Its cancel is asked for; this is how it was before. `oddswire watch` shows what comes of it.")


@commands.command("cancel-all")
def cancel_all(
    user: options.User = None,
    token: options.Token = None,
    venue: options.Venue = None,
    market: Annotated[str | None, typer.Option("--market", help="Only in this market.")] = None,
    url: options.Url = options.URL,
    app: options.App = options.APP,
    api_key: options.ApiKey = options.API_KEY,
    as_json: options.Json = False,
) -> None:
    """Ask for the cancel of all of a user's open orders, and print their ids.

    Example:  oddswire order cancel-all --user alice --market fed-cut-dec
    """

    async def work() -> list[str]:
        async with options.signed_in(url, app, api_key, user, token) as client:
            return await client.orders.cancel_all(venue=venue, market_id=market)

    asked = asyncio.run(work())
    if as_json:
        output.line(output.as_json({"orderIds": asked}))
        return
    for order_id in asked:
        output.line(order_id)
    output.note(f"{output.counted(len(asked), 'cancel')} asked for. `oddswire watch` shows what comes of it.")


@commands.command("list")
def list_orders(
    user: options.User = None,
    token: options.Token = None,
    status: Annotated[
        str | None, typer.Option("--status", help="Only these, with a comma between, such as open,partially_filled.")
    ] = None,
    venue: options.Venue = None,
    client_order_id: Annotated[
        str | None, typer.Option("--client-order-id", help="Only the one with this id of yours.")
    ] = None,
    limit: paging.Limit = paging.LIMIT,
    every: paging.All = False,
    url: options.Url = options.URL,
    app: options.App = options.APP,
    api_key: options.ApiKey = options.API_KEY,
    as_json: options.Json = False,
) -> None:
    """List a user's orders, the newest first.

    Example:  oddswire order list --user alice --status open,partially_filled
    """

    async def work() -> None:
        async with options.signed_in(url, app, api_key, user, token) as client:

            async def read(cursor: str | None, size: int) -> "tuple[Sequence[bodies.Order], str | None]":
                page = await paging.patiently(
                    lambda: client.orders.list(
                        status=status, venue=venue, client_order_id=client_order_id, cursor=cursor, limit=size
                    )
                )
                return page.data, page.next_cursor

            await paging.show(
                read,
                _COLUMNS,
                _cells,
                limit=None if every else limit,
                as_json=as_json,
                right=_RIGHT,
                nothing="No orders.",
            )

    asyncio.run(work())


def _placed(placing: "Coroutine[None, None, bodies.Order]") -> "bodies.Order":
    """Return the order once it is placed, and say to who does not wait for that what is not known then."""
    try:
        return asyncio.run(placing)
    except KeyboardInterrupt:
        output.note("Whether the order was placed is not known: `oddswire order list` shows it if it was.")
        raise


def _moment(text: str) -> int:
    """Return Unix epoch ms of `90s`, `15m`, `2h`, `1d` from now, or of a number of ms."""
    units = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
    count, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "")
    if not count.isascii() or not count.isdigit():
        raise typer.BadParameter("Expected 90s, 15m, 2h, 1d or Unix epoch milliseconds.", param_hint="--expires")
    return SystemClock().now() + int(count) * units[unit] if unit else int(count)


def _show(order: "bodies.Order", as_json: bool) -> None:
    if as_json:
        output.line(output.as_json(order))
        return
    output.rows(_COLUMNS, [_cells(order)], _RIGHT)


def _cells(order: "bodies.Order") -> list[output.Cell]:
    return [
        order.order_id,
        f"{order.market_id} {order.outcome_id}",
        output.coloured(order.side, output.SIDE_COLOURS),
        output.number(order.size),
        output.number(order.price),
        output.coloured(order.status, output.STATUS_COLOURS),
        output.amount(order.filled_amount_raw),
    ]
