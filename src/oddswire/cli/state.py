"""`oddswire balance`, `holdings` and `fills`: what a user has, and what came of their orders."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from oddswire.cli import options, output, paging

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oddswire.wire import bodies

_FILLS = ("time", "market, outcome", "side", "size", "price", "fee", "order")


def balance(
    user: options.User = None,
    token: options.Token = None,
    venue: options.Venue = None,
    url: options.Url = options.URL,
    app: options.App = options.APP,
    api_key: options.ApiKey = options.API_KEY,
    as_json: options.Json = False,
) -> None:
    """Show a user's money: trading is what can be spent, wallet what there is with what open orders hold.

    Example:  oddswire balance --user alice
    """

    async def work() -> "bodies.Balances":
        async with options.signed_in(url, app, api_key, user, token) as client:
            return await client.balances(venue)

    found = asyncio.run(work())
    if as_json:
        output.line(output.as_json(found))
    elif found.balances:
        output.rows(
            ("venue", "trading", "wallet"),
            (
                (row.venue, output.dollars(row.trading_balance_cents), output.dollars(row.wallet_balance_cents))
                for row in found.balances
            ),
            right=("trading", "wallet"),
        )
    else:
        output.line("No balance yet.")


def holdings(
    user: options.User = None,
    token: options.Token = None,
    venue: options.Venue = None,
    url: options.Url = options.URL,
    app: options.App = options.APP,
    api_key: options.ApiKey = options.API_KEY,
    as_json: options.Json = False,
) -> None:
    """Show a user's contracts; available are those that no open order sells.

    Example:  oddswire holdings --user alice
    """

    async def work() -> "bodies.Holdings":
        async with options.signed_in(url, app, api_key, user, token) as client:
            return await client.holdings(venue)

    found = asyncio.run(work())
    if as_json:
        output.line(output.as_json(found))
    elif found.holdings:
        columns = ("venue", "market", "outcome", "size", "available", "average price")
        output.rows(columns, map(_holding, found.holdings), right=columns[3:])
    else:
        output.line("No contracts.")


def fills(
    user: options.User = None,
    token: options.Token = None,
    venue: options.Venue = None,
    order: Annotated[str | None, typer.Option("--order", help="Only the fills of this order, ord_….")] = None,
    limit: paging.Limit = paging.LIMIT,
    every: paging.All = False,
    url: options.Url = options.URL,
    app: options.App = options.APP,
    api_key: options.ApiKey = options.API_KEY,
    as_json: options.Json = False,
) -> None:
    """List a user's fills, the newest first.

    Example:  oddswire fills --user alice --limit 10
    """

    async def work() -> None:
        async with options.signed_in(url, app, api_key, user, token) as client:
            if order is not None:
                # one that is none has no fills either, but a mistyped id must be told
                await paging.patiently(lambda: client.orders.get(order))

            async def read(cursor: str | None, size: int) -> "tuple[Sequence[bodies.Fill], str | None]":
                page = await paging.patiently(
                    lambda: client.fills(order_id=order, venue=venue, cursor=cursor, limit=size)
                )
                return page.data, page.next_cursor

            await paging.show(
                read,
                _FILLS,
                _fill,
                limit=None if every else limit,
                as_json=as_json,
                right=("size", "price", "fee"),
                nothing="No fills.",
            )

    asyncio.run(work())


def _holding(row: "bodies.Holding") -> list[output.Cell]:
    amounts = map(output.number, (row.size, row.available, row.average_price))
    return [row.venue, row.market_id, row.outcome_id, *amounts]


def _fill(row: "bodies.Fill") -> list[output.Cell]:
    undone = " (reversed)" if row.reversed else ""
    return [
        output.moment(row.timestamp),
        f"{row.market_id} {row.outcome_id}{undone}",
        output.coloured(row.side, output.SIDE_COLOURS),
        output.number(row.size),
        output.number(row.price),
        output.amount(row.fee_raw),
        row.order_id,
    ]
