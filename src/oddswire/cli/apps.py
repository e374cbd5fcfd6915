"""`oddswire app`: the apps that may use a gateway, straight in its database, also while it is being served."""

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from oddswire.cli import app_keys, app_origins, options, output
from oddswire.cli.actor import me
from oddswire.clock import SystemClock

if TYPE_CHECKING:
    from oddswire.auth.apps import App
    from oddswire.store.base import Tx

commands = typer.Typer(help="The apps that may use the gateway. A running gateway sees changes within a second.")
commands.add_typer(app_keys.commands, name="key")
Id = Annotated[str, typer.Argument(metavar="APP_ID", help="The app's id: a-z, 0-9, _ and -.")]


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
    """Register an app and print its first API key, this once.

    The key is for the app's own backend. Only its hash is kept. `oddswire app key` adds others and ends this one.

    Example:  oddswire app create shop --origin https://shop.example --origin http://localhost:5173
    """
    # only the commands that open a database wait for the store
    from oddswire.auth import acts, apps
    from oddswire.cli.databases import opened

    def unit(tx: "Tx") -> "tuple[App, str]":
        now = SystemClock().now()
        app, key = apps.create(tx, app_id, origin or [], "first", now)
        acts.record(tx, me(), "app.create", app_id, {"origins": list(app.origins)}, now)
        return app, key

    async def work() -> "tuple[App, str]":
        async with opened(database, create=True) as store:
            return await store.write(unit)

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
    elif found:
        output.rows(("app", "active", "wallet", "origins"), map(_cells, found))
    else:
        output.line("No app yet: `oddswire app create APP_ID` makes one.")


def _cells(app: "App") -> list[output.Cell]:
    return [
        app.app_id,
        "yes" if app.active else "no",
        "on" if app.wallet else "off",
        "\n".join(app.origins) or "none (backends only)",
    ]


commands.command("origins")(app_origins.origins)


@commands.command("disable")
def disable(app_id: Id, database: options.Database = options.DATABASE) -> None:
    """Switch an app off: its users are signed out within a second and its keys are not taken any more.

    `oddswire app enable` switches it on again; its users sign in anew then.

    Example:  oddswire app disable shop
    """
    # as above
    from oddswire.auth import acts, apps
    from oddswire.cli.databases import opened

    def unit(tx: "Tx") -> bool:
        now = SystemClock().now()
        was_on = apps.disable(tx, app_id, now)
        if was_on:
            acts.record(tx, me(), "app.disable", app_id, {}, now)
        return was_on

    async def work() -> bool:
        async with opened(database) as store:
            return await store.write(unit)

    output.line(f"{app_id} is switched off." if asyncio.run(work()) else f"{app_id} was switched off already.")


@commands.command("enable")
def enable(app_id: Id, database: options.Database = options.DATABASE) -> None:
    """Switch an app on again: its keys are taken within a second, and its users sign in anew.

    No session of before comes back, neither its tokens nor its refresh token.

    Example:  oddswire app enable shop
    """
    # as above
    from oddswire.auth import acts, sessions
    from oddswire.cli.databases import opened

    def switch_on(tx: "Tx") -> bool:
        was_off = sessions.enable_app(tx, app_id)
        if was_off:
            acts.record(tx, me(), "app.enable", app_id, {}, SystemClock().now())
        return was_off

    async def work() -> bool:
        async with opened(database) as store:
            # page by page, so that a gateway that serves other apps never waits long to write
            after: str | None = ""
            while after is not None:
                after = await store.write(partial(_end_sessions, app_id, after))
            return await store.write(switch_on)

    output.line(f"{app_id} is switched on." if asyncio.run(work()) else f"{app_id} was on already.")


def _end_sessions(app_id: str, after: str, tx: "Tx") -> str | None:
    from oddswire.auth import sessions

    return sessions.end_some_of_app(tx, app_id, after, SystemClock().now())
