"""`oddswire markets`: what can be traded, and at what price."""

import asyncio
from typing import TYPE_CHECKING

from oddswire.cli import options, output, paging

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oddswire.wire import bodies

_COLUMNS = ("venue", "market", "outcome", "bid", "ask", "tick", "status", "title")
_STATUS_COLOURS = {"open": "green", "paused": "yellow", "closed": "dim", "settled": "dim"}


def markets(
    venue: options.Venue = None,
    limit: paging.Limit = paging.LIMIT,
    every: paging.All = False,
    url: options.Url = options.URL,
    app: options.App = options.APP,
    as_json: options.Json = False,
) -> None:
    """List the markets with the best bid and ask of each outcome: what it can be sold and bought for.

    Example:  oddswire markets --venue paper
    """

    async def work() -> None:
        async with options.client(url, app) as client:

            async def read(cursor: str | None, size: int) -> "tuple[Sequence[bodies.Market], str | None]":
                page = await paging.patiently(lambda: client.markets(venue, cursor=cursor, limit=size))
                return page.data, page.next_cursor

            await paging.show(
                read,
                _COLUMNS,
                _cells,
                limit=None if every else limit,
                as_json=as_json,
                right=("bid", "ask", "tick"),
                nothing="No markets.",
            )

    asyncio.run(work())


def _cells(market: "bodies.Market") -> list[output.Cell]:
    def lines(of: "list[str | None]") -> str:
        return "\n".join("-" if text is None else text for text in of)

    quotes = [(row.outcome_id, row.best_bid, row.best_ask) for row in market.outcomes]
    won = f"{market.status}: {market.winner} won" if market.winner else market.status
    return [
        market.venue,
        market.market_id,
        lines([outcome for outcome, _, _ in quotes]),
        lines([None if bid is None else output.number(bid) for _, bid, _ in quotes]),
        lines([None if ask is None else output.number(ask) for _, _, ask in quotes]),
        output.number(market.tick),
        output.coloured(won, {won: _STATUS_COLOURS[market.status]}),
        market.title,
    ]
