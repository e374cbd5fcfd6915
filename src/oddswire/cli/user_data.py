"""`oddswire user export` and `user erase`: what the law lets a user ask for."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from oddswire.cli import options, output
from oddswire.cli.actor import me
from oddswire.cli.faults import usage
from oddswire.clock import SystemClock

if TYPE_CHECKING:
    from oddswire.orders.erasure import Erased
    from oddswire.store.base import Tx

Whom = Annotated[str, typer.Argument(metavar="APP/USER", help="The app's id, and its own id of its user.")]
_STEP = 1_000


def export(whom: Whom, database: options.Database = options.DATABASE) -> None:
    """Print everything the database holds of a user, as JSON, one object a line, while it is being served.

    All of it is of one moment. The last line is of the kind `end`: where it is missing the rest is, too.

    Example:  oddswire user export shop/alice > alice.jsonl
    """
    # only the commands that open a database wait for the store
    from oddswire.auth import acts
    from oddswire.cli.databases import opened
    from oddswire.orders.export import export as of_core
    from oddswire.streams import log
    from oddswire.venues.paper import personal

    app, user = _split(whom)

    def note(tx: "Tx") -> None:
        # a mistyped name is told by the export itself, and is no act
        if log.find(tx, app, user) is not None:
            acts.record(tx, me(), "user.export", acts.user(app, user), {}, SystemClock().now())

    async def work() -> None:
        async with opened(database) as store:
            await store.write(note)
            with output.working("Exporting …") as progress:

                def unit(tx: "Tx") -> None:
                    written = 0
                    for part in (of_core, personal.export):
                        for line in part(tx, app, user):
                            output.line(output.as_json(line))
                            written += 1
                            if not written % _STEP:
                                progress("Exporting …", written, None)
                    output.line(output.as_json({"kind": "end", "lines": written}))

                await store.read(unit)

    asyncio.run(work())


def erase(
    whom: Whom,
    yes: Annotated[bool, typer.Option("--yes", help="Do it: there is no way back.")] = False,
    database: options.Database = options.DATABASE,
    as_json: options.Json = False,
) -> None:
    """Erase a user: sign them out, delete their events, and put a random name in the place of theirs in the books.

    The gateway must be stopped, and the user's orders finished. Backups and logs are not touched.

    Example:  oddswire user erase shop/alice --yes
    """
    # as above
    from oddswire.cli.databases import opened
    from oddswire.orders import erasure
    from oddswire.venues.paper import personal

    app, user = _split(whom)
    if not yes:
        raise usage(f"There is no way back from erasing {user}: say --yes, best after `oddswire user export {whom}`.")

    def unit(tx: "Tx") -> "Erased":
        name = erasure.new_name()
        erased = erasure.erase(tx, app, user, name, me(), SystemClock().now())
        personal.rename(tx, app, user, name)
        return erased

    async def work() -> "Erased":
        async with opened(database, alone=True) as store:
            with output.working("Erasing …"):
                return await store.write(unit)

    erased = asyncio.run(work())
    if as_json:
        output.line(output.as_json({"appId": app, **erased._asdict()}))
        return
    gone = f"{output.counted(erased.sessions, 'session')} and {output.counted(erased.events, 'event')}"
    output.line(f"{user} is erased: {gone} are deleted, the books say {app}/{erased.name}.")
    output.note("Backups and logs of before still name them.")


def _split(whom: str) -> tuple[str, str]:
    """Return app and user; an app's id holds no slash, a user's may."""
    app, slash, user = whom.partition("/")
    if not slash or not app or not user:
        raise usage(f"A user is named APP/USER, such as shop/alice; not {whom[:100]!r}.")
    return app, user
