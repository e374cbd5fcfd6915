"""`oddswire events`: a user's log, as far as it is kept."""

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

from oddswire.cli import options, output, paging
from oddswire.wire.cursor import Cursor

if TYPE_CHECKING:
    from oddswire.client import Client
    from oddswire.wire import bodies

_PAGE: Final = 256
"""The most that a gateway gives at once."""


def events(
    user: options.User = None,
    token: options.Token = None,
    since: options.Since = None,
    epoch: options.Epoch = None,
    url: options.Url = options.URL,
    app: options.App = options.APP,
    api_key: options.ApiKey = options.API_KEY,
    as_json: options.Json = False,
) -> None:
    """Print what a user has been told, one event a line, from the oldest that is kept up to now.

    How to go on from there is said on standard error at the end. `oddswire watch` goes on by itself.

    Example:  oddswire events --user alice

    Example:  oddswire events --user alice --since 120 --epoch 3f2a… --json
    """
    cursor = options.cursor(since, epoch)

    async def work() -> None:
        async with options.signed_in(url, app, api_key, user, token) as client:
            at, more = cursor, True
            while more:
                page = await paging.patiently(partial(_page, client, at))
                _show(page, as_json)
                at, more = Cursor(page.seq, page.epoch), page.has_more
            if at is not None and at.epoch:
                output.note(f"To go on from here: --since {at.seq} --epoch {at.epoch}")

    asyncio.run(work())


async def _page(client: "Client", cursor: Cursor | None) -> "bodies.EventPage":
    return await client.event_page(cursor, _PAGE)


def _show(page: "bodies.EventPage", as_json: bool) -> None:
    # as above
    from oddswire.cli import telling

    for frame in page.events:
        if as_json:
            output.line(bytes(frame).decode())
        else:
            output.show(telling.logged(bytes(frame)))
