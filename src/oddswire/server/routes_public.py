"""What can be traded, and what tools ask for: no user is needed."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from decimal import Decimal
from importlib.metadata import version
from importlib.resources import files
from typing import Any, Final, Literal

from litestar import Router, get
from litestar.response import Redirect, Response
from msgspec import UNSET, Struct

from oddswire import money
from oddswire.errors import InvalidInput, Unavailable
from oddswire.server.callers import of_app, spends_read
from oddswire.server.calls import Call, Json
from oddswire.server.openapi import APP, NO_SECURITY, errors
from oddswire.server.parameters import Cursor, Limit, Venue, guarded
from oddswire.venues import base
from oddswire.wire import bodies
from oddswire.wire.asyncapi import asyncapi

_PAGE_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Status(Struct):
    """How the process is."""

    status: Literal["ok", "ready", "not_ready"]


@get(
    "/venues",
    before_request=guarded(of_app, spends_read),
    sync_to_thread=False,
    security=APP,
    tags=["What can be traded"],
    summary="List venues",
    opt=errors("rate_limited", app=True),
)
def list_venues(request: Call) -> bodies.Venues:
    """Every venue, and how it is doing."""
    parts = request.parts
    found = [
        bodies.VenueInfo(venue=name, title=name.title(), status=pulse.status, since=pulse.since)
        for name, pulse in sorted(parts.pulses.items())
    ]
    return bodies.Venues(data=found)


@get(
    "/markets",
    before_request=guarded(of_app, spends_read),
    security=APP,
    tags=["What can be traded"],
    summary="List markets",
    opt=errors("unknown_venue", "rate_limited", "venue_unavailable", app=True),
)
async def list_markets(request: Call, venue: Venue = None, cursor: Cursor = None, limit: Limit = 50) -> bodies.Markets:
    """Every market with its best prices, by venue and id. Prices are not streamed: poll this."""
    venues = request.parts.venues
    names = sorted(venues) if venue is None else [venue]
    return await markets_page(venues, names, request.auth.app_id, cursor, limit)


async def markets_page(
    venues: Mapping[str, base.Venue], names: list[str], app_id: str, cursor: str | None, limit: int
) -> bodies.Markets:
    """Return the markets of the venues `names` after a cursor, at most `limit`.

    Raises:
        InvalidInput: `invalid_parameter`: that is no cursor of ours.
        Unavailable: `venue_unavailable`.
    """
    at, after = _read_cursor(cursor) if cursor is not None else ("", None)
    found: list[tuple[str, base.Market]] = []
    for name in names:
        if name < at or len(found) > limit:
            continue
        try:
            some = await venues[name].markets(app_id, after if name == at else None, limit + 1 - len(found))
        except base.NoAnswer as fault:
            raise Unavailable("venue_unavailable", f"{name} does not answer now.") from fault
        found += [(name, market) for market in some]
    more, page = len(found) > limit, found[:limit]
    return bodies.Markets(
        data=[market_body(name, market) for name, market in page],
        next_cursor=_make_cursor(page[-1][0], page[-1][1].market_id) if more else None,
        has_more=more,
    )


def market_body(venue: str, market: base.Market) -> bodies.Market:
    """Return a market as REST tells it."""
    return bodies.Market(
        venue=venue,
        market_id=market.market_id,
        title=market.title,
        status=market.status,
        tick=money.to_decimal(market.tick),
        size_step=money.to_decimal(market.size_step),
        min_size=money.to_decimal(market.min_size),
        max_size=money.to_decimal(market.max_size),
        outcomes=[
            bodies.Outcome(
                outcome_id=outcome.outcome_id,
                title=outcome.title,
                best_bid=_price(outcome.best_bid),
                best_ask=_price(outcome.best_ask),
            )
            for outcome in market.outcomes
        ],
        winner=market.winner or UNSET,
    )


@get(
    "/healthz",
    sync_to_thread=False,
    security=NO_SECURITY,
    tags=["Tools"],
    summary="Is it alive",
    opt=errors(stoppable=False),
)
def healthz() -> Status:
    """The process answers."""
    return Status("ok")


@get(
    "/readyz",
    sync_to_thread=False,
    security=NO_SECURITY,
    tags=["Tools"],
    summary="May it be sent traffic",
    opt=errors(unready=True, stoppable=False),
)
def readyz(request: Call) -> Response[Status]:
    """503 while it starts and once it has been asked to stop."""
    ready = request.parts.ready()
    return Json(Status("ready" if ready else "not_ready"), status_code=200 if ready else 503)


@get("/asyncapi.json", sync_to_thread=False, include_in_schema=False)
def asyncapi_json() -> dict[str, Any]:
    """The description of the WebSocket."""
    return asyncapi(version("oddswire"))


@get("/", sync_to_thread=False, include_in_schema=False)
def front_door() -> Redirect:
    """Whoever looks where the gateway is finds the page for people, also behind a proxy with a path of its own."""
    return Redirect("docs", status_code=307)


@get("/docs", sync_to_thread=False, include_in_schema=False)
def docs() -> Response[bytes]:
    """The page that shows both to people; it loads nothing from anywhere else."""
    page = files("oddswire.server").joinpath("web", "docs.html").read_bytes()
    return Response(page, media_type="text/html", headers={"content-security-policy": _PAGE_POLICY})


routes = Router("/", route_handlers=[front_door, list_venues, list_markets, healthz, readyz, asyncapi_json, docs])


def _price(millionths: int | None) -> Decimal | None:
    return None if millionths is None else money.to_decimal(millionths)


def _make_cursor(venue: str, market_id: str) -> str:
    return urlsafe_b64encode(f"{venue} {market_id}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[str, str]:
    try:
        venue, space, market_id = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(" ")
    except ValueError:
        venue, space, market_id = "", "", ""
    if not space:
        raise InvalidInput("invalid_parameter", "That is not a cursor of a page before.", path="cursor")
    return venue, market_id
