"""The options that several commands share, and who a command speaks for."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from oddswire.cli.faults import usage
from oddswire.config import DEV_APP, DEV_KEY
from oddswire.errors import OddswireError
from oddswire.wire.cursor import Cursor

if TYPE_CHECKING:
    from oddswire.client import Client

DATABASE = Path("oddswire.db")
URL = "http://127.0.0.1:8080"
APP = DEV_APP
API_KEY = DEV_KEY
_SIGN_OUT_SECONDS = 2.0

Database = Annotated[
    Path, typer.Option("--database", "-d", envvar="ODDSWIRE_DATABASE", help="The database file.", dir_okay=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs: a list as one document a line.")]
Url = Annotated[str, typer.Option("--url", envvar="ODDSWIRE_URL", help="Where the gateway is.")]
App = Annotated[str, typer.Option("--app", envvar="ODDSWIRE_APP", help="The app's id.")]
ApiKey = Annotated[
    str,
    typer.Option(
        "--api-key",
        envvar="ODDSWIRE_API_KEY",
        help="The app's API key; `-` reads it from standard input. Better in the environment than here.",
        show_default=False,
    ),
]


def _one_of_both(context: typer.Context, given: str | None) -> str | None:
    """Refuse a user and a token on one command line: they may be two people. A token in the environment gives way."""
    sources = [context.get_parameter_source(name) for name in ("user", "token")]
    if all(source is not None and source.name == "COMMANDLINE" for source in sources):
        raise usage("--user and --token both say whose; give one of them.")
    return given


User = Annotated[
    str | None,
    typer.Option(
        "--user",
        "-u",
        help="Sign this user in with the app's API key, for as long as this runs.",
        callback=_one_of_both,
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar="ODDSWIRE_TOKEN",
        help="The user's access token; `-` reads it from standard input. Better in the environment than here.",
        show_default=False,
        callback=_one_of_both,
    ),
]

Venue = Annotated[str | None, typer.Option("--venue", help="Only at this venue.")]
Since = Annotated[int | None, typer.Option("--since", min=0, help="Begin after this event; goes with --epoch.")]
Epoch = Annotated[str | None, typer.Option("--epoch", help="The history that --since is of.")]


def cursor(since: int | None, epoch: str | None) -> Cursor | None:
    """Return the place in a stream that was given, if any.

    Raises:
        OperatorError: `usage`: half of one was given.
    """
    if since is None and epoch is None:
        return None
    if since is None or epoch is None:
        raise usage("--since and --epoch go together: a number means something in one history only.")
    return Cursor(since, epoch)


def secret(given: str) -> str:
    """Return a secret as given, or the first line of standard input for `-`.

    Raises:
        OperatorError: `usage`: it cannot be one; the secret is not repeated.
    """
    found = sys.stdin.readline().strip() if given == "-" else given
    if not _is_plain(found):
        raise usage("A key or token is one line of plain ASCII characters; this one is not.")
    return found


def client(url: str, app: str, token: str | None = None) -> "Client":
    """Return a client of the gateway at `url`, of that user if there is a token.

    Raises:
        OperatorError: `usage`: nothing can be asked at that address, or for that app.
    """
    # most commands talk to no gateway: they must not wait for the HTTP library
    from httpx import InvalidURL

    from oddswire.client import Client

    if not _is_plain(app):
        raise usage(f"An app's id is a-z, 0-9, _ and -; not {app[:100]!r}.")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        if usable:
            # a person sees what is wrong and tries again
            return Client(base_url=url, app_id=app, access_token=token, retry_seconds=0)
    except (InvalidURL, ValueError):
        pass
    raise usage(f"--url wants http://HOST:PORT or https://HOST, not {url[:200]!r}.")


def _is_plain(text: str) -> bool:
    """Tell whether a header can carry it."""
    return text.isascii() and text.isprintable() and text != ""


@asynccontextmanager
async def signed_in(
    url: str, app: str, api_key: str, user: str | None, token: str | None, *, create: bool = False
) -> "AsyncIterator[Client]":
    """Yield a client of that user: signed in with the app's API key for as long as this lasts, or by a token.

    Only with `create` may it be the first time that the user is signed in: a mistyped name must not make one.

    Raises:
        OperatorError: neither was given.
        ServerRefused: the gateway does not take the key, or has no such user.
        ServerUnreachable: no answer.
    """
    if user is None and token is None:
        raise usage("Whose? Give --user NAME, or a token in ODDSWIRE_TOKEN (`oddswire token NAME` prints one).")
    async with client(url, app, None if token is None or user is not None else secret(token)) as signed:
        if user is None:
            yield signed
            return
        await signed.sign_in(user, api_key=secret(api_key), label="oddswire command line", create=create)
        try:
            yield signed
        finally:
            # nobody has the tokens but this command; where the session cannot be ended now, it ends unused
            with suppress(OddswireError, TimeoutError):
                async with asyncio.timeout(_SIGN_OUT_SECONDS):
                    await signed.sign_out()
