"""`oddswire watch`: one user's state on the screen, moving."""

import asyncio
import sys
from typing import TYPE_CHECKING

from oddswire.cli import options, output

if TYPE_CHECKING:
    from oddswire.client import Client


def watch(
    user: options.User = None,
    token: options.Token = None,
    since: options.Since = None,
    epoch: options.Epoch = None,
    url: options.Url = options.URL,
    app: options.App = options.APP,
    api_key: options.ApiKey = options.API_KEY,
    as_json: options.Json = False,
) -> None:
    """Watch a user's balances, holdings, open orders and newest events, live, until Ctrl-C.

    It reconnects by itself and misses nothing. In a pipe, or with --json, it prints one event a line.

    A --user who was never signed in is a new user from now on: mind how the name is written.

    Example:  oddswire watch --user alice

    Example:  oddswire watch --user alice --json | jq .type
    """
    # drawing and the socket are a third of a second that other commands need not wait for
    from oddswire.cli.interrupts import until_interrupted

    cursor = options.cursor(since, epoch)

    async def work() -> None:
        async with options.signed_in(url, app, api_key, user, token, create=True) as client:
            if cursor is not None:
                client.cursor = cursor
            await _watch(client, as_json)

    asyncio.run(until_interrupted(work()))


async def _watch(client: "Client", as_json: bool) -> None:
    # as above
    from oddswire.cli import screen, telling

    if not as_json and sys.stdout.isatty():
        await screen.show(client)
        return
    async for told in client.events():
        if as_json:
            output.line(telling.as_json(told))
        else:
            output.show(telling.event_line(told))
