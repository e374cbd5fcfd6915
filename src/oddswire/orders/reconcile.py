"""Reconciling: asking the venues what really happened, and recording it.

Three things make it ask: a venue's stream woke us about an account, an order that nobody has been heard on, and its own
slow sweep over every account, which finds what a stream has lost. Start-up is the same work: everything is asked once.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import structlog

from oddswire.clock import Clock
from oddswire.errors import Unavailable
from oddswire.events import Source
from oddswire.orders import records
from oddswire.orders.dispatch import Dispatch
from oddswire.orders.order import Order
from oddswire.orders.pulse import Pulse
from oddswire.patience import Patience
from oddswire.store.base import Store, Tx
from oddswire.streams import log
from oddswire.venues.base import Account, Evidence, Market, NoAnswer, Venue, Wake

_logger = structlog.get_logger("oddswire.reconcile")
CHECK_SECONDS = 1.0
SWEEP_SECONDS = 60.0
QUIET_SECONDS = 0.01
"""How long an account is not read, at most, because an order of it is under way from here."""
AT_ONCE = 16
"""How many accounts of a venue are read at the same time."""
_PAGE = 500


class _AccountRow(NamedTuple):
    stream_id: int
    app_id: str
    user_id: str
    cursor: int | None


@dataclass(frozen=True, slots=True)
class _Due:
    """Why an account is to be read: who noticed, how far the venue said it has come, whether to read it `anyway`."""

    source: Source
    cursor: int = 0
    anyway: bool = False

    def join(self, other: "_Due") -> "_Due":
        """Return both in one: a stream that has told of it counts as having told of it."""
        source: Source = "venue" if "venue" in (self.source, other.source) else "reconciled"
        return _Due(source, max(self.cursor, other.cursor), self.anyway or other.anyway)


class Reconciler:
    """One venue's reconciler; `run` it as a task, cancel it to stop.

    `pulse` is how the venue is doing; `on_pulse` is told its name and that when it changes.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        venue: Venue,
        clock: Clock,
        dispatch: Dispatch,
        on_pulse: Callable[[str, Pulse], None],
    ) -> None:
        self._store = store
        self._name = name
        self._venue = venue
        self._clock = clock
        self._dispatch = dispatch
        self._on_pulse = on_pulse
        self.pulse = Pulse(clock.now())
        dispatch.on_heard(name, self._heard)
        dispatch.on_quiet(self._quiet)
        self._held: Patience[Account, tuple[Account, _Due]] = Patience(QUIET_SECONDS, self._release)
        self._unread: dict[Account, _Due] = {}
        self._dirty: dict[Account, _Due] = {}
        self._reading: set[Account] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._room = asyncio.Event()
        self._room.set()

    async def run(self) -> None:
        """Follow the venue until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen())
                group.create_task(self._repeat(self._check, CHECK_SECONDS))
                group.create_task(self._sweep_forever())
        finally:
            self._dirty.clear()
            self._held.clear()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def sweep(self) -> None:
        """Ask about every account of this venue, and open one for each user who has none here yet."""
        async for account in self._accounts("ledger.accounts"):
            self._mark(account, _Due("reconciled", anyway=True))
            await self._room.wait()
        async for account in self._accounts("ledger.without_account"):
            await self._dispatch.record(self._name, await self._venue.open_account(account), "reconciled")

    async def level(self) -> None:
        """Return once nothing that has been noticed so far waits to be asked."""
        await self._idle.wait()

    # ---- what wakes us

    async def _sweep_forever(self) -> None:
        # the first sweep is the venue's first wake
        await asyncio.sleep(SWEEP_SECONDS)
        await self._repeat(self.sweep, SWEEP_SECONDS)

    async def _listen(self) -> None:
        while True:
            try:
                async for wake in self._venue.wakes():
                    await self._hear(wake)
            except (NoAnswer, Unavailable) as fault:
                # listening anew begins with a wake for everybody, so nothing is missed
                self._missed(fault)
                await asyncio.sleep(CHECK_SECONDS)

    async def _hear(self, wake: Wake) -> None:
        if wake.markets:
            await self._list_markets()
        elif wake.account is None:
            await self._list_markets()
            await self.sweep()
        elif wake.cursor is None or self._dispatch.known(self._name, wake.account) < wake.cursor:
            due = _Due("venue", wake.cursor or 0, anyway=wake.cursor is None)
            if not due.anyway and self._dispatch.busy(wake.account):
                # what this node is being answered tells the same, and is being recorded
                self._hold(wake.account, due)
            else:
                self._mark(wake.account, due)

    def _hold(self, account: Account, due: _Due) -> None:
        before = self._held.get(account)
        self._held.begin(account, (account, due if before is None else before[1].join(due)))
        self._idle.clear()

    def _quiet(self, account: Account) -> None:
        held = self._held.end(account)
        if held is not None:
            self._release(held)

    def _release(self, held: tuple[Account, _Due]) -> None:
        account, due = held
        if self._dispatch.known(self._name, account) < due.cursor:
            self._mark(account, due)
        else:
            self._rest()

    def _mark(self, account: Account, due: _Due) -> None:
        _note(self._dirty, account, due)
        self._idle.clear()
        if len(self._dirty) >= _PAGE:
            self._room.clear()
        self._start()

    def _start(self) -> None:
        for account in list(self._dirty):
            if len(self._reading) >= AT_ONCE:
                return
            if account not in self._reading:
                self._reading.add(account)
                task = asyncio.create_task(self._read(account, self._dirty.pop(account)))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _read(self, account: Account, due: _Due) -> None:
        try:
            if not due.anyway and self._dispatch.known(self._name, account) >= due.cursor:
                return
            after = await self._store.read(lambda tx: _cursor_of(tx, account, self._name))
            evidence = await self._venue.read(account, after)
            recorded = await self._dispatch.record(self._name, evidence, due.source)
            self._heard(True)
            if (recorded.cursor or 0) < due.cursor:
                # it told less than there is, as a part of a venue does that lags behind the one that woke us
                _note(self._unread, account, due)
        except (NoAnswer, Unavailable) as fault:
            self._missed(fault)
            _note(self._unread, account, due)
        except Exception:
            # one account's trouble must not stop the others; the next wake or sweep reads it again
            _logger.exception("reconcile_failed", venue=self._name, user=account.user)
        finally:
            self._reading.discard(account)
            self._start()
            if len(self._dirty) < _PAGE:
                self._room.set()
            self._rest()

    def _rest(self) -> None:
        if not self._dirty and not self._reading and not self._held:
            self._idle.set()

    # ---- orders nobody has been heard on, cancels nobody has taken

    async def _check(self) -> None:
        for account, due in self._unread.items():
            self._mark(account, due)
        self._unread.clear()
        async for order in self._pages("orders.unsettled"):
            if order.status == "unconfirmed" or not self._dispatch.is_sending(order.order_id):
                try:
                    await self._ask(order)
                except (NoAnswer, Unavailable):
                    raise
                except Exception:
                    # one order's trouble must not keep the others from being asked for
                    _logger.exception("reconcile_failed", venue=self._name, order=order.order_id)
        async for order in self._pages("orders.cancel_wanted"):
            self._dispatch.send_cancel(await self._account_of(order), order)

    async def _ask(self, order: Order) -> None:
        """Ask the venue for one order; "not found" is an answer only when it can no longer arrive."""
        evidence = await self._venue.find(await self._account_of(order), order.order_id)
        self._heard(True)
        if evidence.orders:
            await self._dispatch.record(self._name, evidence, "reconciled")
        elif _never_arrived(evidence, order, self._venue.signature_window):
            await self._dispatch.reject(order, "not_sent")
        elif order.status == "pending" and self._clock.now() > order.mark_deadline:
            await self._dispatch.unconfirm(order)

    async def _account_of(self, order: Order) -> Account:
        stream = await self._store.read(lambda tx: log.by_id(tx, order.stream_id))
        if stream is None:
            raise LookupError(f"order {order.order_id} belongs to no stream")
        return Account(stream.app_id, stream.user_id)

    async def _list_markets(self) -> None:
        apps = await self._store.read(lambda tx: tx.all(str, "ledger.market_scopes", self._name))
        for app in apps:
            after: str | None = None
            while markets := await self._venue.markets(app, after, 100):
                after = markets[-1].market_id
                await self._store.write(_save_listings(app, self._name, markets))

    # ---- the small parts

    async def _repeat(self, work: Callable[[], Coroutine[None, None, None]], seconds: float) -> None:
        """Work at once and then every `seconds`; what fails is said and done again."""
        while True:
            try:
                await work()
            except (NoAnswer, Unavailable) as fault:
                self._missed(fault)
            except Exception:
                _logger.exception("reconcile_failed", venue=self._name)
            await asyncio.sleep(seconds)

    def _heard(self, answered: bool) -> None:
        now = self._clock.now()
        if self.pulse.answered(now) if answered else self.pulse.silent(now):
            self._on_pulse(self._name, self.pulse)

    def _missed(self, fault: NoAnswer | Unavailable) -> None:
        if isinstance(fault, NoAnswer):
            _logger.warning("venue_did_not_answer", venue=self._name, fault=str(fault))
            self._heard(False)
        else:
            _logger.warning("reconcile_postponed", venue=self._name, fault=str(fault))

    async def _pages(self, name: str) -> AsyncIterator[Order]:
        after = ""
        while orders := await self._store.read(_page_of(name, after, self._name)):
            after = orders[-1].order_id
            for order in orders:
                yield order

    async def _accounts(self, name: str) -> AsyncIterator[Account]:
        after = 0
        while rows := await self._store.read(_accounts_of(name, self._name, after)):
            after = rows[-1].stream_id
            for row in rows:
                yield Account(row.app_id, row.user_id)


def _note(dues: dict[Account, _Due], account: Account, due: _Due) -> None:
    before = dues.get(account)
    dues[account] = due if before is None else before.join(due)


def _page_of(name: str, after: str, venue: str) -> Callable[[Tx], list[Order]]:
    return lambda tx: tx.all(Order, name, after, venue, _PAGE)


def _accounts_of(name: str, venue: str, after: int) -> Callable[[Tx], list[_AccountRow]]:
    return lambda tx: tx.all(_AccountRow, name, venue, after, _PAGE)


def _save_listings(app: str, venue: str, markets: Sequence[Market]) -> Callable[[Tx], None]:
    def unit(tx: Tx) -> None:
        for market in markets:
            records.save_listing(tx, app, venue, market)

    return unit


def _cursor_of(tx: Tx, account: Account, venue: str) -> int | None:
    stream = log.find(tx, account.app, account.user)
    return None if stream is None else records.open_books(tx, stream, venue).cursor


def _never_arrived(evidence: Evidence, order: Order, window: int) -> bool:
    return evidence.as_of > order.mark_deadline + window
