"""`oddswire order`: place and cancel."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from oddswire.cli import options, output
from oddswire.clock import SystemClock

if TYPE_CHECKING:
    from oddswire.wire import bodies

commands = typer.Typer(help="Place and cancel a user's orders.")
Venue = Annotated[str, typer.Option("--venue", help="Where the market is.")]


@commands.command("place")
def place(
    market: Annotated[str, typer.Argument(help="The market's id, such as fed-cut-dec.")],
    outcome: Annotated[str, typer.Argument(help="The outcome's id, such as yes.")],
    side: Annotated[Literal["buy", "sell"], typer.Argument(help="What to do with it.")],
    size: Annotated[str, typer.Argument(help="How many contracts.")],
    price: Annotated[str, typer.Argument(help="Dollars a contract, between 0 and 1.")],
    user: options.User = None,
    token: options.Token = None,
    venue: Venue = "paper",
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
    app: options.App = options.DEV_APP,
    api_key: options.ApiKey = options.DEV_KEY,
    as_json: options.Json = False,
) -> None:
    """Place an order, and print it once the venue has it.

    Example:  oddswire order place fed-cut-dec yes buy 10 0.55 --user alice
    """
    expires_at = None if expires is None else _moment(expires)

    async def work() -> "bodies.Order":
        async with options.signed_in(url, app, api_key, user, token) as client:
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

    _show(asyncio.run(work()), as_json)


@commands.command("cancel")
def cancel(
    order_id: Annotated[str, typer.Argument(help="The order's id, ord_….")],
    user: options.User = None,
    token: options.Token = None,
    url: options.Url = options.URL,
    app: options.App = options.DEV_APP,
    api_key: options.ApiKey = options.DEV_KEY,
    as_json: options.Json = False,
) -> None:
    """Ask for an order's cancel; `oddswire watch` shows what comes of it.

    Example:  oddswire order cancel ord_01JQ… --user alice
    """

    async def work() -> "bodies.Order":
        async with options.signed_in(url, app, api_key, user, token) as client:
            return await client.orders.cancel(order_id)

    _show(asyncio.run(work()), as_json)


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
    rows = output.table(
        None, ("order", "market", "side", "size", "price", "status", "filled"), ("size", "price", "filled")
    )
    rows.add_row(
        order.order_id,
        f"{order.market_id} {order.outcome_id}",
        output.coloured(order.side, output.SIDE_COLOURS),
        output.number(order.size),
        output.number(order.price),
        output.coloured(order.status, output.STATUS_COLOURS),
        output.amount(order.filled_amount_raw),
    )
    output.show(rows)
