"""`oddswire backup` and `oddswire restore`: copies of a database, also of one that is being served."""

from pathlib import Path
from typing import Annotated

import typer

from oddswire.cli import options, output


def backup(
    to: Annotated[Path, typer.Argument(help="The file to make; never written over.", dir_okay=False)],
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
    size = to.stat().st_size
    if as_json:
        output.line(output.as_json({"backup": str(to), "bytes": size}))
    else:
        output.line(f"{to} is a whole copy of {database}: {size / 1e6:,.1f} MB. Look into it: oddswire check -d {to}")


def restore(
    copy: Annotated[Path, typer.Argument(help="A file that `oddswire backup` made.", dir_okay=False)],
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
    if as_json:
        output.line(output.as_json({"database": str(database), "historyId": history}))
    else:
        output.line(f"{database} is {copy} again, with a new history: clients will read their state anew.")
