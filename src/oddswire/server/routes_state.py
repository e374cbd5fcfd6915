"""`/trading`: the user's state, and the log of what led to it."""

from typing import Annotated, Final

import msgspec
from litestar import Router, get
from litestar.params import HeaderParameter, QueryParameter
from litestar.types import ASGIApp

from oddswire.errors import CursorRefused
from oddswire.ids import epoch_of
from oddswire.server.callers import reads
from oddswire.server.calls import Call
from oddswire.server.event_stream import EventStream
from oddswire.server.openapi import USER, errors
from oddswire.server.parameters import Venue, guarded, view_of
from oddswire.store.base import Tx
from oddswire.streams import log
from oddswire.streams.delivery import Kept, refusal
from oddswire.wire.bodies import Balances, EventPage, Holdings
from oddswire.wire.cursor import CURSOR_PATTERN, Cursor

_READ: Final = errors("unknown_venue", "rate_limited", "store_unavailable", user=True)
_REFUSED: Final = {
    "expired": ("history_expired", "What comes after this cursor is not kept any more."),
    "epoch_changed": ("epoch_changed", "The cursor is of another history than this stream's."),
    "ahead": ("ahead", "The stream has not come as far as this cursor."),
}


Since = Annotated[
    int | None,
    QueryParameter(description="Only events after this one", ge=0, le=2**53, schema_extra={"minimum": 0}),
]
Epoch = Annotated[str | None, QueryParameter(description="The epoch `since` is of", max_length=64)]


@get("/balance", before_request=guarded(reads), summary="Get balances", opt=_READ)
async def balance(request: Call, venue: Venue = None) -> Balances:
    """The balance at every venue, exactly as it is after the event `seq`."""
    view = view_of(request)
    return await request.parts.store.read(lambda tx: view(tx).balances(venue))


@get("/holdings", before_request=guarded(reads), summary="Get holdings", opt=_READ)
async def holdings(request: Call, venue: Venue = None) -> Holdings:
    """Every holding, exactly as it is after the event `seq`."""
    view = view_of(request)
    return await request.parts.store.read(lambda tx: view(tx).holdings(venue))


@get(
    "/events",
    before_request=guarded(reads),
    summary="Read the stream",
    opt=errors(*("history_expired", "epoch_changed", "ahead", "rate_limited", "store_unavailable"), user=True),
)
async def events(
    request: Call,
    since: Since = None,
    epoch: Epoch = None,
    limit: Annotated[int, QueryParameter(description="How many at most", ge=1, le=log.PAGE_EVENTS)] = 100,
) -> EventPage:
    """A page of the user's events, as they went over the sockets, without `since` from the oldest that is kept.

    Go on with `since` = `seq` while `hasMore`.
    """
    history_id, who = request.parts.store.history_id, request.user
    return await request.parts.store.read(
        lambda tx: read_events(tx, history_id, who.app_id, who.user_id, since, epoch, limit)
    )


@get(
    "/events/stream",
    before_request=guarded(reads),
    media_type="text/event-stream",
    summary="Follow the stream",
    opt=errors("too_many_connections", "rate_limited", "store_unavailable", user=True),
)
async def follow(
    request: Call,
    since: Since = None,
    epoch: Epoch = None,
    last_event_id: Annotated[
        str | None,
        HeaderParameter(
            name="Last-Event-ID",
            description="`<epoch>:<seq>`; goes before `since`",
            schema_extra={"pattern": CURSOR_PATTERN},
        ),
    ] = None,
) -> ASGIApp:
    """The user's events as Server-Sent Events, from now on or after a cursor, until the access token ends.

    Each event's `id` is `<epoch>:<seq>`, its data what goes over the sockets. Other things have an `event:` name:
    `connected` at first, or `reset` where the cursor cannot be honoured; the last says why it ends.
    """
    if last_event_id is not None:
        since, epoch = Cursor.parse(last_event_id)
    parts = request.parts
    stream = EventStream(parts.hub, parts.roster, parts.clock, request.user, request.address)
    await stream.open(since, epoch)
    return stream


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


routes = Router(
    "/trading", route_handlers=[balance, holdings, events, follow], security=USER, tags=["State and events"]
)
