"""Who is calling: guards that prove an app, its backend or its user before anything of the call is read.

The order of refusals is the contract: no app, an API key in a browser, an app that is not there, an origin that is not
the app's, then the token or key itself, then too many calls.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

from oddswire.auth.apps import App
from oddswire.auth.origins import origin_allowed
from oddswire.errors import InvalidInput, Limited, Refused
from oddswire.server.calls import Call
from oddswire.server.gate import key_of
from oddswire.server.limits import Allowance, Standing
from oddswire.streams.roster import network_of

APP_ID = "x-app-id"
API_KEY = "x-app-api-key"
STANDING: Final = "standing"
"""Where in a request's state its `Standing` is, for the headers of the answer."""
Guard = Callable[[Call], Awaitable[None]]
"""Lets a call through, or raises."""


async def of_app(call: Call) -> None:
    """Let calls of an active app through, from its own origins if from a page.

    Raises:
        InvalidInput: `app_id_missing`.
        Refused: `api_key_in_browser`, `unknown_app`, `origin_not_allowed`.
    """
    call.scope["auth"] = _app(call)


async def signed_in(call: Call) -> None:
    """Let calls of a user with a good access token through.

    Raises:
        InvalidInput, Refused: as `of_app`; `token_missing`, `token_invalid`, `token_expired`, `session_revoked`.
        Unavailable: `provider_unavailable`, or `store_unavailable` where its provider's user is new here.
        Limited: too many bad tokens from this address.
    """
    await of_app(call)
    call.scope["user"] = await call.parts.gate.verify(_token(call), call.auth.app_id, call.address)


async def backend(call: Call) -> None:
    """Let calls of the app's own backend through, by its API key.

    Raises:
        InvalidInput, Refused: as `of_app`; `api_key_invalid`.
        Limited: too many sign-ins from this address, or calls of this app.
    """
    await of_app(call)
    await may_sign_in(call)
    with counting_failures(call):
        await call.parts.authority.verify_api_key(call.auth.app_id, call.header(API_KEY) or "")
    # who only names the app must not use up what it may call
    _spend(call, _of_app(call))


async def may_sign_in(call: Call) -> None:
    """Let an address sign in or refresh so often, and fail at it less often.

    Raises:
        Limited: `rate_limited`.
    """
    limits, network = call.parts.limits, network_of(call.address)
    _spend(
        call,
        [_Purse(limits.sign_ins, network, "sign-ins from this address")],
        unless=[_Purse(limits.failed_sign_ins, network, "failed sign-ins from this address")],
    )


async def spends_order(call: Call) -> None:
    """Let a user place and cancel so often.

    Raises:
        Limited: `rate_limited`.
    """
    _take(call.parts.limits.orders, call, "orders")


async def spends_read(call: Call) -> None:
    """Let a user read so often; where nobody is signed in, an address.

    Raises:
        Limited: `rate_limited`.
    """
    _take(call.parts.limits.reads, call, "reads")


async def trades(call: Call) -> None:
    """Let calls of a user with a good access token place and cancel so often.

    Raises:
        InvalidInput, Refused, Unavailable, Limited: as `signed_in` and `spends_order`.
    """
    await signed_in(call)
    await spends_order(call)


async def reads(call: Call) -> None:
    """Let calls of a user with a good access token read so often.

    Raises:
        InvalidInput, Refused, Unavailable, Limited: as `signed_in` and `spends_read`.
    """
    await signed_in(call)
    await spends_read(call)


@contextmanager
def counting_failures(call: Call) -> Iterator[None]:
    """Count a refusal in here against the address it came from, also of what could not be understood."""
    try:
        yield
    except (InvalidInput, Refused):
        failed, network, now = call.parts.limits.failed_sign_ins, network_of(call.address), call.parts.clock.monotonic()
        failed.take(network, now)
        _show(call, failed.standing(network, now))
        raise


class _Purse(NamedTuple):
    allowance: Allowance
    key: str
    what: str


def _of_app(call: Call) -> list[_Purse]:
    ceiling = call.parts.limits.app
    return [] if ceiling is None else [_Purse(ceiling, call.auth.app_id, "calls of this app")]


def _take(allowance: Allowance, call: Call, what: str) -> None:
    user = call.scope.get("user")
    if user is None:
        _spend(call, [_Purse(allowance, network_of(call.address), f"{what} from this address")])
    else:
        _spend(call, [_Purse(allowance, key_of(user), what), *_of_app(call)])


def _spend(call: Call, purses: Sequence[_Purse], unless: Sequence[_Purse] = ()) -> None:
    """Take one from each, or nothing from any where one is empty or one of `unless` is."""
    now = call.parts.clock.monotonic()
    for allowance, key, what in (*purses, *unless):
        if wait := allowance.wait(key, now):
            call.scope["state"].pop(STANDING, None)
            _show(call, allowance.standing(key, now))
            raise Limited("rate_limited", f"Too many {what}.", retry_after=wait)
    for allowance, key, _ in purses:
        allowance.take(key, now)
    for allowance, key, _ in (*purses, *unless):
        _show(call, allowance.standing(key, now))


def _show(call: Call, standing: Standing) -> None:
    """Have the answer say how the caller stands: with what is used up first."""
    state = call.scope["state"]
    state[STANDING] = min(state.get(STANDING, standing), standing, key=lambda found: found.remaining)


def _app(call: Call) -> App:
    app_id, origin = call.header(APP_ID), call.header("origin")
    if not app_id:
        raise InvalidInput("app_id_missing", "The header `x-app-id` is missing.")
    if origin is not None and call.header(API_KEY) is not None:
        raise Refused("api_key_in_browser", "An API key came together with an `Origin`: it is for backends only.")
    app = call.parts.authority.apps.get(app_id)
    if origin is not None and not origin_allowed(app.origins, origin):
        raise Refused("origin_not_allowed", "The page's origin is not one of the app's.")
    return app


def _token(call: Call) -> str:
    scheme, _, token = (call.header("authorization") or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Refused("token_missing", "The header `Authorization` holds no bearer token.")
    return token.strip()
