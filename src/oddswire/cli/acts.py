"""`oddswire acts`: what operators did, straight from the database, also while it is being served."""

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec
import typer

from oddswire.cli import options, output, paging
from oddswire.cli.faults import usage

if TYPE_CHECKING:
    from oddswire.auth.acts import Entry

_Detail: TypeAlias = str | int | bool | list[str] | None
_COLUMNS = ("number", "at", "who", "act", "whom or what", "detail")


def acts(
    since: Annotated[
        str | None, typer.Option("--since", help="None older: a date or time such as 2026-01-31 or 2026-01-31T18:00.")
    ] = None,
    limit: paging.Limit = paging.LIMIT,
    every: paging.All = False,
    database: options.Database = options.DATABASE,
    as_json: options.Json = False,
) -> None:
    """List what operators did to apps, keys and users, the newest first: when, who, and what.

    Example:  oddswire acts --since 2026-01-31
    """
    # only the commands that open a database wait for the store
    from oddswire.auth import acts as log
    from oddswire.cli.databases import opened

    oldest = 0 if since is None else _moment(since)

    async def work() -> None:
        async with opened(database) as store:

            async def read(before: int | None, size: int) -> "tuple[list[Entry], int | None]":
                # one more than is shown tells whether there are more
                first = log.BEGINNING if before is None else before
                found = await store.read(lambda tx: log.page(tx, first, size + 1, oldest))
                return found[:size], found[size - 1].number if len(found) > size else None

            await paging.show(
                read,
                _COLUMNS,
                _cells,
                limit=None if every else limit,
                as_json=as_json,
                right=("number",),
                nothing="Nothing was done.",
            )

    asyncio.run(work())


def _moment(text: str) -> int:
    """Return the ms of a date or time, local where it names no zone."""
    try:
        return int(datetime.fromisoformat(text).astimezone().timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        raise usage(
            f"--since wants a date or time such as 2026-01-31 or 2026-01-31T18:00, not {text[:100]!r}."
        ) from None


def _cells(entry: "Entry") -> list[output.Cell]:
    detail = msgspec.json.decode(entry.detail, type=dict[str, _Detail])
    said = ", ".join(words for name, value in detail.items() if (words := _said(name, value)))
    return [str(entry.number), output.moment(entry.at), entry.actor, entry.act, entry.subject, said]


def _said(name: str, value: _Detail) -> str:
    """Return a detail in words; it is written down under a name and in a form for programs."""
    match name, value:
        case "origins", list(origins):
            return "origins " + " ".join(origins) if origins else "no origins"
        case "wallet", bool(wanted):
            return "takes wallets" if wanted else "takes no wallets"
        case "sessions" | "events" | "orders", int(count):
            return output.counted(count, name.removesuffix("s"))
        case "signsFrom", int(at):
            return f"signs from {output.moment(at)} on"
        case "signsNow", kid:
            return f"{kid} signs now" if kid else ""
        case "jwksUrl", url:
            return f"keys {url}" if url else "a shared secret"
        case "keyId", key_id:
            return f"id {key_id}"
    return f"{name} {value}"
