"""What every venue adapter must show, as plain functions that raise `AssertionError`: run them against each one.

A `Stage` names a venue with a market in which nobody quotes, and two accounts that have been opened, with money.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from oddswire.venues.base import Account, Evidence, OrderRequest, Venue, VenueRejected

ONE = 1_000_000


@dataclass
class Stage:
    """Where the suite plays; `now` tells the venue's time in ms."""

    venue: Venue
    now: Callable[[], int]
    app: str
    market_id: str
    buyer: Account
    seller: Account
    count: int = field(default=0)

    def request(
        self, outcome: str, price: int, size: int, *, ref: str | None = None, late: bool = False
    ) -> OrderRequest:
        """Return an order to buy `size` contracts of an outcome, valid for five seconds unless `late`."""
        self.count += 1
        return OrderRequest(
            ref=ref or f"suite-{self.count}",
            market_id=self.market_id,
            outcome_id=outcome,
            side="buy",
            price=price,
            size=size,
            time_in_force="gtc",
            expires_at=None,
            post_only=False,
            deadline=self.now() + (-1_000 if late else 5_000),
        )


async def an_answer_holds_the_order_it_is_about(stage: Stage) -> None:
    """`place` tells the order under our ref, resting and unfilled."""
    request = stage.request("yes", 400_000, ONE)
    [report] = (await stage.venue.place(stage.buyer, request)).orders
    assert (report.ref, report.state, report.filled, report.size) == (request.ref, "open", 0, ONE)


async def a_ref_is_taken_once(stage: Stage) -> None:
    """The same request again is the same order."""
    request = stage.request("yes", 400_000, ONE)
    first = await stage.venue.place(stage.buyer, request)
    again = await stage.venue.place(stage.buyer, request)
    assert [report.venue_order_id for report in again.orders] == [report.venue_order_id for report in first.orders]


async def a_late_request_is_refused_so_that_not_found_is_final(stage: Stage) -> None:
    """After its deadline and window an unknown ref never becomes an order."""
    request = stage.request("yes", 400_000, ONE, late=True)
    evidence = await stage.venue.find(stage.buyer, request.ref)
    assert not evidence.orders
    assert evidence.as_of > request.deadline
    try:
        await stage.venue.place(stage.buyer, request)
    except VenueRejected:
        assert not (await stage.venue.find(stage.buyer, request.ref)).orders
    else:
        raise AssertionError("an order was taken after its deadline")


async def both_sides_of_a_match_are_told(stage: Stage) -> None:
    """The one who took is told in the answer, the other in a read; each price is of its own outcome."""
    before = (await stage.venue.read(stage.buyer, None)).cursor
    rests = stage.request("yes", 450_000, 2 * ONE)
    await stage.venue.place(stage.buyer, rests)
    taken = await stage.venue.place(stage.seller, stage.request("no", 550_000, 2 * ONE))
    assert [(fill.price, fill.size) for fill in taken.fills] == [(550_000, 2 * ONE)]
    told = await stage.venue.read(stage.buyer, before)
    assert [(fill.price, fill.size) for fill in told.fills] == [(450_000, 2 * ONE)]
    assert [report.state for report in told.orders if report.ref == rests.ref] == ["filled"]


async def cursors_leave_no_gap(stage: Stage) -> None:
    """Where the venue counts, each answer goes on where the one before ended, and a read after it tells nothing."""
    before = await stage.venue.read(stage.buyer, None)
    if before.cursor is None:
        return
    answer = await stage.venue.place(stage.buyer, stage.request("yes", 300_000, ONE))
    assert answer.previous == before.cursor
    rest = await stage.venue.read(stage.buyer, answer.cursor)
    assert _tells_nothing(rest), rest


async def a_cancel_may_be_repeated_and_a_finished_order_may_not_be_canceled(stage: Stage) -> None:
    """The second cancel is answered as the first; a filled order is refused."""
    placed = await stage.venue.place(stage.buyer, stage.request("yes", 310_000, ONE))
    order_id = placed.orders[0].venue_order_id
    for _ in range(2):
        [report] = (await stage.venue.cancel(stage.buyer, order_id)).orders
        assert report.state == "canceled"
    try:
        await stage.venue.cancel(stage.seller, order_id)
    except VenueRejected:
        return
    raise AssertionError("somebody else's order was canceled")


async def what_cannot_be_taken_is_rejected(stage: Stage) -> None:
    """An unknown market or too little money is the venue's no, and leaves nothing."""
    before = await stage.venue.read(stage.buyer, None)
    for market_id, size in (("no-such-market", ONE), (stage.market_id, 10**12)):
        good = stage.request("yes", 990_000, size)
        request = OrderRequest(
            **{**{name: getattr(good, name) for name in good.__struct_fields__}, "market_id": market_id}
        )
        try:
            await stage.venue.place(stage.buyer, request)
        except VenueRejected:
            continue
        raise AssertionError(f"an order of {size} in {market_id} was taken")
    after = await stage.venue.read(stage.buyer, None)
    assert (after.orders, after.wallet) == (before.orders, before.wallet)


def _tells_nothing(evidence: Evidence) -> bool:
    return not (evidence.orders or evidence.fills or evidence.transfers or evidence.settlements)


SUITE: tuple[Callable[[Stage], Awaitable[None]], ...] = (
    an_answer_holds_the_order_it_is_about,
    a_ref_is_taken_once,
    a_late_request_is_refused_so_that_not_found_is_final,
    both_sides_of_a_match_are_told,
    cursors_leave_no_gap,
    a_cancel_may_be_repeated_and_a_finished_order_may_not_be_canceled,
    what_cannot_be_taken_is_rejected,
)
"""Every behaviour, each to be run on a stage of its own."""
