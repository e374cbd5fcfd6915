"""`oddswire backup` and `oddswire restore`: copies of a database, also of one that is being served."""

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import typer

from oddswire.cli import options, output
from oddswire.cli.actor import me
from oddswire.clock import SystemClock


def backup(
    to: Annotated[Path, typer.Argument(metavar="FILE", help="The file to make; never written over.", dir_okay=False)],
    database: options.Database = options.DATABASE,
    as_json: options.Json = False,
) -> None:
    """Copy the database to a new file, while it is being served.

    The copy is one consistent state, and is there only once it is whole and on disk.

    Example:  oddswire backup /backups/oddswire-$(date +%F).db
    """
    # only the commands that open a database wait for the store
    from oddswire.store.sqlite_file import backup as copy

    with output.working("Copying …") as progress:
        copy(database, to, progress)
    asyncio.run(_remember(database, "database.backup", to))
    size = to.stat().st_size
    if as_json:
        output.line(output.as_json({"backup": str(to), "bytes": size}))
    else:
        output.line(f"{to} is a whole copy of {database}: {size / 1e6:,.1f} MB. Look into it: oddswire check -d {to}")


def restore(
    copy: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `oddswire backup` made.", dir_okay=False)],
    database: options.Database = options.DATABASE,
    force: Annotated[bool, typer.Option("--force", help="Put it in the place of the database that is there.")] = False,
    as_json: options.Json = False,
) -> None:
    """Put a backup in the place of the database, and begin a new history.

    The gateway must be stopped. Clients that come back with an older cursor are told to read the state again: what
    happened after the backup is gone.

    Example:  oddswire restore /backups/oddswire-2026-01-31.db --force
    """
    # as above
    from oddswire.store.sqlite_file import restore as put

    with output.working("Copying …") as progress:
        history = put(copy, database, force=force, progress=progress)
    asyncio.run(_remember(database, "database.restore", copy))
    if as_json:
        output.line(output.as_json({"database": str(database), "historyId": history}))
    else:
        output.line(f"{database} is {copy} again, with a new history: clients will read their state anew.")


async def _remember(database: Path, act: Literal["database.backup", "database.restore"], copy: Path) -> None:
    """Write down who copied all there is, signing keys too, or went back to a copy."""
    # as above
    from oddswire.auth import acts
    from oddswire.cli.databases import opened

    async with opened(database) as store:
        now = SystemClock().now()
        await store.write(lambda tx: acts.record(tx, me(), act, "", {"copy": copy.name}, now))
