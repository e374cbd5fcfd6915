"""Dispatch: carries committed orders and cancels to their venues, once, and records what comes back.

An order has a sending mark from its first commit: this node, and a deadline. It is written to the venue at most once,
by the node that committed it and only before the deadline; everybody else asks the venue instead (see `reconcile`).
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from typing import NamedTuple

import structlog

from oddswire.clock import Clock
from oddswire.errors import Denied, Unavailable
from oddswire.events import Source
from oddswire.orders import recording, records
from oddswire.orders.order import Order
from oddswire.orders.recording import Recorded
from oddswire.patience import Patience
from oddswire.store.base import Store, Tx
from oddswire.streams import log
from oddswire.venues.base import Account, Evidence, NoAnswer, OrderRequest, Venue, VenueRejected

CANCELS_AT_ONCE = 32
"""How many cancels are on their way at the same time."""
REMEMBERED = 100_000
"""How many accounts' cursors are remembered; forgetting one costs a read."""
_logger = structlog.get_logger("oddswire.dispatch")


Told = Callable[[Order], None]
"""Takes the order as it is once its venue has been heard on it, or has not been in time."""


class _Answer(NamedTuple):
    """What is waited for: the order as it was sent, and who waits."""

    order: Order
    told: list[Told]

    def tell(self, order: Order) -> None:
        for told in self.told:
            told(order)


