"""The audit of our books against a venue's: the same fills, the same money."""

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from oddswire.money import format_amount
from oddswire.orders import records
from oddswire.orders.audit import MOST, Finding
from oddswire.store.base import Store, Tx
from oddswire.venues.base import Account, Evidence, Venue

VENUE_CHECK: Final = "our books are the venue's"
_PAGE: Final = 500
_TRIES: Final = 5
_TRY_AGAIN_SECONDS: Final = 0.05


class _AccountRow(NamedTuple):
    stream_id: int
    app_id: str
    user_id: str
    cursor: int | None


class _Terms(NamedTuple):
    price: int
    size: int
    fee: int
    reversed: bool


_Fills = dict[tuple[str, str], _Terms]


class _Ours(NamedTuple):
    cursor: int
    wallet: int
    fills: _Fills


async def audit_venue(store: Store, venue: Venue, watch: Callable[[int], None] = lambda _: None) -> list[Finding]:
    """Compare every account: each of our fills is the venue's, and where we are level, the other way and the money too.

    `watch` is told how many accounts are done.

    Raises:
        NoAnswer: the venue cannot be read.
        Unavailable: the store cannot be read.
    """
    found: list[Finding] = []
    after = done = 0
    while accounts := await store.read(_accounts_after(venue.name, after)):
        after = accounts[-1].stream_id
        for account in accounts:
            found += await _audit_account(store, venue, account)
            if len(found) >= MOST:
                return found[:MOST]
            done += 1
            watch(done)
    return found


async def _audit_account(store: Store, venue: Venue, row: _AccountRow) -> list[Finding]:
    account = Account(row.app_id, row.user_id)
    theirs, ours = await _read_both(store, venue, account, row.stream_id)
    for _ in range(_TRIES):
        if ours.cursor == theirs.cursor:
            break
        # something is on its way between the two: not a finding, and soon over
        await asyncio.sleep(_TRY_AGAIN_SECONDS)
        theirs, ours = await _read_both(store, venue, account, row.stream_id)
    where = f"{row.app_id}/{row.user_id} at {venue.name}"
    return [Finding(VENUE_CHECK, where, what) for what in _differences(theirs, ours)]


async def _read_both(store: Store, venue: Venue, account: Account, stream_id: int) -> tuple[Evidence, _Ours]:
    # ours first: then the venue's books hold all that ours were made of
    ours = await store.read(lambda tx: _ours(tx, stream_id, venue.name))
    return await venue.read(account, None), ours


def _differences(theirs: Evidence, ours: _Ours) -> list[str]:
    fills: _Fills = {
        (fill.venue_order_id, fill.fill_id): _Terms(fill.price, fill.size, fill.fee, fill.reversed)
        for fill in theirs.fills
    }
    level = ours.cursor == theirs.cursor
    found = []
    for key, mine in ours.fills.items():
        its = fills.get(key)
        if its is None:
            found.append(f"fill {key[1]} of its order {key[0]} is ours and not the venue's")
        elif its != mine and (level or not its.reversed):
            found.append(f"fill {key[1]} of its order {key[0]} is {_said(mine)}, at the venue {_said(its)}")
    if not level:
        return found
    found += [f"fill {key[1]} of its order {key[0]} is the venue's and not ours" for key in fills.keys() - ours.fills]
    if theirs.wallet is not None and theirs.wallet != ours.wallet:
        found.append(f"wallet is {format_amount(ours.wallet)}, at the venue {format_amount(theirs.wallet)}")
    return found


def _said(terms: _Terms) -> str:
    undone = ", reversed" if terms.reversed else ""
    return f"{format_amount(terms.size)} at {format_amount(terms.price)}, fee {format_amount(terms.fee)}{undone}"


def _ours(tx: Tx, stream_id: int, venue: str) -> _Ours:
    balance, cursor = records.account(tx, stream_id, venue)
    return _Ours(cursor or 0, balance.wallet, dict(tx.all(_fill, "audit.account_fills", stream_id, venue)))


def _fill(order: str | None, fill: str, price: int, size: int, fee: int, undone: int) -> tuple[tuple[str, str], _Terms]:
    return (order or "", fill), _Terms(price, size, fee, bool(undone))


def _accounts_after(venue: str, after: int) -> Callable[[Tx], list[_AccountRow]]:
    return lambda tx: tx.all(_AccountRow, "ledger.accounts", venue, after, _PAGE)
