"""`oddswire session`: a user's sign-ins, straight in the database, also while it is being served."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from oddswire.cli import options, output
from oddswire.cli.actor import me
from oddswire.clock import SystemClock

if TYPE_CHECKING:
    from oddswire.auth.sessions import Session

commands = typer.Typer(help="See where a user is signed in, and end one of it. Works within a second.")


@commands.command("list")
def list_sessions(
    user: Annotated[str, typer.Argument(metavar="USER", help="The app's own id of its user.")],
    app: options.App = options.APP,
    database: options.Database = options.DATABASE,
    as_json: options.Json = False,
) -> None:
    """List a user's sessions, the last used first: at most 100.

    Example:  oddswire session list alice --app shop
    """
    # only the commands that open a database wait for the store
    from oddswire.auth import sessions
    from oddswire.cli import whom
    from oddswire.cli.databases import opened
    from oddswire.store.base import Tx

    def unit(tx: Tx) -> "list[Session]":
        now = SystemClock().now()
        whom.must_be_known(tx, app, user, now)
        return sessions.list_live(tx, app, user, now)

    async def work() -> "list[Session]":
        async with opened(database) as store:
            return await store.read(unit)

    found = asyncio.run(work())
    if as_json:
        for session in found:
            output.line(output.as_json(_document(session)))
    elif found:
        columns = ("session", "label", "began", "last used", "ends unless used")
        output.rows(columns, map(_cells, found))
    else:
        output.line(f"{user} is signed in nowhere.")
    if len(found) == sessions.LISTED:
        output.note(
            f"These are the last used {sessions.LISTED}; there may be more. `oddswire user kick` ends them all."
        )


@commands.command("revoke")
def revoke(
    session: Annotated[str, typer.Argument(metavar="SESSION_ID", help="The session's id, ses_….")],
    database: options.Database = options.DATABASE,
    as_json: options.Json = False,
) -> None:
    """End one session: its tokens are not taken any more, and its sockets close (4001) within a second.

    Example:  oddswire session revoke ses_01JQ…
    """
    # as above
    from oddswire.auth import acts, sessions
    from oddswire.cli.databases import opened
    from oddswire.store.base import Tx

    def unit(tx: Tx) -> "Session":
        now = SystemClock().now()
        found = sessions.revoke_any(tx, session, now)
        subject = acts.user(found.app_id, found.user_id)
        acts.record(tx, me(), "session.revoke", subject, {"session": session}, now)
        return found

    async def work() -> "Session":
        async with opened(database) as store:
            return await store.write(unit)

    ended = asyncio.run(work())
    if as_json:
        output.line(output.as_json(_document(ended)))
    else:
        output.line(f"{session} of {ended.user_id} is signed out.")


def _cells(session: "Session") -> list[output.Cell]:
    times = (session.created_at, session.used_at, session.expires_at)
    return [session.session_id, session.label, *map(output.moment, times)]


def _document(session: "Session") -> dict[str, str | int]:
    return {
        "sessionId": session.session_id,
        "appId": session.app_id,
        "userId": session.user_id,
        "label": session.label,
        "createdAt": session.created_at,
        "usedAt": session.used_at,
        "expiresAt": session.expires_at,
    }
