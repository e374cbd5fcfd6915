"""The desk: takes users' orders and cancels, and answers for them.

An order is three units of work: the intent (`pending`, its hold and its sending mark, committed silently), the venue's
own, and the record of what the venue answered. Whatever a caller does, an intent once committed is carried to its end.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, Literal, NamedTuple, TypeVar

import structlog
from msgspec import Struct

from oddswire.clock import Clock
from oddswire.errors import Conflict, Denied, Missing, Unavailable
from oddswire.ids import new_id
from oddswire.money import parse_amount
from oddswire.orders import checks, recording, records, views
from oddswire.orders.dispatch import Dispatch
from oddswire.orders.order import BY_ABSENCE, BY_USER, Order
from oddswire.store.base import Store, Tx
from oddswire.streams import disconnects, log
from oddswire.streams.countdown import Absent
from oddswire.venues.base import Account, NoAnswer, Venue
from oddswire.wire import bodies

T = TypeVar("T")
_logger = structlog.get_logger("oddswire.desk")
CANCELED_AT_ONCE = 200
"""How many orders of a cancel-all are marked in one unit of work, so that it holds up nobody else."""
SEND_WINDOW = 5_000
"""How long after its intent (ms) an order may leave for its venue."""


class Placed(Struct, frozen=True):
    """What became of a place: the order, whether it had been placed before, and how far it has come.

    `taken`: the venue has it (201). `unconfirmed`: no answer yet (202). `rejected`: the venue said no (422).
    """

    order: bodies.Order
    outcome: Literal["taken", "unconfirmed", "rejected"]
    replay: bool


class _Terms(NamedTuple):
    """What is wanted, its amounts as numbers, and by which session."""

    wanted: bodies.PlaceOrder
    price: int
    size: int
    session_id: str | None


class _MarketNotListed(Exception):
    """We have not been told of this market yet: the venue must be asked."""


class Desk:
    """Orders of every user at every venue."""

    def __init__(self, store: Store, venues: Mapping[str, Venue], clock: Clock, dispatch: Dispatch) -> None:
        self._store = store
        self._venues = venues
        self._clock = clock
        self._dispatch = dispatch
        self._work: set[asyncio.Future[Any]] = set()
        self._open = True

    async def open_user(self, app_id: str, user_id: str) -> None:
        """Make sure a user has a stream, and an account at every venue, with what it holds there booked and told.

        Raises:
            Unavailable: `store_unavailable`.
        """
        account = Account(app_id, user_id)
        known = await self._store.read(lambda tx: _venues_of(tx, account))
        for name, venue in self._venues.items():
            if name in known:
                continue
            try:
                evidence = await venue.open_account(account)
            except NoAnswer as fault:
                # one venue's silence keeps nobody from signing in; the next sign-in asks again
                _logger.warning("venue_did_not_answer", venue=name, fault=str(fault))
            else:
                await self._dispatch.record(name, evidence, "venue")

    async def place(
        self, app_id: str, user_id: str, wanted: bodies.PlaceOrder, session_id: str | None = None
    ) -> Placed:
        """Place an order, and return once the venue has answered or the dispatch's `answer_within` has passed.

        `session_id` is the session it is then said to be of, which counts for cancel on disconnect alone.
        A repeat of a `clientOrderId` waits with the first and returns the order as it then is. A caller that is
        cancelled changes nothing.

        Raises:
            InvalidInput: `invalid_amount`.
            Denied: nothing is stored, nothing held.
            Conflict: `order_conflict`: the `clientOrderId` names an order that differs.
            Unavailable: the server is going down, or the store did not take the intent.
        """
        self._must_be_open()
        checks.check_venue(wanted.venue, self._venues, "$.venue")
        price, size = parse_amount(bytes(wanted.price), "$.price"), parse_amount(bytes(wanted.size), "$.size")
        terms = _Terms(wanted, price, size, session_id)
        answer: asyncio.Future[Placed] = asyncio.get_running_loop().create_future()
        self._work.add(answer)
        try:
            self._dispatch.carry(self._place(Account(app_id, user_id), terms, answer))
            return await answer
        finally:
            self._work.discard(answer)

    async def cancel(self, app_id: str, user_id: str, order_id: str) -> bodies.Order:
        """Take a request to cancel: kept, and sent as soon as the venue has the order.

        Raises:
            Missing: this user has no such order.
            Conflict: `order_finished`.
        """
        return await self._carry(self._cancel(Account(app_id, user_id), order_id))

    async def cancel_all(self, app_id: str, user_id: str, wanted: bodies.CancelAll) -> list[str]:
        """Take a request to cancel every unfinished order (of a venue, of a market); return their ids.

        Raises:
            Denied: `unknown_venue`, `unknown_market`: whoever mistyped a name must not believe that all is canceled.
        """
        return await self._carry(self._cancel_all(Account(app_id, user_id), wanted))

    async def cancel_absent(self, absent: Absent) -> int | None:
        """Take the wish of a session that has been gone too long, and with it cancel all it has open, in one unit.

        Returns how many orders; None, and nothing is done, where the session has come back.

        Raises:
            Unavailable: nothing is stored; it may be tried again, also after a restart.
        """
        return await self._carry(self._cancel_absent(absent))

    async def stop(self, seconds: float) -> None:
        """Take nothing more, and give what is under way `seconds` to end; start-up carries on with the rest.

        Who then waits for a venue is answered as by one that has not answered in time: the intent is stored.
        """
        self._open = False
        if self._work:
            await asyncio.wait(self._work, timeout=seconds)
        self._dispatch.wait_no_more()

    def _must_be_open(self) -> None:
        if not self._open:
            raise Unavailable("draining", "This server is going down and takes no more orders.")

    async def _carry(self, work: Coroutine[None, None, T]) -> T:
        try:
            self._must_be_open()
        except Unavailable:
            work.close()
            raise
        task = asyncio.ensure_future(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        return await asyncio.shield(task)

    # ---- place

    async def _place(self, account: Account, terms: "_Terms", answer: "asyncio.Future[Placed]") -> None:
        """Take an order from its intent to its end, whatever becomes of who waits for `answer`."""

        def told(order: Order) -> None:
            if not answer.done():
                answer.set_result(_placed(order, replay))

        try:
            order, replay = await self._intend(account, terms)
        except asyncio.CancelledError:
            answer.cancel()
            raise
        except Exception as fault:
            if not answer.done():
                answer.set_exception(fault)
            return
        if replay and order.status != "pending":
            told(order)
            return
        self._dispatch.wait(order, told)
        if not replay:
            await self._dispatch.send(account, order)

    async def _intend(self, account: Account, terms: "_Terms") -> tuple[Order, bool]:
        def unit(tx: Tx) -> tuple[Order, bool]:
            return self._intent(tx, account, terms)

        try:
            return await self._store.write(unit)
        except _MarketNotListed:
            await self._dispatch.list_market(terms.wanted.venue, account.app, terms.wanted.market_id)
        return await self._store.write(unit)

    def _intent(self, tx: Tx, account: Account, terms: "_Terms") -> tuple[Order, bool]:
        wanted = terms.wanted
        opened = records.open_user(tx, account, wanted.venue, self._clock.now())
        stream = opened.stream
        if wanted.client_order_id is not None:
            known = tx.one(Order, "orders.by_client_id", stream.stream_id, wanted.client_order_id)
            if known is not None:
                _compare(known, wanted, terms.price, terms.size)
                return known, True
        market = records.listing(tx, account.app, wanted.venue, wanted.market_id)
        if market is None:
            raise _MarketNotListed
        telling = recording.begin(opened, wanted.venue, self._clock, "venue")
        order = self._new_order(stream.stream_id, terms, market.fee, telling.timestamp)
        checks.check_order(order, market, telling.timestamp)
        holding = records.open_holding(tx, opened, order.venue, order.market_id, order.outcome_id)
        checks.check_means(order, opened.books.balance, holding)
        telling.intend(order)
        records.save(tx, self._store.history_id, opened, telling)
        return order, False

    def _new_order(self, stream_id: int, terms: "_Terms", fee: int, now: int) -> Order:
        wanted = terms.wanted
        return Order(
            order_id=new_id("ord", now),
            stream_id=stream_id,
            venue=wanted.venue,
            market_id=wanted.market_id,
            outcome_id=wanted.outcome_id,
            side=wanted.side,
            price=terms.price,
            size=terms.size,
            time_in_force=wanted.time_in_force,
            expires_at=wanted.expires_at,
            post_only=int(wanted.post_only),
            fee=fee,
            client_order_id=wanted.client_order_id,
            origin=None,
            status="pending",
            filled=0,
            money_held=0,
            contracts_held=0,
            venue_order_id=None,
            submitted=0,
            cancel_wanted=0,
            error_reason=None,
            mark_node=self._dispatch.node,
            mark_deadline=now + SEND_WINDOW,
            created_at=now,
            timestamp=now,
            seq=0,
            session_id=terms.session_id,
        )

    # ---- cancel

    async def _cancel(self, account: Account, order_id: str) -> bodies.Order:
        def unit(tx: Tx) -> Order:
            stream = log.find(tx, account.app, account.user)
            order = records.order_by_id(tx, order_id)
            if stream is None or order is None or order.stream_id != stream.stream_id:
                raise Missing(f"There is no order {order_id!r}.", path="$.orderId")
            if order.finished:
                raise Conflict("order_finished", f"The order is {order.status}.", order=views.order_body(order))
            _want_cancel(tx, order)
            return order

        order = await self._store.write(unit)
        self._dispatch.send_cancel(account, order)
        return views.order_body(order)

    async def _cancel_all(self, account: Account, wanted: bodies.CancelAll) -> list[str]:
        def unit(tx: Tx) -> list[Order]:
            stream = log.find(tx, account.app, account.user)
            if stream is None:
                return []
            live = tx.all(Order, "orders.live", stream.stream_id, after, CANCELED_AT_ONCE)
            for order in live:
                if _matches(order, wanted):
                    _want_cancel(tx, order)
            return live

        if wanted.venue is not None:
            checks.check_venue(wanted.venue, self._venues, "$.venue")
        after, taken = views.NEWEST, list[str]()
        while live := await self._store.write(unit):
            after = live[-1].order_id
            for order in live:
                if order.cancel_wanted and _matches(order, wanted):
                    self._dispatch.send_cancel(account, order)
                    taken.append(order.order_id)
        if not taken and wanted.market_id is not None:
            await self._check_market(account.app, wanted.venue, wanted.market_id)
        return taken

    async def _check_market(self, app_id: str, venue: str | None, market_id: str) -> None:
        """Check that a venue has such a market, unless it cannot be asked now."""
        for name in [venue] if venue is not None else self._venues:
            try:
                if await self._venues[name].market(app_id, market_id) is not None:
                    return
            except NoAnswer:
                return
        raise Denied("unknown_market", f"There is no market {market_id[:100]!r} here.", path="$.marketId")

    async def _cancel_absent(self, absent: Absent) -> int | None:
        def unit(tx: Tx) -> list[Order] | None:
            if not disconnects.spend(tx, absent):
                return None
            stream = log.find(tx, absent.app_id, absent.user_id)
            if stream is None:
                return []
            return tx.all(Order, "orders.want_cancel_of_session", stream.stream_id, absent.session_id, BY_ABSENCE)

        orders = await self._store.write(unit)
        if orders is None:
            return None
        for order in orders:
            self._dispatch.send_cancel(Account(absent.app_id, absent.user_id), order)
        return len(orders)


def _placed(order: Order, replay: bool) -> Placed:
    outcome: Literal["taken", "unconfirmed", "rejected"] = "taken"
    if order.status in ("pending", "unconfirmed"):
        outcome = "unconfirmed"
    elif order.status == "rejected":
        outcome = "rejected"
    return Placed(views.order_body(order), outcome, replay)


def _venues_of(tx: Tx, account: Account) -> set[str]:
    stream = log.find(tx, account.app, account.user)
    return set() if stream is None else {row.venue for row in views.balance_rows(tx, stream.stream_id)}


def _want_cancel(tx: Tx, order: Order) -> None:
    order.cancel_wanted = BY_USER
    tx.run("orders.want_cancel", order.order_id, BY_USER)


def _matches(order: Order, wanted: bodies.CancelAll) -> bool:
    return (wanted.venue in (None, order.venue)) and (wanted.market_id in (None, order.market_id))


def _compare(known: Order, wanted: bodies.PlaceOrder, price: int, size: int) -> None:
    """Raise `order_conflict` at the first field in which a repeated `clientOrderId` differs, by value."""
    pairs = {
        "venue": (known.venue, wanted.venue),
        "marketId": (known.market_id, wanted.market_id),
        "outcomeId": (known.outcome_id, wanted.outcome_id),
        "side": (known.side, wanted.side),
        "price": (known.price, price),
        "size": (known.size, size),
        "timeInForce": (known.time_in_force, wanted.time_in_force),
        "expiresAt": (known.expires_at, wanted.expires_at),
        "postOnly": (bool(known.post_only), wanted.post_only),
    }
    for name, (before, now) in pairs.items():
        if before != now:
            raise Conflict(
                "order_conflict",
                f"The clientOrderId names order {known.order_id}, whose {name} is another.",
                path=f"$.{name}",
            )
