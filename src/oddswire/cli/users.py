"""`oddswire user`: who uses a gateway, straight in its database, also while it is being served."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from oddswire.cli import options, output, paging, user_data
from oddswire.cli.actor import me
from oddswire.clock import SystemClock

if TYPE_CHECKING:
    from oddswire.orders.users import User

commands = typer.Typer(help="See an app's users, sign them out, hand out or erase what there is of them.")
_COLUMNS = ("app", "user", "first seen", "sessions", "open orders", "events", "last event")


@commands.command("list")
def list_users(
    app: Annotated[str | None, typer.Option("--app", envvar="ODDSWIRE_APP", help="Only the users of this app.")] = None,
    limit: paging.Limit = paging.LIMIT,
    every: paging.All = False,
    database: options.Database = options.DATABASE,
    as_json: options.Json = False,
) -> None:
    """List the users: their sessions, open orders and events.

    Example:  oddswire user list --app shop --limit 200
    """
    # only the commands that open a database wait for the store
    from oddswire.cli import whom
    from oddswire.cli.databases import opened
    from oddswire.orders import users

    async def work() -> None:
        async with opened(database) as store:
            if app is not None:
                await store.read(lambda tx: whom.must_be_app(tx, app))

            async def read(after: tuple[str, str] | None, size: int) -> "tuple[list[User], tuple[str, str] | None]":
                # one more than is shown tells whether there are more
                found = await store.read(
                    lambda tx: users.page(tx, after or users.BEGINNING, size + 1, SystemClock().now(), app)
                )
                last = found[size - 1] if len(found) > size else None
                return found[:size], None if last is None else (last.app_id, last.user_id)

            await paging.show(
                read,
                _COLUMNS,
                _cells,
                limit=None if every else limit,
                as_json=as_json,
                right=("sessions", "open orders", "events"),
                nothing="No user yet: one is there from the first sign-in on.",
            )

    asyncio.run(work())


@commands.command("kick")
def kick(
    user: Annotated[str, typer.Argument(metavar="USER", help="The app's own id of its user.")],
    app: options.App = options.APP,
    database: options.Database = options.DATABASE,
    as_json: options.Json = False,
) -> None:
    """Sign a user out everywhere: their tokens are not taken any more, and their sockets close (4001) within a second.

    It keeps nobody out: the app's backend may sign them in again.

    Example:  oddswire user kick alice --app shop
    """
    # as above
    from oddswire.auth import acts, sessions
    from oddswire.cli import whom
    from oddswire.cli.databases import opened
    from oddswire.store.base import Tx

    def unit(tx: Tx) -> int:
        now = SystemClock().now()
        whom.must_be_known(tx, app, user, now)
        ended = sessions.revoke_all(tx, app, user, now)
        acts.record(tx, me(), "user.kick", acts.user(app, user), {"sessions": ended}, now)
        return ended

    async def work() -> int:
        async with opened(database) as store:
            return await store.write(unit)

    ended = asyncio.run(work())
    if as_json:
        output.line(output.as_json({"appId": app, "userId": user, "sessions": ended}))
    else:
        output.line(f"{user} is signed out everywhere: {output.counted(ended, 'session')} ended.")


@commands.command("cancel")
def cancel(
    user: Annotated[str, typer.Argument(metavar="USER", help="The app's own id of its user.")],
    app: options.App = options.APP,
    database: options.Database = options.DATABASE,
    as_json: options.Json = False,
) -> None:
    """Ask for the cancel of all of a user's open orders; a running gateway sends it within a second or two.

    Unlike `oddswire order cancel-all` it needs no API key, and no token of the user.

    Example:  oddswire user cancel alice --app shop
    """
    # as above
    from oddswire.auth import acts
    from oddswire.cli import whom
    from oddswire.cli.databases import opened
    from oddswire.orders.order import BY_USER
    from oddswire.store.base import Tx
    from oddswire.streams import log

    def unit(tx: Tx) -> int:
        now = SystemClock().now()
        whom.must_be_known(tx, app, user, now)
        stream = log.find(tx, app, user)
        asked = 0 if stream is None else tx.run("orders.want_cancel_of_stream", stream.stream_id, BY_USER)
        if asked:
            acts.record(tx, me(), "user.cancel", acts.user(app, user), {"orders": asked}, now)
        return asked

    async def work() -> int:
        async with opened(database) as store:
            return await store.write(unit)

    asked = asyncio.run(work())
    if as_json:
        output.line(output.as_json({"appId": app, "userId": user, "orders": asked}))
    elif asked:
        output.line(f"{output.counted(asked, 'cancel')} of {user} asked for.")
    else:
        output.line(f"{user} has no open order that is not being canceled already.")


commands.command("export")(user_data.export)
commands.command("erase")(user_data.erase)


def _cells(user: "User") -> list[output.Cell]:
    counts = (f"{count:,}" for count in (user.sessions, user.open_orders, user.head))
    last = output.moment(user.last_event_at) if user.head else "never"
    return [user.app_id, user.user_id, output.moment(user.first_seen), *counts, last]
