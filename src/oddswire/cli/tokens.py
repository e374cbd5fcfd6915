"""`oddswire token`: sign a user in, as an app's own backend does."""

import asyncio
from typing import Annotated

import typer

from oddswire.cli import options, output


def token(
    user: Annotated[str, typer.Argument(metavar="USER", help="The app's own id of its user.")],
    url: options.Url = options.URL,
    app: options.App = options.APP,
    api_key: options.ApiKey = options.API_KEY,
    as_json: options.Json = False,
) -> None:
    """Sign a user in, and print the access token and nothing else.

    A name that was never signed in is a new user from now on: mind how it is written.

    The session lasts 30 days; `oddswire session list USER` shows it, `oddswire session revoke` ends it.

    Without options it asks the gateway of `oddswire serve --dev`. With --json it prints the refresh token too.

    Example:  export ODDSWIRE_TOKEN=$(oddswire token alice)
    """
    asyncio.run(_token(user, url, app, options.secret(api_key), as_json))


async def _token(user: str, url: str, app: str, api_key: str, as_json: bool) -> None:
    async with options.client(url, app) as client:
        signed = await client.sign_in(user, api_key=api_key, label="oddswire command line")
    if as_json:
        output.line(output.as_json(signed))
        return
    output.line(signed.access_token)
    ending = f"`oddswire session list {user}` shows the session, `oddswire session revoke` ends it."
    output.note(f"{user} stays signed in for 30 days: {ending}")
