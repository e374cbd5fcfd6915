"""`oddswire app provider`: who else may vouch for an app's users, straight in its database, also while it is served."""

import asyncio
import sys
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated

import typer

from oddswire.cli import options, output
from oddswire.cli.actor import me
from oddswire.cli.apps import Id
from oddswire.cli.faults import usage
from oddswire.clock import SystemClock

if TYPE_CHECKING:
    from oddswire.auth.providers import Provider
    from oddswire.store.base import Tx

commands = typer.Typer(
    help="An app's own identity provider, whose tokens are taken as ours are. A running gateway acts within a second."
)
_FROM_INPUT = "-"
_LONGEST_LINE = 4096
_PRIVATE = "ODDSWIRE_PROVIDER_ALLOW_PRIVATE"


@commands.command("set")
def set_provider(
    app_id: Id,
    issuer: Annotated[str, typer.Option("--issuer", help="The `iss` of its tokens, exactly.")],
    audience: Annotated[str, typer.Option("--audience", help="What their `aud` is, or holds.")],
    claim: Annotated[str, typer.Option("--claim", help="The claim that is the app's own id of its user.")] = "sub",
    jwks_url: Annotated[
        str | None, typer.Option("--jwks-url", help="Where it publishes its keys: an https URL.", show_default=False)
    ] = None,
    shared_secret: Annotated[
        str | None,
        typer.Option(
            "--shared-secret",
            metavar=_FROM_INPUT,
            help="`-` reads the secret that its tokens are signed with (HS256) from standard input, one line.",
            show_default=False,
        ),
    ] = None,
    database: options.Database = options.DATABASE,
) -> None:
    """Take the tokens of an identity provider for an app, in the place of any provider before.

    Tokens by the former setting are not taken any more and their sockets close, also if the same is set again.

    Example:  oddswire app provider set shop --issuer https://id.example --audience shop --jwks-url https://id.example/jwks
    """
    # only the commands that open a database wait for the store
    from oddswire.auth import acts, providers
    from oddswire.cli.databases import opened

    if (jwks_url is None) == (shared_secret is None):
        raise usage("How are its tokens verified? Give --jwks-url URL or --shared-secret -, one of them.")
    secret = None if shared_secret is None else _secret(shared_secret)

    def unit(tx: "Tx") -> "Provider":
        now = SystemClock().now()
        put = providers.put(tx, app_id, issuer, audience, claim, now, jwks_url=jwks_url, secret=secret)
        detail = {"issuer": put.issuer, "audience": put.audience, "claim": put.claim, "jwksUrl": put.jwks_url}
        acts.record(tx, me(), "provider.set", app_id, detail, now)
        return put

    async def work() -> "Provider":
        async with opened(database) as store:
            return await store.write(unit)

    provider = asyncio.run(work())
    output.line(f"{app_id} takes the tokens of {provider.issuer}.")
    for said in ["The secret is kept."] if jwks_url is None else _of_keys_at(jwks_url):
        output.note(said)


@commands.command("show")
def show(app_id: Id, database: options.Database = options.DATABASE, as_json: options.Json = False) -> None:
    """Show an app's identity provider; never its secret.

    Example:  oddswire app provider show shop
    """
    # as above
    from oddswire.auth import providers
    from oddswire.cli.databases import opened

    async def work() -> "Provider":
        async with opened(database) as store:
            return await store.read(lambda tx: providers.get(tx, app_id))

    found = asyncio.run(work())
    if as_json:
        shown = {"appId": app_id, "issuer": found.issuer, "audience": found.audience, "claim": found.claim}
        keys = {"jwksUrl": found.jwks_url, "sharedSecret": found.secret is not None, "setAt": found.set_at}
        output.line(output.as_json({**shown, **keys}))
        return
    output.line(f"issuer    {found.issuer}")
    output.line(f"audience  {found.audience}")
    output.line(f"claim     {found.claim}")
    output.line(f"keys      {found.jwks_url or 'a shared secret'}")
    output.line(f"since     {output.moment(found.set_at)}")


@commands.command("remove")
def remove(app_id: Id, database: options.Database = options.DATABASE) -> None:
    """Take no tokens of the app's identity provider any more: their sockets close (4101) within a second.

    Example:  oddswire app provider remove shop
    """
    # as above
    from oddswire.auth import acts, providers
    from oddswire.cli.databases import opened

    def unit(tx: "Tx") -> None:
        providers.remove(tx, app_id)
        acts.record(tx, me(), "provider.remove", app_id, {}, SystemClock().now())

    async def work() -> None:
        async with opened(database) as store:
            await store.write(unit)

    asyncio.run(work())
    output.line(f"{app_id} takes our own tokens alone.")


def _of_keys_at(jwks_url: str) -> list[str]:
    """Return where it is told whether keys were read, and a warning of an address that they are not read from.

    Names are left alone: where they lead is for the gateway to look up.
    """
    from oddswire.auth.addresses import may_connect, parse_url

    told = "The log of the gateway says provider_keys_read, or provider_keys_not_read and why."
    host = parse_url(jwks_url).host
    try:
        ip_address(host)
    except ValueError:
        return [told]
    if may_connect(host, allow_private=False):
        return [told]
    if may_connect(host, allow_private=True):
        return [told, f"warning: {host} is a private address: the gateway reads keys there only with {_PRIVATE}=true."]
    return [told, f"warning: no gateway reads keys from {host}: give --jwks-url with a public address or a name."]


def _secret(given: str) -> str:
    """Return the secret, which is never an argument: every process of the machine can read those."""
    if given != _FROM_INPUT:
        raise usage("--shared-secret takes `-` alone, and the secret from standard input; change one that was typed.")
    return sys.stdin.readline(_LONGEST_LINE).rstrip("\r\n")
