from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from oddswire import events
from oddswire.clock import SystemClock
from oddswire.events import UserEvent
from oddswire.orders.desk import Desk, Placed
from oddswire.orders.dispatch import Dispatch
from oddswire.orders.pulse import Pulse
from oddswire.orders.reconcile import Reconciler
from oddswire.orders.views import View
from oddswire.store.base import Tx
from oddswire.store.sqlite import CORE, SqliteStore
from oddswire.streams import log
from oddswire.testing.fakes import ScriptedVenue
from oddswire.wire import bodies

APP = "app"


@dataclass
class Shop:
    """A desk with a scripted venue on a real database."""

    store: SqliteStore
    venue: ScriptedVenue
    desk: Desk
    dispatch: Dispatch
    reconciler: Reconciler
    pulses: list[str]
    clock: SystemClock = field(default_factory=SystemClock)

    async def place(
        self, user: str = "ann", change: dict[str, object] | None = None, session: str | None = None, **other: Any
    ) -> Placed:
        wanted = {
            "venue": "scripted",
            "marketId": "rain",
            "outcomeId": "yes",
            "side": "buy",
            "price": 0.55,
            "size": 10,
            **other,
            **(change or {}),
        }
        return await self.desk.place(
            APP, user, msgspec.json.decode(msgspec.json.encode(wanted), type=bodies.PlaceOrder), session
        )

    async def events(self, user: str = "ann") -> list[UserEvent]:
        def unit(tx: Tx) -> list[UserEvent]:
            stream = log.find(tx, APP, user)
            return [events.decode(frame) for frame in log.page(tx, stream.stream_id, 0).frames] if stream else []

        return await self.store.read(unit)

    async def view(self, look: Callable[[View], Any], user: str = "ann") -> Any:
        return await self.store.read(lambda tx: look(View(tx, self.store.history_id, APP, user)))

    async def balance(self, user: str = "ann") -> tuple[int, int]:
        told = (await self.view(lambda view: view.balances(None), user)).balances[0]
        return told.trading_balance_cents, told.wallet_balance_cents


def steps(told: list[UserEvent]) -> list[str]:
    """Name events in a word or two, the opening deposit left out."""
    said: list[str] = []
    for event in told[1:]:
        match event:
            case events.OrderEvent():
                said.append(event.event)
            case events.BalanceUpdate():
                said.append(f"{event.reason} {event.trading_balance_cents}")
            case _:
                said.append(type(event).__name__)
    return said


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    store = await SqliteStore.open(tmp_path / "oddswire.db", [CORE], exclusive=True)
    clock = SystemClock()
    venue = ScriptedVenue(clock.now)
    venues = {"scripted": venue}
    dispatch = Dispatch(store, venues, clock, "node-1", answer_within=0.3)
    desk = Desk(store, venues, clock, dispatch)
    await desk.open_user(APP, "ann")
    await desk.open_user(APP, "bob")
    pulses: list[str] = []

    def on_pulse(_: str, pulse: Pulse) -> None:
        pulses.append(pulse.status)

    yield Shop(store, venue, desk, dispatch, Reconciler(store, "scripted", venue, clock, dispatch, on_pulse), pulses)
    await dispatch.stop()
    await store.close()
