"""The audit: looks for anything in a database that may never be, also while a gateway writes to it.

Each check reads its own snapshots and compares only what one snapshot holds, so what happens meanwhile is no finding.
At most `MOST` findings a check are returned: enough to see what is wrong, and a bound on memory.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from oddswire import events
from oddswire.events import OrderSubmitted
from oddswire.money import format_amount
from oddswire.store.base import Store, Tx
from oddswire.streams import log
from oddswire.streams.log import Stream

MOST: Final = 100
_STREAMS: Final = 200
_EVENTS: Final = 2_000


class Finding(NamedTuple):
    """What should not be: which check found it, where (an entry, an order, a user's stream), and what it is."""

    check: str
    where: str
    what: str


class Progress(NamedTuple):
    """How far the audit is: `done` of `total` of what `check` goes through (1 where that is one statement)."""

    check: str
    done: int
    total: int


Watch = Callable[[Progress], None]
Column = int | str | None
Row = tuple[Column, ...]


class _Check(NamedTuple):
    """One statement of `audit.sql` and how its rows are said; a row may hold a stream id, `where` names its user."""

    name: str
    statement: str
    say: Callable[["_Names", Row], tuple[str, str]]


class _Names:
    """Names the user behind a stream id."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def at(self, stream_id: Column, *rest: Column) -> str:
        """Return `app/user`, and what follows behind it."""
        stream = log.by_id(self._tx, _int(stream_id))
        owner = f"stream {stream_id}, which is not there" if stream is None else _owner(stream)
        return " ".join([owner, *map(str, rest)])


async def audit(store: Store, watch: Watch = lambda _: None) -> list[Finding]:
    """Return every finding of every check; `watch` is told before each step.

    Raises:
        Unavailable: the store cannot be read.
    """
    found: list[Finding] = []
    for check in _CHECKS:
        watch(Progress(check.name, 0, 1))
        found += await store.read(_unit(check))
    found += await _audit_streams(store, watch)
    return found


def _unit(check: _Check) -> Callable[[Tx], list[Finding]]:
    def unit(tx: Tx) -> list[Finding]:
        names = _Names(tx)
        rows = tx.all(_row, f"audit.{check.statement}", MOST)
        return [Finding(check.name, *check.say(names, row)) for row in rows]

    return unit


# ---- what one statement finds


def _unbalanced(_: _Names, row: Row) -> tuple[str, str]:
    return f"entry {row[0]}", f"its postings of {row[1]} sum to {_amount(row[2])}, not to 0"


def _orphans(_: _Names, row: Row) -> tuple[str, str]:
    return f"entry {row[0]}", f"{row[1]} postings belong to it, and it is not there"


def _balance(names: _Names, row: Row) -> tuple[str, str]:
    stream_id, venue, cash, posted_cash, held, posted_held = row
    what = _differences(("cash", cash, posted_cash), ("held", held, posted_held))
    return names.at(stream_id, "at", venue), f"balance {what} by its postings"


def _holding(names: _Names, row: Row) -> tuple[str, str]:
    stream_id, venue, asset, free, posted_free, held, posted_held = row
    what = _differences(("free", free, posted_free), ("held", held, posted_held))
    return names.at(stream_id, "at", venue, asset), f"holding {what} by its postings"


def _negative_balance(names: _Names, row: Row) -> tuple[str, str]:
    stream_id, venue, cash, held, untold = row
    what = f"cash {_amount(cash)}, held {_amount(held)}, untold {_amount(untold)}: none may be below 0"
    return names.at(stream_id, "at", venue), what + ", untold not above held"


def _negative_holding(names: _Names, row: Row) -> tuple[str, str]:
    stream_id, venue, asset, free, held, untold = row
    what = f"free {_amount(free)}, held {_amount(held)}, untold {_amount(untold)}: none may be below 0"
    return names.at(stream_id, "at", venue, asset), what + ", untold not above held"


def _finished(names: _Names, row: Row) -> tuple[str, str]:
    stream_id, venue, order_id, status, money, contracts = row
    what = f"is {status} and still holds {_amount(money)} dollars and {_amount(contracts)} contracts"
    return names.at(stream_id, "at", venue, order_id), what


def _money_held(names: _Names, row: Row) -> tuple[str, str]:
    stream_id, venue, held, orders, untold, pending = row
    what = _differences(("held", held, orders), ("untold", untold, pending))
    return names.at(stream_id, "at", venue), f"balance {what} by its unfinished and pending orders"


def _contracts_held(names: _Names, row: Row) -> tuple[str, str]:
    stream_id, venue, asset, held, orders, untold, pending = row
    what = _differences(("held", held, orders), ("untold", untold, pending))
    return names.at(stream_id, "at", venue, asset), f"holding {what} by its unfinished and pending orders"


def _filled(names: _Names, row: Row) -> tuple[str, str]:
    stream_id, venue, order_id, filled, fills = row
    return names.at(stream_id, "at", venue, order_id), f"filled is {_amount(filled)}, its fills sum to {_amount(fills)}"


def _orphan_events(_: _Names, row: Row) -> tuple[str, str]:
    return f"stream {row[0]}", f"{row[1]} events belong to it, and it is not there"


_CHECKS: Final = (
    _Check("entries balance", "unbalanced_entries", _unbalanced),
    _Check("postings have entries", "orphan_postings", _orphans),
    _Check("balances are their postings", "balances", _balance),
    _Check("holdings are their postings", "holdings", _holding),
    _Check("no money below zero", "negative_balances", _negative_balance),
    _Check("no contracts below zero", "negative_holdings", _negative_holding),
    _Check("finished orders hold nothing", "finished_orders_that_hold", _finished),
    _Check("money held is held by orders", "money_held", _money_held),
    _Check("contracts held are held by orders", "contracts_held", _contracts_held),
    _Check("orders are filled by their fills", "filled", _filled),
    _Check("events have streams", "orphan_events", _orphan_events),
)
STREAM_CHECK: Final = "streams are 1..N"
SUBMITTED_CHECK: Final = "orders are submitted once"
CHECKS: Final = (*(check.name for check in _CHECKS), STREAM_CHECK, SUBMITTED_CHECK)
"""The name of every check, in the order they are made."""


# ---- streams, in pages


class _EventRow(NamedTuple):
    seq: int
    timestamp: int
    frame: str


class _OrderRow(NamedTuple):
    order_id: str
    venue: str
    submitted: int
    status: str
    created_at: int
    seq: int


class _Counts(NamedTuple):
    streams: int
    events: int
    orders: int
    entries: int


@dataclass(slots=True)
class _Scan:
    """What a scan of one stream has seen up to `seq`; `whole_since` is the time from which the log has no gap.

    `submitted` is what grows with a stream: the ids of orders that its kept events tell submitted.
    """

    owner: str
    seq: int = 0
    timestamp: int = 0
    whole_since: int = -1
    submitted: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)

    def report(self, check: str, where: str, what: str) -> None:
        """Keep a finding, up to `MOST`."""
        if len(self.findings) < MOST:
            self.findings.append(Finding(check, where, what))


async def _audit_streams(store: Store, watch: Watch) -> list[Finding]:
    counts = await store.read(lambda tx: tx.one(_Counts, "audit.counts"))
    total = counts.streams if counts is not None else 0
    found: list[Finding] = []
    after, done = 0, 0
    while page := await store.read(_streams_after(after)):
        after = page[-1].stream_id
        for stream in page:
            watch(Progress(STREAM_CHECK, done, max(total, done + 1)))
            found += await _audit_stream(store, stream)
            done += 1
        if len(found) >= MOST:
            break
    return found[:MOST]


def _streams_after(after: int) -> Callable[[Tx], list[Stream]]:
    return lambda tx: tx.all(Stream, "audit.streams", after, _STREAMS)


async def _audit_stream(store: Store, stream: Stream) -> list[Finding]:
    scan = _Scan(_owner(stream))
    while await store.read(_event_page(stream.stream_id, scan)):
        pass
    after = ""
    while orders := await store.read(_order_page(stream.stream_id, after)):
        after = orders[-1].order_id
        for order in orders:
            _check_submitted(scan, order)
    return scan.findings


def _event_page(stream_id: int, scan: _Scan) -> Callable[[Tx], bool]:
    def unit(tx: Tx) -> bool:
        """Scan the next page; return whether there may be more."""
        stream = log.by_id(tx, stream_id)
        if stream is None:
            return False
        rows = tx.all(_EventRow, "audit.events", stream_id, scan.seq, _EVENTS)
        _check_start(scan, stream, rows)
        for row in rows:
            _check_event(scan, row)
        if len(rows) == _EVENTS:
            return True
        if scan.seq != stream.head:
            scan.report(STREAM_CHECK, scan.owner, f"the newest event is {scan.seq}, the stream's head is {stream.head}")
        elif rows and scan.timestamp != stream.last_timestamp:
            what = f"event {scan.seq} is of {scan.timestamp}, the stream says {stream.last_timestamp}"
            scan.report(STREAM_CHECK, scan.owner, what)
        return False

    return unit


def _check_start(scan: _Scan, stream: Stream, rows: list[_EventRow]) -> None:
    """Look whether a page begins where the last one ended, or where retention has cut meanwhile."""
    if stream.tail > scan.seq + 1:
        scan.seq = stream.tail - 1
        scan.whole_since = rows[0].timestamp if rows else stream.last_timestamp
    if rows and rows[0].seq <= scan.seq:
        scan.report(STREAM_CHECK, scan.owner, f"event {rows[0].seq} is there, the stream begins at {stream.tail}")
        scan.seq = rows[0].seq - 1


def _check_event(scan: _Scan, row: _EventRow) -> None:
    for what in _faults(scan, row):
        scan.report(STREAM_CHECK, f"{scan.owner} event {row.seq}", what)
    scan.seq, scan.timestamp = row.seq, row.timestamp


def _faults(scan: _Scan, row: _EventRow) -> Iterator[str]:
    if row.seq != scan.seq + 1:
        yield f"events {scan.seq + 1} to {row.seq - 1} before it are missing"
    if row.timestamp < scan.timestamp:
        yield f"its time {row.timestamp} is before the one of the event before it, {scan.timestamp}"
    try:
        event = events.decode(row.frame)
    except msgspec.DecodeError as fault:
        yield f"its frame is no event: {fault}"
        return
    if event.seq != row.seq:
        yield f"its frame says seq {event.seq}"
    if event.timestamp != row.timestamp:
        yield f"its frame says time {event.timestamp}, its row {row.timestamp}"
    if isinstance(event, OrderSubmitted):
        if event.order_id in scan.submitted:
            scan.report(SUBMITTED_CHECK, f"{scan.owner} {event.order_id}", f"is told again by event {row.seq}")
        scan.submitted.add(event.order_id)


def _order_page(stream_id: int, after: str) -> Callable[[Tx], list[_OrderRow]]:
    return lambda tx: tx.all(_OrderRow, "audit.orders", stream_id, after, _EVENTS)


def _check_submitted(scan: _Scan, order: _OrderRow) -> None:
    """Compare an order with what the scanned events tell; one that changed after the scan is left for next time."""
    if order.seq > scan.seq:
        return
    where, told = f"{scan.owner} {order.order_id}", order.order_id in scan.submitted
    kept = scan.whole_since < 0 or order.created_at > scan.whole_since
    if order.submitted and not told and kept:
        scan.report(SUBMITTED_CHECK, where, "the venue has it, and no event tells it submitted")
    elif told and not order.submitted:
        scan.report(SUBMITTED_CHECK, where, f"is told submitted, and its row ({order.status}) denies it")
    elif not order.submitted and order.status not in ("pending", "unconfirmed", "rejected"):
        scan.report(SUBMITTED_CHECK, where, f"is {order.status}, and the venue never had it")


# ---- the small parts


def _row(*columns: Column) -> Row:
    return columns


def _owner(stream: Stream) -> str:
    return f"{stream.app_id}/{stream.user_id}"


def _int(value: Column) -> int:
    # PostgreSQL answers SUM of BIGINT with a NUMERIC
    return int(value or 0)


def _amount(value: Column) -> str:
    return format_amount(_int(value))


def _differences(*pairs: tuple[str, Column, Column]) -> str:
    """Say each pair that differs: a name, what the row says, what it should be."""
    wrong = [(name, is_, should) for name, is_, should in pairs if is_ != should]
    return ", ".join(f"{name} is {_amount(is_)}, and {_amount(should)}" for name, is_, should in wrong)
