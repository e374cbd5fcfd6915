"""`oddswire check`: everything that must always be true of a database, looked for."""

import asyncio
from typing import TYPE_CHECKING

import typer

from oddswire.cli import options, output

if TYPE_CHECKING:
    from pathlib import Path

    from oddswire.orders.audit import Finding


def check(database: options.Database = options.DATABASE, as_json: options.Json = False) -> None:
    """Check a database for anything that must never be, also while it is being served.

    Entries balance, balances and holdings are the sum of their postings and never negative, held is what unfinished
    orders hold, orders are filled by their fills, streams are numbered without a hole, each order was submitted once,
    and the venue's books agree. Exits with 1 if anything is found.

    Example:  oddswire check --database oddswire.db
    """
    findings = asyncio.run(findings_of(database))
    if as_json:
        for finding in findings:
            output.line(output.as_json(finding._asdict()))
    elif findings:
        named = {finding.check: "bold red" for finding in findings}
        cells = ((output.coloured(finding.check, named), finding.where, finding.what) for finding in findings)
        output.rows(("check", "where", "what"), cells)
        output.note(
            f"{output.counted(len(findings), 'finding')}. Keep the database as it is: `oddswire backup` copies it."
        )
    else:
        output.line(f"{database}: nothing found, everything agrees.")
    if findings:
        raise typer.Exit(1)


async def findings_of(database: "Path") -> "list[Finding]":
    """Return everything found, drawing how far it is.

    Raises:
        OperatorError: the database cannot be opened.
    """
    # only the commands that open a database wait for the store
    from oddswire.cli.databases import opened, venue_findings
    from oddswire.orders.audit import CHECKS, Progress, audit
    from oddswire.orders.audit_venue import VENUE_CHECK

    async with opened(database) as store:
        with output.working("Checking …") as progress:

            def watch(at: Progress) -> None:
                step = f"Check {CHECKS.index(at.check) + 1} of {len(CHECKS) + 1}: {at.check} …"
                # one statement tells nothing of how far it is
                progress(step, at.done, at.total if at.total > 1 else None)

            def watch_venue(done: int) -> None:
                progress(f"Check {len(CHECKS) + 1} of {len(CHECKS) + 1}: {VENUE_CHECK} …", done, None)

            return [*await audit(store, watch), *await venue_findings(store, watch_venue)]
