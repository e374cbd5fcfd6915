"""`oddswire app key`: the API keys of an app's backends, straight in its database, also while it is being served."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from oddswire.cli import options, output
from oddswire.cli.actor import me
from oddswire.clock import SystemClock

if TYPE_CHECKING:
    from oddswire.auth.api_keys import ApiKey
    from oddswire.store.base import Tx

commands = typer.Typer(help="The keys of an app's backends: add one, and end the one it replaces, at any time.")
App = Annotated[str, typer.Argument(metavar="APP_ID", help="The app's id.")]


@commands.command("add")
def add(
    app_id: App,
    name: Annotated[str, typer.Option("--name", help="What it is called, such as the backend that will have it.")],
    database: options.Database = options.DATABASE,
    as_json: options.Json = False,
) -> None:
    """Make one more API key for an app and print it, this once. The keys there are stay good.

    Example:  oddswire app key add shop --name backend-2
    """
    # only the commands that open a database wait for the store
    from oddswire.auth import acts, api_keys
    from oddswire.cli.databases import opened

    def unit(tx: "Tx") -> "tuple[ApiKey, str]":
        now = SystemClock().now()
        made, key = api_keys.add(tx, app_id, name, now)
        acts.record(tx, me(), "key.add", app_id, {"name": name, "keyId": made.key_id}, now)
        return made, key

    async def work() -> "tuple[ApiKey, str]":
        async with opened(database) as store:
            return await store.write(unit)

    made, key = asyncio.run(work())
    if as_json:
        output.line(output.as_json({"appId": app_id, "name": name, "keyId": made.key_id, "apiKey": key}))
        return
    output.line(f"key id   {made.key_id}")
    output.line(f"api key  {key}")
    output.note("Keep the key now, in that backend's environment as ODDSWIRE_API_KEY: it cannot be shown again.")


@commands.command("list")
def list_keys(app_id: App, database: options.Database = options.DATABASE, as_json: options.Json = False) -> None:
    """List an app's keys, the oldest first, those that were revoked too. A key's id begins its SHA-256.

    Example:  oddswire app key list shop
    """
    # as above
    from oddswire.auth import api_keys
    from oddswire.cli.databases import opened

    async def work() -> "list[ApiKey]":
        async with opened(database) as store:
            return await store.read(lambda tx: api_keys.list_all(tx, app_id))

    found = asyncio.run(work())
    if as_json:
        for key in found:
            output.line(output.as_json(_document(app_id, key)))
    else:
        output.rows(("name", "key id", "created", "last used", "revoked"), map(_cells, found))


@commands.command("revoke")
def revoke(
    app_id: App,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The key's name.")],
    database: options.Database = options.DATABASE,
    as_json: options.Json = False,
) -> None:
    """End a key: from now on nobody takes it. Users whom it has signed in stay signed in.

    Example:  oddswire app key revoke shop backend-1
    """
    # as above
    from oddswire.auth import acts, api_keys
    from oddswire.cli.databases import opened

    def unit(tx: "Tx") -> "tuple[ApiKey, int]":
        now = SystemClock().now()
        ended = api_keys.revoke(tx, app_id, name, now)
        acts.record(tx, me(), "key.revoke", app_id, {"name": name, "keyId": ended.key_id}, now)
        return ended, sum(key.revoked_at is None for key in api_keys.list_all(tx, app_id))

    async def work() -> "tuple[ApiKey, int]":
        async with opened(database) as store:
            return await store.write(unit)

    ended, left = asyncio.run(work())
    if as_json:
        output.line(output.as_json(_document(app_id, ended)))
    else:
        output.line(f"The key {name} of {app_id} is not taken any more.")
    if not left:
        output.note(f"{app_id} has no key left: `oddswire app key add {app_id} --name NAME` makes one.")


def _cells(key: "ApiKey") -> list[output.Cell]:
    used = "never" if key.used_at is None else output.moment(key.used_at)
    revoked = "" if key.revoked_at is None else output.moment(key.revoked_at)
    return [key.name, key.key_id, output.moment(key.created_at), used, revoked]


def _document(app_id: str, key: "ApiKey") -> dict[str, str | int | None]:
    return {
        "appId": app_id,
        "name": key.name,
        "keyId": key.key_id,
        "createdAt": key.created_at,
        "revokedAt": key.revoked_at,
        "usedAt": key.used_at,
    }
