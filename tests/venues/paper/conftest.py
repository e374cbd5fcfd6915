from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from oddswire.clock import SystemClock
from oddswire.store.sqlite import SqliteStore
from oddswire.venues.base import Account, Evidence, OrderRequest
from oddswire.venues.paper import SCHEMA, PaperConfig, PaperVenue
from oddswire.venues.paper.audit import check
from oddswire.venues.paper.config import MarketSpec

ONE = 1_000_000
RAIN = MarketSpec("rain", "Rain?", 500_000, 10_000, 10_000, 10_000, 10**12)
CALM = PaperConfig({"rain": RAIN}, house_levels=0)
"""One market in which the house quotes nothing."""


@dataclass
class Pit:
    """The venue on a real database."""

    store: SqliteStore
    venue: PaperVenue
    config: PaperConfig
    clock: SystemClock = field(default_factory=SystemClock)
    count: int = 0

    async def place(
        self, user: str, how: str, outcome: str, price_of: float, size_of: float, tif: str = "gtc", **other: Any
    ) -> Evidence:
        self.count += 1
        request = OrderRequest(
            **{
                "ref": f"ref-{self.count}",
                "market_id": "rain",
                "outcome_id": outcome,
                "side": how,
                "price": round(price_of * ONE),
                "size": round(size_of * ONE),
                "time_in_force": tif,
                "expires_at": None,
                "post_only": False,
                "deadline": self.clock.now() + 5_000,
                **other,
            }
        )
        return await self.venue.place(Account("app", user), request)

    async def wallet(self, user: str) -> int:
        wallet = (await self.venue.read(Account("app", user), None)).wallet
        assert wallet is not None
        return wallet

    async def findings(self) -> list[str]:
        return await check(self.store)


async def open_pit(path: Path, config: PaperConfig) -> Pit:
    store = await SqliteStore.open(path, [SCHEMA], exclusive=True)
    pit = Pit(store, PaperVenue(store, SystemClock(), config), config)
    for user in ("ann", "bob", "cy"):
        await pit.venue.open_account(Account("app", user))
    return pit


@pytest.fixture
async def pit(tmp_path: Path) -> AsyncIterator[Pit]:
    pit = await open_pit(tmp_path / "paper.db", CALM)
    yield pit
    assert await pit.findings() == []
    await pit.store.close()


@pytest.fixture
async def housed(tmp_path: Path) -> AsyncIterator[Pit]:
    pit = await open_pit(tmp_path / "paper.db", PaperConfig({"rain": RAIN}))
    yield pit
    assert await pit.findings() == []
    await pit.store.close()
