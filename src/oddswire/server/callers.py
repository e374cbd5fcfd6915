"""Who is calling: guards that prove an app, its backend or its user before anything of the call is read.

The order of refusals is the contract: no app, an API key in a browser, an app that is not there, an origin that is not
the app's, then the token or key itself, then too many calls. Only what has to be asked for is waited for, but all are
coroutines: the framework takes a plain function to a thread, which costs more than all the rest of a call.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from oddswire.auth.apps import App
from oddswire.auth.origins import origin_allowed
from oddswire.errors import InvalidInput, Limited, Refused
from oddswire.server.calls import Call
from oddswire.server.limits import Allowance
from oddswire.streams.roster import network_of

APP_ID = "x-app-id"
API_KEY = "x-app-api-key"
_Connection = ASGIConnection[Any, Any, Any, Any]


async def of_app(connection: _Connection, _: BaseRouteHandler) -> None:
    """Let calls of an active app through, from its own origins if from a page.

    Raises:
        InvalidInput: `app_id_missing`.
        Refused: `api_key_in_browser`, `unknown_app`, `origin_not_allowed`.
    """
    call = cast("Call", connection)
    call.scope["auth"] = _app(call)


async def signed_in(connection: _Connection, handler: BaseRouteHandler) -> None:
    """Let calls of a user with a good access token through.

    Raises:
        InvalidInput, Refused: as `of_app`; `token_missing`, `token_invalid`, `token_expired`, `session_revoked`.
        Unavailable: `provider_unavailable`, or `store_unavailable` where its provider's user is new here.
    """
    await of_app(connection, handler)
    call = cast("Call", connection)
    call.scope["user"] = await call.parts.identify(_token(call), call.auth.app_id)


async def backend(connection: _Connection, handler: BaseRouteHandler) -> None:
    """Let calls of the app's own backend through, by its API key.

    Raises:
        InvalidInput, Refused: as `of_app`; `api_key_invalid`.
        Limited: too many sign-ins from this address.
    """
    await of_app(connection, handler)
    await may_sign_in(connection, handler)
    call = cast("Call", connection)
    with counting_failures(call):
        await call.parts.authority.verify_api_key(call.auth.app_id, call.headers.get(API_KEY, ""))


async def may_sign_in(connection: _Connection, _: BaseRouteHandler) -> None:
    """Let an address sign in or refresh so often, and fail at it less often.

    Raises:
        Limited: `rate_limited`.
    """
    call = cast("Call", connection)
    limits, now, key = call.parts.limits, call.parts.clock.monotonic(), network_of(call.address)
    _refuse_after(limits.sign_ins.take(key, now), "sign-ins from this address")
    _refuse_after(limits.failed_sign_ins.wait(key, now), "failed sign-ins from this address")


async def spends_order(connection: _Connection, _: BaseRouteHandler) -> None:
    """Let a user place and cancel so often.

    Raises:
        Limited: `rate_limited`.
    """
    call = cast("Call", connection)
    _take(call.parts.limits.orders, call, "orders")


async def spends_read(connection: _Connection, _: BaseRouteHandler) -> None:
    """Let a user read so often; where nobody is signed in, an address.

    Raises:
        Limited: `rate_limited`.
    """
    call = cast("Call", connection)
    _take(call.parts.limits.reads, call, "reads")


@contextmanager
def counting_failures(call: Call) -> Iterator[None]:
    """Count a refusal in here against the address it came from."""
    try:
        yield
    except Refused:
        parts = call.parts
        parts.limits.failed_sign_ins.take(network_of(call.address), parts.clock.monotonic())
        raise


def _app(call: Call) -> App:
    app_id, origin = call.headers.get(APP_ID), call.headers.get("origin")
    if not app_id:
        raise InvalidInput("app_id_missing", "The header `x-app-id` is missing.")
    if origin is not None and API_KEY in call.headers:
        raise Refused("api_key_in_browser", "An API key came together with an `Origin`: it is for backends only.")
    app = call.parts.authority.apps.get(app_id)
    if origin is not None and not origin_allowed(app.origins, origin):
        raise Refused("origin_not_allowed", "The page's origin is not one of the app's.")
    return app


def _token(call: Call) -> str:
    scheme, _, token = call.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Refused("token_missing", "The header `Authorization` holds no bearer token.")
    return token.strip()


def _take(allowance: Allowance, call: Call, what: str) -> None:
    user = call.scope.get("user")
    key = network_of(call.address) if user is None else f"{user.app_id} {user.user_id}"
    _refuse_after(allowance.take(key, call.parts.clock.monotonic()), what)


def _refuse_after(seconds: float, what: str) -> None:
    if seconds:
        raise Limited("rate_limited", f"Too many {what}.", retry_after=seconds)
