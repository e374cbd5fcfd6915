"""The paper venue as `venues.base.Venue`: requests in, evidence out, and a stream that wakes."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple

import structlog

from oddswire.clock import Clock
from oddswire.errors import Unavailable
from oddswire.money import ONE
from oddswire.store.base import Store, Tx
from oddswire.venues.base import Account, Evidence, Market, NoAnswer, OrderRequest, OutcomeQuote, Wake
from oddswire.venues.paper import acts, units
from oddswire.venues.paper.acts import Unresolved
from oddswire.venues.paper.book import PaperOrder
from oddswire.venues.paper.config import NO, YES, MarketSpec, PaperConfig
from oddswire.venues.paper.faults import Asked, Faults
from oddswire.venues.paper.floor import MarketRow
from oddswire.venues.paper.units import Request

TICK_SECONDS = 0.25
POLL_SECONDS = 1.0
KEPT_REPORTS = 10_000
GATHER_SECONDS = 0.005
"""The shortest time between two looks for reports: under load they come in handfuls, each look costs a read."""
_logger = structlog.get_logger("oddswire.paper")


class _Report(NamedTuple):
    number: int
    app: str
    account: str
    version: int


class PaperVenue:
    """The venue on a store that holds its tables; `run` expires orders and finishes resolutions.

    `faults` are those it was told to commit, as of the last tick: without `run` it is honest.
    """

    name = "paper"
    title = "Paper"
    signature_window = 0

    def __init__(self, store: Store, clock: Clock, config: PaperConfig, chance: random.Random | None = None) -> None:
        self.faults = Faults(store, chance or random.SystemRandom())
        self._store = store
        self._clock = clock
        self._config = config
        self._news = asyncio.Event()

    async def open_account(self, account: Account) -> Evidence:
        """Open an account with its opening deposit; a repeat changes nothing."""
        return await self._write("open", account, units.open_account)

    async def place(self, account: Account, request: OrderRequest) -> Evidence:
        """Take an order; a repeat of its ref returns what became of it."""
        return await self._write("place", account, lambda asked: units.place(asked, request))

    async def cancel(self, account: Account, venue_order_id: str) -> Evidence:
        """Cancel an order."""
        return await self._write("cancel", account, lambda asked: units.cancel(asked, venue_order_id))

    async def find(self, account: Account, ref: str) -> Evidence:
        """Look an order up by our ref.

        It goes through the writer, behind every request that has begun: a snapshot could miss an order that is being
        taken, and say that it never arrived.
        """
        return await self._write("find", account, lambda asked: units.find(asked, ref))

    async def read(self, account: Account, after: int | None) -> Evidence:
        """Return all that changed after a version, with the wallet."""

        async def work() -> Evidence:
            return await self._store.read(lambda tx: units.evidence(self._request(tx, account), after or 0))

        return await self.faults.answer("read", work)

    async def markets(self, app: str, after: str | None, limit: int) -> Sequence[Market]:
        """Return a page of the catalogue with the app's own book, made at the first look."""
        ids = [market_id for market_id in self._config.markets if after is None or market_id > after][:limit]
        found = [await self.market(app, market_id) for market_id in ids]
        return [market for market in found if market is not None]

    async def market(self, app: str, market_id: str) -> Market | None:
        """Return one market of the app's book, made at the first look."""
        spec = self._config.markets.get(market_id)
        if spec is None:
            return None
        found = await self._store.read(lambda tx: self._market(tx, app, spec))
        if found is None:
            await self._store.write(lambda tx: self._make_book(tx, app, spec))
            found = await self._store.read(lambda tx: self._market(tx, app, spec))
        return found

    async def wakes(self) -> AsyncIterator[Wake]:
        """Say which accounts and markets changed: at once where a request here changed somebody else's too.

        Within a second after requests made elsewhere, and after those whose answer has told it all.
        """
        last = await self._store.read(lambda tx: tx.one(_maybe, "paper.last_report")) or 0
        yield Wake()
        while True:
            reports = await self._store.read(_reports_after(last))
            if reports and reports[0].number > last + 1:
                yield Wake()
            if reports:
                last = reports[-1].number
                for wake in await self.faults.tell([_wake(report) for report in reports]):
                    yield wake
                await asyncio.sleep(GATHER_SECONDS)
                continue
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                pass
            self._news.clear()

    def poll(self) -> None:
        """Look for news now: somebody else may have written."""
        self._news.set()

    async def run(self) -> None:
        """Expire what is due and finish resolutions that were begun, until cancelled."""
        ticks = 0
        while True:
            try:
                await self._tick(prune=ticks % 240 == 0)
            except Unavailable as fault:
                _logger.warning("paper_tick_postponed", fault=str(fault))
            ticks += 1
            await asyncio.sleep(TICK_SECONDS)

    async def _tick(self, *, prune: bool) -> None:
        await self.faults.refresh()
        now = self._clock.now()
        due = await self._store.read(lambda tx: tx.all(PaperOrder, "paper.expiring", now))
        for order in due:
            try:
                await self._store.write(_expire(self._config, order.order_id, now))
            except Unavailable:
                raise
            except Exception:
                _logger.exception("expiry_stuck", app=order.app, order=order.order_id)
        unfinished = await self._store.read(lambda tx: tx.all(Unresolved, "paper.unfinished_resolutions"))
        for market in unfinished:
            try:
                await acts.finish_resolution(self._store, self._config, self._clock, market)
            except Unavailable:
                raise
            except Exception:
                # one market's trouble must not end the venue, and with it everybody's
                _logger.exception("resolution_stuck", app=market.app, market=market.market_id)
        if due or unfinished:
            self.poll()
        if prune:
            await self._store.write(lambda tx: tx.run("paper.prune_reports", KEPT_REPORTS))

    async def _write(self, asked: Asked, account: Account, unit: Callable[[Request], Evidence]) -> Evidence:
        async def work() -> Evidence:
            told = False
            try:
                evidence = await self._store.write(lambda tx: unit(self._request(tx, account)))
                # who did not trade changed nothing of anybody else's
                told = self.faults.honest and not evidence.fills
                return evidence
            except Unavailable as fault:
                # as from any venue: whether it was done is for `find` to tell
                raise NoAnswer(fault.detail) from fault
            finally:
                if not told:
                    self.poll()

        return await self.faults.answer(asked, work)

    def _request(self, tx: Tx, account: Account) -> Request:
        return Request(tx, self._config, account, self._clock.now())

    def _make_book(self, tx: Tx, app: str, spec: MarketSpec) -> None:
        floor = self._request(tx, Account(app, "")).floor
        floor.market(spec)
        floor.leave()

    def _market(self, tx: Tx, app: str, spec: MarketSpec) -> Market | None:
        row = tx.one(MarketRow, "paper.market", app, spec.market_id)
        if row is None:
            return None
        bid = tx.one(_maybe, "paper.best_bid", app, spec.market_id)
        ask = tx.one(_maybe, "paper.best_ask", app, spec.market_id)
        no_bid, no_ask = (None if price is None else ONE - price for price in (ask, bid))
        return Market(
            market_id=spec.market_id,
            title=spec.title,
            status=row.status,
            tick=spec.tick,
            size_step=spec.size_step,
            min_size=spec.min_size,
            max_size=spec.max_size,
            fee=self._config.fee,
            outcomes=(OutcomeQuote(YES, "Yes", bid, ask), OutcomeQuote(NO, "No", no_bid, no_ask)),
            winner=row.winner,
        )


def _wake(report: _Report) -> Wake:
    if not report.account:
        return Wake(markets=True)
    return Wake(Account(report.app, report.account.removeprefix("user/")), report.version)


def _reports_after(number: int) -> Callable[[Tx], list[_Report]]:
    return lambda tx: tx.all(_Report, "paper.reports_after", number)


def _expire(config: PaperConfig, order_id: str, now: int) -> Callable[[Tx], None]:
    return lambda tx: units.expire(tx, config, order_id, now)


def _maybe(value: int | None) -> int | None:
    return value
