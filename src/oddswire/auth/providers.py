"""Identity providers: who else may vouch for an app's users, as the operator has set it."""

from dataclasses import dataclass, field
from typing import Final

from oddswire.auth import apps
from oddswire.auth.addresses import parse_url
from oddswire.auth.tokens import ISSUER
from oddswire.errors import InvalidInput, Missing
from oddswire.ids import new_id
from oddswire.store.base import Tx

MAX_NAME: Final = 512
MAX_CLAIM: Final = 128
SECRET_BYTES: Final = (32, 512)
"""How many bytes a shared secret has, at least and at most: fewer than 32 can be guessed from a token."""


@dataclass(frozen=True, slots=True)
class Provider:
    """Whose tokens an app takes beside ours; either `jwks_url` or `secret` is there. `set_at` in ms.

    `provider_id` is another one at each change, so that what a former setting proved can be told from the present's.
    `claim` is the claim that is the app's own id of its user.
    """

    app_id: str
    provider_id: str
    issuer: str
    audience: str
    claim: str
    jwks_url: str | None
    secret: str | None = field(repr=False)
    set_at: int


def put(
    tx: Tx,
    app_id: str,
    issuer: str,
    audience: str,
    claim: str,
    now: int,
    *,
    jwks_url: str | None = None,
    secret: str | None = None,
) -> Provider:
    """Name an app's provider, in the place of any before; from this commit tokens of the former are not taken.

    Setting the same again forgets what is known of its keys.

    Raises:
        InvalidInput: `invalid_parameter`, with the field as its path; a secret is never repeated.
        Missing: there is no such app.
        ValueError: neither or both of `jwks_url` and `secret` were given.
    """
    if (jwks_url is None) == (secret is None):
        raise ValueError("a provider has a JWKS URL or a secret")
    _check_name(issuer, "issuer", MAX_NAME)
    _check_name(audience, "audience", MAX_NAME)
    _check_name(claim, "claim", MAX_CLAIM)
    if issuer == ISSUER:
        raise InvalidInput("invalid_parameter", f"The issuer {ISSUER!r} is this gateway itself.", path="issuer")
    if jwks_url is not None:
        parse_url(jwks_url)
    least, most = SECRET_BYTES
    if secret is not None and not least <= len(secret.encode()) <= most:
        raise InvalidInput(
            "invalid_parameter", f"A shared secret has {least} to {most} bytes; this one has not.", path="shared-secret"
        )
    apps.get(tx, app_id)
    provider = Provider(app_id, new_id("idp", now), issuer, audience, claim, jwks_url, secret, now)
    tx.run("providers.put", app_id, provider.provider_id, issuer, audience, claim, jwks_url, secret, now)
    return provider


def get(tx: Tx, app_id: str) -> Provider:
    """Return an app's provider.

    Raises:
        Missing: there is no such app, or it has none.
    """
    apps.get(tx, app_id)
    provider = tx.one(Provider, "providers.find", app_id)
    if provider is None:
        raise Missing(f"App {app_id!r} has no identity provider.")
    return provider


def remove(tx: Tx, app_id: str) -> None:
    """Take an app's provider away: from this commit none of its tokens is taken.

    Raises:
        Missing: there is no such app, or it has none.
    """
    if not tx.run("providers.remove", app_id):
        get(tx, app_id)


def load(tx: Tx) -> list[Provider]:
    """Return the providers of active apps, by app."""
    return tx.all(Provider, "providers.of_active_apps")


def _check_name(text: str, what: str, most: int) -> None:
    if not 1 <= len(text) <= most or not text.isprintable() or text != text.strip():
        raise InvalidInput(
            "invalid_parameter", f"The {what} wants 1 to {most} characters, none of them a control one.", path=what
        )
