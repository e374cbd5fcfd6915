"""`oddswire app`: the apps that may use a gateway, straight in its database, also while it is being served."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from oddswire.cli import options, output
from oddswire.clock import SystemClock

if TYPE_CHECKING:
    from oddswire.auth.apps import App

commands = typer.Typer(help="The apps that may use the gateway. A running gateway sees changes within a second.")
Id = Annotated[str, typer.Argument(help="The app's id: a-z, 0-9, _ and -.")]


@commands.command("create")
def create(
    app_id: Id,
    origin: Annotated[
        list[str] | None,
        typer.Option("--origin", help="Where its pages are, such as https://shop.example; may be given several times."),
    ] = None,
    database: options.Database = options.DATABASE,
    as_json: options.Json = False,
) -> None:
    """Register an app and print its API key, this once.

    The key is for the app's own backend. Only its hash is kept.

    Example:  oddswire app create shop --origin https://shop.example --origin http://localhost:5173
    """
    # only the commands that open a database wait for the store
    from oddswire.auth import apps
    from oddswire.cli.databases import opened

    async def work() -> "tuple[App, str]":
        async with opened(database, create=True) as store:
            return await store.write(lambda tx: apps.create(tx, app_id, origin or [], "first", SystemClock().now()))

    app, key = asyncio.run(work())
    if as_json:
        output.line(output.as_json({"appId": app.app_id, "apiKey": key}))
        return
    output.line(f"app id   {app.app_id}")
    output.line(f"api key  {key}")
    output.note("Keep the key now, in your backend's environment as ODDSWIRE_API_KEY: it cannot be shown again.")


@commands.command("list")
def list_apps(database: options.Database = options.DATABASE, as_json: options.Json = False) -> None:
    """List the apps.

    Example:  oddswire app list
    """
    # as above
    from oddswire.auth import apps
    from oddswire.cli.databases import opened

    async def work() -> "list[App]":
        async with opened(database) as store:
            return await store.read(apps.list_all)

    found = asyncio.run(work())
    if as_json:
        for app in found:
            output.line(
                output.as_json(
                    {"appId": app.app_id, "active": app.active, "origins": app.origins, "wallet": app.wallet}
                )
            )
        return
    output.rows(("app", "active", "wallet", "origins"), map(_cells, found))


def _cells(app: "App") -> list[output.Cell]:
    return [
        app.app_id,
        "yes" if app.active else "no",
        "on" if app.wallet else "off",
        "\n".join(app.origins) or "none (backends only)",
    ]


@commands.command("disable")
def disable(app_id: Id, database: options.Database = options.DATABASE) -> None:
    """Switch an app off for good: its users are signed out within a second and its key is not taken any more.

    Example:  oddswire app disable shop
    """
    # as above
    from oddswire.auth import apps
    from oddswire.cli.databases import opened

    async def work() -> None:
        async with opened(database) as store:
            await store.write(lambda tx: apps.disable(tx, app_id, SystemClock().now()))

    asyncio.run(work())
    output.line(f"{app_id} is switched off.")
