"""One act on the paper venue from a command, straight in its database, beside a gateway that may be serving it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from oddswire.store.sqlite import SqliteStore
    from oddswire.venues.paper import PaperConfig

T = TypeVar("T")
App = Annotated[str, typer.Option("--app", envvar="ODDSWIRE_APP", help="The app whose book it is.")]


def act(database: Path, work: "Callable[[SqliteStore, PaperConfig], Awaitable[T]]") -> T:
    """Open a database, do `work` on it as the settings have the paper venue, and close it.

    Raises:
        OperatorError: the database or a setting cannot be used.
    """
    # only the commands that open a database wait for the store
    from oddswire.cli.databases import opened, settings
    from oddswire.venues.paper import paper_config

    async def run() -> T:
        async with opened(database) as store:
            return await work(store, paper_config(settings()))

    return asyncio.run(run())
