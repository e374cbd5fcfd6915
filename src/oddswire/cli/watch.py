"""`oddswire watch`: one user's state on the screen, moving."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from oddswire.cli import options, output
from oddswire.cli.faults import usage
from oddswire.wire.cursor import Cursor

if TYPE_CHECKING:
    from oddswire.client import Client


def watch(
    user: options.User = None,
    token: options.Token = None,
    since: Annotated[int | None, typer.Option("--since", min=0, help="Begin after this event, not now.")] = None,
    epoch: Annotated[str | None, typer.Option("--epoch", help="The history that --since is of.")] = None,
    url: options.Url = options.URL,
    app: options.App = options.DEV_APP,
    api_key: options.ApiKey = options.DEV_KEY,
    as_json: options.Json = False,
) -> None:
    """Watch a user's balances, holdings, open orders and newest events, live, until Ctrl-C.

    It reconnects by itself and misses nothing. In a pipe, or with --json, it prints one event a line.

    Example:  oddswire watch --user alice

    Example:  oddswire watch --user alice --json | jq .type
    """
    # drawing and the socket are a third of a second that other commands need not wait for
    from oddswire.cli.interrupts import until_interrupted

    if (since is None) != (epoch is None):
        raise usage("--since and --epoch go together: a number means something in one history only.")

    async def work() -> None:
        async with options.signed_in(url, app, api_key, user, token) as client:
            if since is not None and epoch is not None:
                client.cursor = Cursor(since, epoch)
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
