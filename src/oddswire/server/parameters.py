"""Query parameters that several calls take, and the user's view they read from."""

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Annotated, Any, Final, cast

from litestar import Request
from litestar.handlers import BaseRouteHandler
from litestar.params import QueryParameter

from oddswire.errors import InvalidInput
from oddswire.orders.checks import check_venue
from oddswire.orders.views import View
from oddswire.server.callers import Guard
from oddswire.server.calls import Call
from oddswire.store.base import Tx

Venue = Annotated[str | None, QueryParameter(description="Only at this venue", max_length=128)]
Cursor = Annotated[
    str | None, QueryParameter(description="`nextCursor` of the page before; opaque", min_length=1, max_length=512)
]
_SHOWN: Final = 100
"""Characters of a name that are told: the caller made it up."""
Limit = Annotated[int, QueryParameter(description="How many at most", ge=1, le=100)]


def guarded(*guards: Guard) -> Callable[[Request[Any, Any, Any]], Awaitable[None]]:
    """Return what comes before a route: its guards, one after the other, and then what its query may hold.

    In this order, so that who may not call is told that first. Not as guards of the framework's, which copies the
    route for each of them: a twentieth of what a call costs.
    """

    async def admit(request: Request[Any, Any, Any]) -> None:
        call = cast("Call", request)
        for guard in guards:
            await guard(call)
        if call.scope["query_string"]:
            _check_query(call)

    return admit


def _check_query(call: Call) -> None:
    """Let through what a call takes: parameters it knows, whole numbers as digits alone, a venue that is there.

    Whoever reads them would take no notice of a misspelt name, `null` for nothing and `1.0` for 1.

    Raises:
        InvalidInput: `invalid_parameter`.
        Denied: `unknown_venue`.
    """
    taken = _taken(call.route_handler)
    for name, text in call.query_params.multi_items():
        if name not in taken:
            takes = f"the query parameters {', '.join(taken)}" if taken else "no query parameters"
            raise InvalidInput("invalid_parameter", f"This call takes {takes}.", path=name[:_SHOWN])
        if taken[name] in (int, int | None) and not (text.isascii() and text.isdigit()):
            raise InvalidInput("invalid_parameter", "A whole number is wanted, digits alone.", path=name)
        if name == "venue":
            check_venue(text, call.parts.venues, "venue")


@cache
def _taken(handler: BaseRouteHandler) -> dict[str, Any]:
    """Return the type of each query parameter by its name on the wire."""
    return {
        field.kwarg_definition.name or name: field.annotation
        for name, field in handler.parsed_fn_signature.parameters.items()
        if isinstance(field.kwarg_definition, QueryParameter)
    }


def view_of(request: Call) -> Callable[[Tx], View]:
    """Return what makes the caller's view in a transaction."""
    history_id, who = request.parts.store.history_id, request.user
    return lambda tx: View(tx, history_id, who.app_id, who.user_id)
