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
        table = output.table(None, ("check", "where", "what"))
        for finding in findings:
            table.add_row(f"[bold red]{finding.check}[/]", _escaped(finding.where), _escaped(finding.what))
        output.show(table)
        output.note(f"{len(findings)} findings. Keep the database as it is: `oddswire backup` copies it.")
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

    async with opened(database) as store:
        with output.working("Checking …") as progress:

            def watch(at: Progress) -> None:
                parts = 1_000 * CHECKS.index(at.check) + 1_000 * at.done // at.total
                progress(parts, 1_000 * len(CHECKS))

            return [*await audit(store, watch), *await venue_findings(store)]


def _escaped(text: str) -> str:
    # rich is loaded by then
    from rich.markup import escape

    return escape(text)
