"""`/trading`: the user's state, and the log of what led to it."""

from typing import Annotated, Final

import msgspec
from litestar import Router, get
from litestar.params import QueryParameter

from oddswire.errors import CursorRefused
from oddswire.ids import epoch_of
from oddswire.server.callers import signed_in, spends_read
from oddswire.server.calls import Call
from oddswire.server.openapi import USER, errors
from oddswire.server.parameters import Venue, view_of, whole_numbers
from oddswire.store.base import Tx
from oddswire.streams import log
from oddswire.streams.delivery import Kept, refusal
from oddswire.wire.bodies import Balances, EventPage, Holdings

_READ: Final = errors("rate_limited", "store_unavailable", parameters=True, user=True)
_REFUSED: Final = {
    "expired": ("history_expired", "What comes after this cursor is not kept any more."),
    "epoch_changed": ("epoch_changed", "The cursor is of another history than this stream's."),
    "ahead": ("ahead", "The stream has not come as far as this cursor."),
}


@get("/balance", guards=[signed_in, spends_read], summary="Get balances", opt=_READ)
async def balance(request: Call, venue: Venue = None) -> Balances:
    """The balance at every venue, exactly as it is after the event `seq`."""
    view = view_of(request)
    return await request.parts.store.read(lambda tx: view(tx).balances(venue))


@get("/holdings", guards=[signed_in, spends_read], summary="Get holdings", opt=_READ)
async def holdings(request: Call, venue: Venue = None) -> Holdings:
    """Every holding, exactly as it is after the event `seq`."""
    view = view_of(request)
    return await request.parts.store.read(lambda tx: view(tx).holdings(venue))


@get(
    "/events",
    guards=[signed_in, spends_read, whole_numbers],
    summary="Read the stream",
    opt=errors(
        *("history_expired", "epoch_changed", "ahead", "rate_limited", "store_unavailable"), parameters=True, user=True
    ),
)
async def events(
    request: Call,
    since: Annotated[
        int | None,
        QueryParameter(
            description="Those after this one; without it from the oldest that is kept",
            ge=0,
            le=2**53,
            schema_extra={"minimum": 0},
        ),
    ] = None,
    epoch: Annotated[str | None, QueryParameter(description="The epoch `since` is of", max_length=64)] = None,
    limit: Annotated[int, QueryParameter(description="How many at most", ge=1, le=log.PAGE_EVENTS)] = 100,
) -> EventPage:
    """A page of the user's events, as they went over the sockets; go on with `since` = `seq` while `hasMore`."""
    history_id, who = request.parts.store.history_id, request.user
    return await request.parts.store.read(
        lambda tx: read_events(tx, history_id, who.app_id, who.user_id, since, epoch, limit)
    )


def read_events(
    tx: Tx, history_id: str, app_id: str, user_id: str, since: int | None, epoch: str | None, limit: int
) -> EventPage:
    """Return the events after `since`, at most `limit` and 32 KiB; None is from the oldest that is kept.

    Raises:
        CursorRefused: `history_expired`, `epoch_changed` or `ahead`.
    """
    stream = log.find(tx, app_id, user_id)
    own = epoch_of(history_id, stream.stream_id) if stream else ""
    kept = Kept(stream.head, stream.tail, own) if stream else Kept(0, 1, own)
    if since is None and epoch is None:
        since, epoch = kept.tail - 1, own
    reason = refusal(kept, kept.tail - 1 if since is None else since, epoch)
    if reason is not None:
        raise CursorRefused(*_REFUSED[reason])
    after = kept.tail - 1 if since is None else since
    page = log.page(tx, stream.stream_id, after, limit) if stream else log.Page(after + 1, ())
    return EventPage(
        events=[msgspec.Raw(frame) for frame in page.frames],
        seq=page.last,
        head=kept.head,
        epoch=own,
        has_more=page.last < kept.head,
    )


routes = Router("/trading", route_handlers=[balance, holdings, events], security=USER, tags=["State and events"])
