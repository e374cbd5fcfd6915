"""`oddswire app wallet`: whether an app's users may sign in by wallet; no app takes wallets until it is told to."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from oddswire.cli import options, output
from oddswire.cli.actor import me
from oddswire.clock import SystemClock

if TYPE_CHECKING:
    from oddswire.auth.apps import App
    from oddswire.store.base import Tx

commands = typer.Typer(help="Let an app's users sign in by wallet (EIP-4361), or not. Off until it is switched on.")
Id = Annotated[str, typer.Argument(metavar="APP_ID", help="The app's id.")]


@commands.command("on")
def on(app_id: Id, database: options.Database = options.DATABASE) -> None:
    """Let the app's users sign in by wallet: whoever signs the app's message is a user of it.

    Example:  oddswire app wallet on shop
    """
    app = asyncio.run(_take_wallets(app_id, database, wanted=True))
    output.line(f"{app_id} takes wallets." if app else f"{app_id} took wallets already.")
    if app and not app.origins:
        output.note("It has no origin that a message could name: nobody can sign in by wallet until it has one.")


@commands.command("off")
def off(app_id: Id, database: options.Database = options.DATABASE) -> None:
    """Let nobody sign in by wallet any more. Who is signed in stays so: `oddswire user kick` ends that.

    Example:  oddswire app wallet off shop
    """
    app = asyncio.run(_take_wallets(app_id, database, wanted=False))
    output.line(f"{app_id} takes no wallets{' any more' if app else ', and took none'}.")


async def _take_wallets(app_id: str, database: options.Database, *, wanted: bool) -> "App | None":
    # only the commands that open a database wait for the store
    from oddswire.auth import acts, apps
    from oddswire.cli.databases import opened

    def unit(tx: "Tx") -> "App | None":
        if apps.get(tx, app_id).wallet == wanted:
            return None
        app = apps.take_wallets(tx, app_id, wanted)
        acts.record(tx, me(), "app.wallet", app_id, {"wallet": wanted}, SystemClock().now())
        return app

    async with opened(database) as store:
        return await store.write(unit)
