"""One act on the paper venue from a command, straight in its database, beside a gateway that may be serving it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from oddswire.clock import SystemClock

if TYPE_CHECKING:
    from oddswire.store.sqlite import SqliteStore
    from oddswire.venues.paper import PaperConfig

T = TypeVar("T")
App = Annotated[str, typer.Option("--app", envvar="ODDSWIRE_APP", help="The app whose book it is.")]


def act(
    database: Path,
    work: "Callable[[SqliteStore, PaperConfig], Awaitable[T]]",
    *,
    app: str | None = None,
    user: str | None = None,
) -> T:
    """Open a database, do `work` on it as the settings have the paper venue, and close it.

    A mistyped `app` must not get a book of its own, and a `user` of it who is none is said to be none.

    Raises:
        OperatorError: the database or a setting cannot be used.
        Missing: there is no such app or user.
    """
    # only the commands that open a database wait for the store
    from oddswire.cli import whom
    from oddswire.cli.databases import opened, settings
    from oddswire.venues.paper import paper_config

    async def run() -> T:
        async with opened(database) as store:
            if app is not None and user is not None:
                now = SystemClock().now()
                await store.read(lambda tx: whom.must_be_known(tx, app, user, now))
            elif app is not None:
                await store.read(lambda tx: whom.must_be_app(tx, app))
            return await work(store, paper_config(settings()))

    return asyncio.run(run())
