"""Everything that is kept of one user, line by line, of one moment."""

from collections.abc import Iterator
from typing import Final

from oddswire.auth import acts
from oddswire.errors import Missing
from oddswire.store.base import SqlValue, Tx
from oddswire.store.portrait import Line, Part, lines
from oddswire.streams import log

_SESSIONS: Final = Part(
    "session",
    "export.sessions",
    ("sessionId", "label", "createdAt", "usedAt", "expiresAt", "revokedAt", "cancelOnDisconnectSeconds"),
    ("",),
)
_MARKET: Final = ("marketId", "outcomeId")
_TOLD: Final = ("timestamp", "seq")
_OF_STREAM: Final = (
    Part("balance", "export.balances", ("venue", "cashRaw", "heldRaw", *_TOLD), ("",)),
    Part(
        "holding",
        "export.holdings",
        ("venue", *_MARKET, "freeRaw", "heldRaw", "averagePriceRaw", *_TOLD),
        ("", "", ""),
    ),
    Part(
        "order",
        "export.orders",
        (
            *("orderId", "venue", *_MARKET, "side", "priceRaw", "sizeRaw", "timeInForce", "expiresAt", "postOnly"),
            *("clientOrderId", "origin", "status", "filledRaw", "venueOrderId", "errorReason", "sessionId"),
            *("createdAt", *_TOLD),
        ),
        ("",),
    ),
    Part(
        "fill",
        "export.fills",
        (
            *("fillId", "venue", "venueFillId", "orderId", *_MARKET, "side", "priceRaw", "sizeRaw", "feeRaw"),
            *("reversed", "source", "venueTimestamp", *_TOLD),
        ),
        ("",),
    ),
    Part(
        "posting",
        "export.postings",
        ("entryId", "line", "venue", "entry", "reference", "timestamp", "account", "asset", "amountRaw"),
        ("", -1),
    ),
    Part("event", "export.events", ("seq", "event"), (0,)),
)
_ACTS: Final = 500


def export(tx: Tx, app_id: str, user_id: str) -> Iterator[Line]:
    """Yield what the core's tables hold of a user: `user` first, then each `kind` in turn, each by its key.

    Secrets and what only works are left out: hashes of refresh tokens, sending marks.

    Raises:
        Missing: there is no such user.
    """
    stream = log.find(tx, app_id, user_id)
    if stream is None:
        raise Missing(f"App {app_id[:100]!r} has no user {user_id[:100]!r}.", path="$.userId")
    user: Line = {"kind": "user", "appId": app_id, "userId": user_id}
    yield {**user, **(tx.one(_stream, "export.user", stream.stream_id) or {})}
    yield from lines(tx, _SESSIONS, app_id, user_id)
    for part in _OF_STREAM:
        yield from lines(tx, part, stream.stream_id)
    number = 0
    while found := acts.of_user(tx, app_id, user_id, number, _ACTS):
        number = found[-1].number
        for act in found:
            yield {"kind": "act", "number": act.number, "at": act.at, "act": act.act, "detail": act.detail}


def _stream(created_at: SqlValue, head: SqlValue, tail: SqlValue, last_timestamp: SqlValue) -> Line:
    return {"firstSeen": created_at, "head": head, "tail": tail, "lastEventAt": last_timestamp}
