"""`oddswire keys`: the keys that access tokens are signed with, straight in the database, also while it is served."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from oddswire.cli import options, output
from oddswire.cli.actor import me
from oddswire.clock import SystemClock

if TYPE_CHECKING:
    from oddswire.auth.keys import KeyRow, Life
    from oddswire.store.base import Tx

T = TypeVar("T")
commands = typer.Typer(help="See and change the keys that sign access tokens. A running gateway follows in a second.")


@commands.command("list")
def list_keys(database: options.Database = options.DATABASE, as_json: options.Json = False) -> None:
    """List the keys, in the order in which they begin to sign.

    Example:  oddswire keys list
    """
    # only the commands that open a database wait for the store
    from oddswire.auth import keys

    now = SystemClock().now()
    found = list(keys.lives(_read(database, keys.load), now))
    if as_json:
        for life in found:
            output.line(output.as_json(_document(life)))
    elif found:
        output.rows(("key", "algorithm", "made", "state"), map(_cells, found))
    else:
        output.line("No key yet: the first is made when the gateway is first started.")


@commands.command("rotate")
def rotate(database: options.Database = options.DATABASE, as_json: options.Json = False) -> None:
    """Make the next key: it is published at once and signs in an hour; the old one verifies until its tokens are dead.

    Nobody is signed out. For a key that somebody else may know, see `oddswire keys retire`.

    Example:  oddswire keys rotate
    """
    # as above
    from oddswire.auth import acts, keys

    def unit(tx: "Tx") -> "KeyRow":
        now = SystemClock().now()
        made = keys.rotate(tx, now)
        acts.record(tx, me(), "keys.rotate", made.kid, {"signsFrom": made.signs_from}, now)
        return made

    made = _write(database, unit)
    if as_json:
        output.line(output.as_json({"kid": made.kid, "signsFrom": made.signs_from}))
    else:
        output.line(f"{made.kid} is published now, and signs from {output.moment(made.signs_from)} on.")


@commands.command("retire")
def retire(
    kid: Annotated[str, typer.Argument(metavar="KEY", help="The key's name, as `oddswire keys list` shows it.")],
    database: options.Database = options.DATABASE,
    as_json: options.Json = False,
) -> None:
    """Let nothing count any more that a key signed, for one that somebody else may know. There is no way back.

    Its access tokens are refused within a second and their sockets close (4101); clients get new ones with their
    refresh tokens. Where it was the key that signs, a new one takes its place at once.

    Example:  oddswire keys retire 6BzFq…
    """
    # as above
    from oddswire.auth import acts, keys

    def unit(tx: "Tx") -> "KeyRow | None":
        now = SystemClock().now()
        made = keys.retire(tx, kid, now)
        acts.record(tx, me(), "keys.retire", kid, {"signsNow": None if made is None else made.kid}, now)
        return made

    made = _write(database, unit)
    if as_json:
        output.line(output.as_json({"kid": kid, "signsNow": None if made is None else made.kid}))
        return
    output.line(f"{kid} is retired: its tokens are not taken any more.")
    if made is not None:
        output.note(
            f"{made.kid} signs in its place. Who verifies our tokens by a copy of the JWK Set must read it anew."
        )


def _read(database: options.Database, unit: "Callable[[Tx], T]") -> T:
    from oddswire.cli.databases import opened

    async def work() -> T:
        async with opened(database) as store:
            return await store.read(unit)

    return asyncio.run(work())


def _write(database: options.Database, unit: "Callable[[Tx], T]") -> T:
    from oddswire.cli.databases import opened

    async def work() -> T:
        async with opened(database) as store:
            return await store.write(unit)

    return asyncio.run(work())


def _cells(life: "Life") -> list[output.Cell]:
    row = life.row
    return [row.kid, row.algorithm, output.moment(row.created_at), _state(life)]


def _state(life: "Life") -> str:
    from oddswire.auth.keys import Phase

    until = "" if life.until is None else output.moment(life.until)
    match life.phase:
        case Phase.NEXT:
            return f"next: signs from {until}"
        case Phase.SIGNING:
            return f"signs until {until}" if until else "signs"
        case Phase.VERIFYING:
            return f"verifies until {until}"
        case Phase.EXPIRED:
            return "expired: its tokens are dead"
        case Phase.RETIRED:
            return f"retired {_retired(life.row)}"


def _retired(row: "KeyRow") -> str:
    return "" if row.retired_at is None else output.moment(row.retired_at)


def _document(life: "Life") -> dict[str, str | int | None]:
    row = life.row
    return {
        "kid": row.kid,
        "algorithm": row.algorithm,
        "state": life.phase.value,
        "until": life.until,
        "createdAt": row.created_at,
        "signsFrom": row.signs_from,
        "retiredAt": row.retired_at,
    }
