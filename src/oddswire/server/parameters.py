"""Query parameters that several calls take, and the user's view they read from."""

from collections.abc import Callable
from typing import Annotated

from litestar.params import QueryParameter

from oddswire.orders.views import View
from oddswire.server.calls import Call
from oddswire.store.base import Tx

Venue = Annotated[str | None, QueryParameter(description="Only at this venue", max_length=128)]
Cursor = Annotated[
    str | None, QueryParameter(description="`nextCursor` of the page before; opaque", min_length=1, max_length=512)
]
Limit = Annotated[int, QueryParameter(description="How many at most", ge=1, le=100)]


def view_of(request: Call) -> Callable[[Tx], View]:
    """Return what makes the caller's view in a transaction."""
    history_id, who = request.parts.store.history_id, request.user
    return lambda tx: View(tx, history_id, who.app_id, who.user_id)
