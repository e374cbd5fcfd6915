"""`oddswire app origins`: where an app's pages are, straight in its database, also while it is being served."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from oddswire.cli import options, output
from oddswire.cli.actor import me
from oddswire.cli.faults import usage
from oddswire.clock import SystemClock

if TYPE_CHECKING:
    from oddswire.auth.apps import App
    from oddswire.store.base import Tx


def origins(
    app_id: Annotated[str, typer.Argument(metavar="APP_ID", help="The app's id.")],
    add: Annotated[
        list[str] | None, typer.Option("--add", help="Let pages from there in; may be given several times.")
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", help="Let them in no more; may be given several times.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--set", help="Let in these and no others; may be given several times.")
    ] = None,
    database: options.Database = options.DATABASE,
    as_json: options.Json = False,
) -> None:
    """Change where an app's pages are, or without an option show it.

    A running gateway goes by it within a second. Sockets that are open stay so until they close by themselves.

    Example:  oddswire app origins shop --add https://shop.example --remove http://localhost:5173
    """
    # only the commands that open a database wait for the store
    from oddswire.auth import acts, apps
    from oddswire.cli.databases import opened

    if only and (add or remove):
        raise usage("--set says all of them: it goes with neither --add nor --remove.")

    def unit(tx: "Tx") -> "tuple[App, bool]":
        before, now = apps.get(tx, app_id), SystemClock().now()
        after = apps.set_origins(tx, app_id, only or _changed(before.origins, add or [], remove or []))
        if after != before:
            acts.record(tx, me(), "app.origins", app_id, {"origins": list(after.origins)}, now)
        return after, after != before

    async def work() -> "tuple[App, bool]":
        async with opened(database) as store:
            if add or remove or only:
                return await store.write(unit)
            return await store.read(lambda tx: apps.get(tx, app_id)), True

    app, is_news = asyncio.run(work())
    if as_json:
        output.line(output.as_json({"appId": app.app_id, "origins": app.origins}))
        return
    output.line("\n".join(app.origins) or f"{app_id} has no pages: its backends only.")
    if not is_news:
        output.note("They were these already: nothing has changed.")


def _changed(origins: Sequence[str], add: Sequence[str], remove: Sequence[str]) -> list[str]:
    """Return the origins with some more and without some; one that is to go must be there."""
    from oddswire.auth.origins import parse_origin

    leaving = [str(parse_origin(origin)) for origin in remove]
    for origin in leaving:
        if origin not in origins:
            raise usage(f"{origin} is not one of the app's origins: {', '.join(origins) or 'there is none'}.")
    return [*(origin for origin in origins if origin not in leaving), *add]
