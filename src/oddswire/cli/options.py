"""The options that several commands share, and who a command speaks for."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oddswire.cli.faults import usage

if TYPE_CHECKING:
    from oddswire.client import Client

DATABASE = Path("oddswire.db")
URL = "http://127.0.0.1:8080"
DEV_APP = "demo"
DEV_KEY = "demo-key"

Database = Annotated[
    Path, typer.Option("--database", "-d", envvar="ODDSWIRE_DATABASE", help="The database file.", dir_okay=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
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
User = Annotated[str | None, typer.Option("--user", "-u", help="Sign this user in with the app's API key.")]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar="ODDSWIRE_TOKEN",
        help="The user's access token; `-` reads it from standard input. Better in the environment than here.",
        show_default=False,
    ),
]


def secret(given: str) -> str:
    """Return a secret as given, or the first line of standard input for `-`."""
    return sys.stdin.readline().strip() if given == "-" else given


@asynccontextmanager
async def signed_in(url: str, app: str, api_key: str, user: str | None, token: str | None) -> "AsyncIterator[Client]":
    """Yield a client of that user: signed in with the app's API key, or by a token.

    Raises:
        OperatorError: neither was given.
        ServerRefused: the gateway does not take the key.
        ServerUnreachable: no answer.
    """
    # most commands talk to no gateway: they must not wait for the HTTP library
    from oddswire.client import Client

    if user is None and token is None:
        raise usage("Whose? Give --user NAME, or a token in ODDSWIRE_TOKEN (`oddswire token NAME` prints one).")
    given = None if token is None or user is not None else secret(token)
    async with Client(base_url=url, app_id=app, access_token=given, retry_seconds=0) as client:
        if user is not None:
            await client.sign_in(user, api_key=secret(api_key), label="oddswire command line")
        yield client
