"""Lists that may be long: read a page at a time, cut at what was asked for, and told where there is more."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Annotated, Final, TypeVar

import typer

from oddswire.cli import output

Page = TypeVar("Page")
Row = TypeVar("Row")
Cursor = TypeVar("Cursor")
Read = Callable[[Cursor | None, int], Awaitable[tuple[Sequence[Row], Cursor | None]]]
"""Reads at most so many rows from a cursor on (None: from the start), and says where the next ones are, if any."""

Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="So many at most.")]
LIMIT: Final = 50
All = Annotated[bool, typer.Option("--all", help="Every one there is, read page by page.")]
_PAGE: Final = 100
"""The most that a gateway gives at once."""


async def show(
    read: Read[Cursor, Row],
    columns: Sequence[str],
    cells: Callable[[Row], Sequence[output.Cell]],
    *,
    limit: int | None,
    as_json: bool,
    right: Sequence[str] = (),
    nothing: str,
) -> None:
    """Print what `read` gives: a table of at most `limit` rows, or with None a table a page; or JSON, a row a line.

    `nothing` is said to a person where there is no row.
    """
    rows: list[Row] = []
    seen = 0
    async for page, more in _pages(read, limit):
        seen += len(page)
        if as_json:
            for row in page:
                output.line(output.as_json(row))
        else:
            rows += page
            if rows and (limit is None or not more or seen == limit):
                output.rows(columns, map(cells, rows), right)
                rows = []
        if more and seen == limit:
            output.note("There are more: --limit takes a number, --all shows every one.")
    if not seen and not as_json:
        output.line(nothing)


async def patiently(call: Callable[[], Awaitable[Page]]) -> Page:
    """Make a call, again as soon as it may where the gateway counts too many: a long list is many calls.

    Raises:
        ServerRefused, ServerUnreachable: as any call.
    """
    # only the commands that talk to a gateway wait for the HTTP library
    from oddswire.client import ServerRefused

    while True:
        try:
            return await call()
        except ServerRefused as said:
            if said.code != "rate_limited" or said.retry_after is None:
                raise
            await asyncio.sleep(said.retry_after)


async def _pages(read: Read[Cursor, Row], limit: int | None) -> AsyncIterator[tuple[Sequence[Row], bool]]:
    """Yield pages, and whether there is more behind each."""
    cursor: Cursor | None = None
    left = limit
    while True:
        page, cursor = await read(cursor, _PAGE if left is None else min(_PAGE, left))
        yield page, cursor is not None
        left = None if left is None else left - len(page)
        if cursor is None or left == 0:
            return
