"""Query parameters that several calls take, and the user's view they read from."""

from collections.abc import Callable
from typing import Annotated, Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.params import QueryParameter

from oddswire.errors import InvalidInput
from oddswire.orders.views import View
from oddswire.server.calls import Call
from oddswire.store.base import Tx

Venue = Annotated[str | None, QueryParameter(description="Only at this venue", max_length=128)]
Cursor = Annotated[
    str | None, QueryParameter(description="`nextCursor` of the page before; opaque", min_length=1, max_length=512)
]
Limit = Annotated[int, QueryParameter(description="How many at most", ge=1, le=100)]


async def whole_numbers(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Let whole numbers through as digits alone; whoever reads them would take `null` for nothing and `1.0` for 1.

    The last guard of a call: who may not call is told that first.

    Raises:
        InvalidInput: `invalid_parameter`.
    """
    for name, field in handler.parsed_fn_signature.parameters.items():
        if field.annotation in (int, int | None):
            for text in connection.query_params.getall(name, []):
                if not (text.isascii() and text.isdigit()):
                    raise InvalidInput("invalid_parameter", "A whole number is wanted, digits alone.", path=name)


def view_of(request: Call) -> Callable[[Tx], View]:
    """Return what makes the caller's view in a transaction."""
    history_id, who = request.parts.store.history_id, request.user
    return lambda tx: View(tx, history_id, who.app_id, who.user_id)