class Dispatch:
    """What is on its way to the venues from this node.

    `node` is its name in sending marks, `answer_within` how many seconds anybody waits to hear of an order.
    """

    def __init__(
        self, store: Store, venues: Mapping[str, Venue], clock: Clock, node: str, answer_within: float
    ) -> None:
        self._store = store
        self._venues = venues
        self._clock = clock
        self.node = node
        self._answers: Patience[str, _Answer] = Patience(answer_within, self._overdue)
        self._sending: set[str] = set()
        self._busy: Counter[Account] = Counter()
        self._cursors: dict[tuple[str, Account], int] = {}
        self._cancels = asyncio.Semaphore(CANCELS_AT_ONCE)
        self._canceling: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listeners: dict[str, Callable[[bool], None]] = {}
        self._quiet_listeners: list[Callable[[Account], None]] = []

    def on_heard(self, venue: str, listener: Callable[[bool], None]) -> None:
        """Call `listener` after each place and cancel sent to a venue, with whether it answered, be it with a no."""
        self._listeners[venue] = listener

    def wait(self, order: Order, told: Told) -> None:
        """Have `told` called with the order once its venue has been heard on it, or has not been in time."""
        waiting = self._answers.get(order.order_id)
        if waiting is None:
            self._answers.begin(order.order_id, _Answer(order, [told]))
        else:
            waiting.told.append(told)

    def wait_no_more(self) -> None:
        """Tell everybody who waits that nothing has been heard yet; orders that are sent stay on their way."""
        for answer in self._answers.clear():
            answer.tell(answer.order)

    def is_sending(self, order_id: str) -> bool:
        """Tell whether this node is waiting for the venue's own answer to that order."""
        return order_id in self._sending

    def known(self, venue: str, account: Account) -> int:
        """Return how far this node knows an account at a venue to be recorded; -1 where it has forgotten."""
        return self._cursors.get((venue, account), -1)

    def busy(self, account: Account) -> bool:
        """Tell whether an order of that account is under way from here."""
        return account in self._busy

    def on_quiet(self, listener: Callable[[Account], None]) -> None:
        """Call `listener` with each account that is not busy any more."""
        self._quiet_listeners.append(listener)

    async def send(self, account: Account, order: Order) -> None:
        """Send a committed order now, and record what its venue answers, however late."""
        left = (order.mark_deadline - self._clock.now()) / 1000
        deadline = self._clock.monotonic() + left
        self._sending.add(order.order_id)
        self._busy[account] += 1
        try:
            await self._place(account, order, deadline)
        except Unavailable as fault:
            # it stays `pending`: the reconciler asks the venue once the store takes work again
            _logger.warning("answer_not_recorded", order=order.order_id, fault=fault.detail)
            self._tell(order)
        finally:
            self._sending.discard(order.order_id)
            self._busy[account] -= 1
            if not self._busy[account]:
                del self._busy[account]
                for listener in self._quiet_listeners:
                    listener(account)

    def send_cancel(self, account: Account, order: Order) -> None:
        """Send the cancel of an order that wants one, in the background; waits until the venue has the order."""
        if order.venue_order_id is None or order.finished or order.order_id in self._canceling:
            return
        self._canceling.add(order.order_id)
        self.carry(self._send_cancel(account, order, order.venue_order_id))

    async def record(self, venue: str, evidence: Evidence, source: Source) -> Recorded:
        """Merge evidence into our books, in one unit; then answer those who wait and send the cancels it allows.

        Raises:
            Unavailable: nothing was stored.
        """

        def unit(tx: Tx) -> Recorded:
            return recording.record(tx, self._store.history_id, venue, evidence, self._clock, source)

        recorded = await self._store.write(unit)
        if recorded.correction:
            _logger.warning(
                "balance_corrected", venue=venue, user=evidence.account.user, millionths=recorded.correction
            )
        if recorded.cursor is not None:
            if len(self._cursors) >= REMEMBERED:
                self._cursors.clear()
            self._cursors[venue, evidence.account] = recorded.cursor
        for order_id in recorded.contradicted:
            _logger.error("rejected_order_at_venue", venue=venue, order=order_id)
        for order in recorded.orders:
            self._settled(order)
            if order.cancel_wanted and not order.finished:
                self.send_cancel(evidence.account, order)
        return recorded

    async def reject(self, order: Order, reason: str) -> Order:
        """Record that the venue never had an order; one that it has been heard on meanwhile stays as it is."""

        def unit(tx: Tx) -> Order:
            return self._change(tx, order.order_id, reason)

        stored = await self._store.write(unit)
        self._settled(stored)
        return stored

    async def unconfirm(self, order: Order) -> Order:
        """Record that the venue has not answered in time, unless it just has."""

        def unit(tx: Tx) -> Order:
            return self._change(tx, order.order_id, None)

        stored = await self._store.write(unit)
        self._settled(stored)
        return stored

    async def list_market(self, venue: str, app_id: str, market_id: str) -> None:
        """Ask a venue for a market and keep what it says.

        Raises:
            Denied: `unknown_market`.
            Unavailable: `venue_unavailable`.
        """
        try:
            market = await self._venues[venue].market(app_id, market_id)
        except NoAnswer as fault:
            raise Unavailable("venue_unavailable", f"{venue} does not answer: {fault}") from fault
        if market is None:
            raise Denied("unknown_market", f"{venue} has no market {market_id!r}.", path="$.marketId")
        found = market
        await self._store.write(lambda tx: records.save_listing(tx, app_id, venue, found))

    def carry(self, work: Coroutine[None, None, None]) -> None:
        """Do this in the background until it ends, or until `stop`."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def stop(self) -> None:
        """Drop what is under way; start-up asks the venues what became of it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ---- one order's way

    async def _place(self, account: Account, order: Order, deadline: float) -> None:
        if self._clock.monotonic() >= deadline:
            await self.reject(order, "not_sent")
            return
        try:
            evidence = await self._venues[order.venue].place(account, _request(order))
        except VenueRejected as said:
            self._tell_heard(order.venue, True)
            await self.reject(order, said.code)
        except NoAnswer as fault:
            _logger.warning("venue_did_not_answer", venue=order.venue, order=order.order_id, fault=str(fault))
            self._tell_heard(order.venue, False)
            await self.unconfirm(order)
        else:
            self._tell_heard(order.venue, True)
            await self.record(order.venue, evidence, "venue")

    async def _send_cancel(self, account: Account, order: Order, venue_order_id: str) -> None:
        try:
            async with self._cancels:
                await self._cancel(account, order, venue_order_id)
        except (NoAnswer, Unavailable) as fault:
            if isinstance(fault, NoAnswer):
                self._tell_heard(order.venue, False)
            # the wish is stored: the next check sends it again
            _logger.warning("cancel_postponed", venue=order.venue, order=order.order_id, fault=str(fault))
        finally:
            self._canceling.discard(order.order_id)

    async def _cancel(self, account: Account, order: Order, venue_order_id: str) -> None:
        try:
            evidence = await self._venues[order.venue].cancel(account, venue_order_id)
        except VenueRejected as said:
            self._tell_heard(order.venue, True)
            await self._refuse_cancel(order.order_id, said.code)
        else:
            self._tell_heard(order.venue, True)
            await self.record(order.venue, evidence, "venue")

    async def _refuse_cancel(self, order_id: str, reason: str) -> None:
        def unit(tx: Tx) -> None:
            order = _stored(tx, order_id)
            if not order.cancel_wanted:
                return
            stream = log.by_id(tx, order.stream_id)
            assert stream is not None
            opened = records.open_books(tx, stream, order.venue)
            telling = recording.begin(opened, order.venue, self._clock, "venue")
            telling.refuse_cancel(order, reason)
            telling.finish()
            records.save(tx, self._store.history_id, opened, telling)

        await self._store.write(unit)

    def _change(self, tx: Tx, order_id: str, reject_for: str | None) -> Order:
        """Reject a `pending` or `unconfirmed` order for a reason, or unconfirm a `pending` one (None)."""
        order = _stored(tx, order_id)
        if order.status not in ("pending", "unconfirmed") or (reject_for is None and order.status != "pending"):
            return order
        stream = log.by_id(tx, order.stream_id)
        assert stream is not None
        opened = records.open_books(tx, stream, order.venue)
        telling = recording.begin(opened, order.venue, self._clock, "venue")
        order = recording.open_order(tx, opened, telling, order)
        if reject_for is None:
            telling.unconfirm(order)
        else:
            telling.reject(order, reject_for)
        telling.finish()
        records.save(tx, self._store.history_id, opened, telling)
        return order

    def _tell_heard(self, venue: str, answered: bool) -> None:
        listener = self._listeners.get(venue)
        if listener is not None:
            listener(answered)

    def _settled(self, order: Order) -> None:
        if order.status != "pending":
            self._tell(order)

    def _tell(self, order: Order) -> None:
        answer = self._answers.end(order.order_id)
        if answer is not None:
            answer.tell(order)

    def _overdue(self, answer: "_Answer") -> None:
        self.carry(self._give_up(answer))

    async def _give_up(self, answer: "_Answer") -> None:
        order = answer.order
        try:
            order = await self.unconfirm(order)
        except Unavailable as fault:
            # the intent is stored, so the order is taken; what became of it is found out once the store works again
            _logger.warning("answer_not_recorded", order=order.order_id, fault=fault.detail)
        finally:
            answer.tell(order)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            # the order stays `pending` or wanting its cancel: the reconciler's next check takes it up
            _logger.error("dispatch_failed", exc_info=fault)


def _stored(tx: Tx, order_id: str) -> Order:
    order = records.order_by_id(tx, order_id)
    if order is None:
        raise LookupError(f"order {order_id} is not stored")
    return order


def _request(order: Order) -> OrderRequest:
    return OrderRequest(
        ref=order.order_id,
        market_id=order.market_id,
        outcome_id=order.outcome_id,
        side=order.side,
        price=order.price,
        size=order.size,
        time_in_force=order.time_in_force,
        expires_at=order.expires_at,
        post_only=bool(order.post_only),
        deadline=order.mark_deadline,
    )
