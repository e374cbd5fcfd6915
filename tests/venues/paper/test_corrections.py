"""A fill that comes after the cancel and a fill that is taken back: whatever happens, the venue's books balance."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from oddswire.errors import OperatorError
from oddswire.venues.base import Account, OrderReport
from oddswire.venues.paper import PaperConfig, corrections
from oddswire.venues.paper.acts import deposit, resolve
from oddswire.venues.paper.floor import MarketRow
from tests.venues.paper.conftest import ONE, RAIN, Pit, open_pit
from tests.venues.paper.test_property import USERS, act_quietly

ANN, BOB = Account("app", "ann"), Account("app", "bob")
THOUSAND = 1_000 * ONE


async def late(pit: Pit, order_id: str, size: int | None = None, app: str = "app") -> int:
    return await corrections.late_fill(pit.store, pit.config, pit.clock, app, order_id, size)


async def undo(pit: Pit, order_id: str) -> int:
    return await corrections.reverse(pit.store, pit.config, pit.clock, "app", order_id)


async def order(pit: Pit, user: str, ref: str) -> OrderReport:
    (report,) = (await pit.venue.find(Account("app", user), ref)).orders
    return report


async def canceled(pit: Pit, user: str = "ann", how: str = "buy", outcome: str = "yes", size: float = 10) -> str:
    """Place an order that rests, cancel it, and return its ref."""
    price = 0.4 if how == "buy" else 0.6
    (report,) = (await pit.place(user, how, outcome, price, size)).orders
    await pit.venue.cancel(Account("app", user), report.venue_order_id)
    assert report.ref is not None
    return report.ref


async def test_a_canceled_order_fills_late_and_stays_canceled(pit: Pit) -> None:
    ref = await canceled(pit)
    before = (await pit.venue.read(ANN, None)).cursor
    assert await late(pit, ref, 3 * ONE) == 3 * ONE
    told = await pit.venue.read(ANN, before)
    assert [(report.state, report.reason, report.filled) for report in told.orders] == [
        ("canceled", "canceled_by_user", 3 * ONE)
    ]
    assert [(fill.price, fill.size, fill.fee, fill.reversed) for fill in told.fills] == [(400_000, 3 * ONE, 0, False)]
    assert told.wallet == THOUSAND - 1_200_000


async def test_a_late_fill_of_all_that_was_left_fills_the_order(pit: Pit) -> None:
    ref = await canceled(pit)
    order_id = (await order(pit, "ann", ref)).venue_order_id
    assert await late(pit, order_id) == 10 * ONE
    report = await order(pit, "ann", ref)
    assert (report.state, report.reason, report.filled) == ("filled", None, 10 * ONE)


async def test_an_expired_order_fills_late_too(pit: Pit) -> None:
    soon = pit.clock.now() + 30
    (report,) = (await pit.place("ann", "buy", "no", 0.3, 2, "gtd", expires_at=soon)).orders
    while (await order(pit, "ann", report.ref or "")).state == "open":
        await pit.venue._tick(prune=False)
    await late(pit, report.venue_order_id, ONE)
    now = await order(pit, "ann", report.ref or "")
    assert (now.state, now.reason, now.filled) == ("expired", "expired", ONE)


async def test_a_late_sell_delivers_what_it_no_longer_held(pit: Pit) -> None:
    await pit.place("ann", "buy", "yes", 0.5, 10)
    await pit.place("bob", "buy", "no", 0.5, 10)
    ref = await canceled(pit, how="sell")
    assert await late(pit, ref, 4 * ONE) == 4 * ONE
    assert await pit.wallet("ann") == THOUSAND - 5_000_000 + 2_400_000
    # its six others may still be sold, and no more
    await pit.place("ann", "sell", "yes", 0.6, 6)


@pytest.mark.parametrize("size", [0, 5_000, 11 * ONE])
async def test_a_late_fill_is_no_more_than_what_was_left(pit: Pit, size: int) -> None:
    ref = await canceled(pit)
    with pytest.raises(OperatorError, match="up to 10"):
        await late(pit, ref, size)


async def test_what_does_not_fit_an_order_is_refused(pit: Pit) -> None:
    (resting,) = (await pit.place("ann", "buy", "yes", 0.4, 10)).orders
    with pytest.raises(OperatorError, match="is open"):
        await late(pit, resting.venue_order_id)
    with pytest.raises(OperatorError, match="no fill"):
        await undo(pit, resting.venue_order_id)
    with pytest.raises(OperatorError, match="has no order"):
        await late(pit, resting.venue_order_id, app="other")


async def test_who_has_spent_it_cannot_be_filled_late(pit: Pit) -> None:
    ref = await canceled(pit, size=100)
    await deposit(pit.store, pit.config, pit.clock, "app", "ann", -(THOUSAND - 30 * ONE))
    with pytest.raises(OperatorError, match="lacks 10 dollars"):
        await late(pit, ref)
    assert await late(pit, ref, 75 * ONE) == 75 * ONE
    assert await pit.wallet("ann") == 0


async def matched(pit: Pit) -> tuple[str, str]:
    """Let ann's resting buy meet bob's; return their refs."""
    one = await pit.place("ann", "buy", "yes", 0.4, 10)
    two = await pit.place("bob", "buy", "no", 0.6, 6)
    return one.orders[0].ref or "", two.orders[0].ref or ""


@pytest.mark.parametrize("whose", [0, 1])
async def test_both_sides_of_a_fill_are_taken_back(pit: Pit, whose: int) -> None:
    refs = await matched(pit)
    before = (await pit.venue.read(BOB, None)).cursor
    assert await undo(pit, refs[whose]) == 6 * ONE
    told = await pit.venue.read(BOB, before)
    assert [(fill.size, fill.reversed) for fill in told.fills] == [(6 * ONE, True)]
    assert [(report.state, report.reason, report.filled) for report in told.orders] == [
        ("canceled", "fill_reversed", 0)
    ]
    rests = await order(pit, "ann", refs[0])
    assert (rests.state, rests.filled) == ("open", 0)
    assert await pit.wallet("ann") == await pit.wallet("bob") == THOUSAND
    # all ten rest again, behind nobody
    again = await pit.place("bob", "buy", "no", 0.6, 10)
    assert again.orders[0].state == "filled"
    with pytest.raises(OperatorError, match="no fill"):
        await undo(pit, refs[1])


async def test_contracts_sold_on_cannot_be_taken_back(pit: Pit) -> None:
    refs = await matched(pit)
    await pit.place("cy", "buy", "yes", 0.5, 6)
    await pit.place("ann", "sell", "yes", 0.5, 1)
    with pytest.raises(OperatorError, match="user/ann lacks 1 yes"):
        await undo(pit, refs[0])


async def test_a_fill_of_before_its_other_side_was_kept_stays(pit: Pit, tmp_path: Path) -> None:
    refs = await matched(pit)
    with closing(sqlite3.connect(tmp_path / "paper.db")) as connection, connection:
        connection.execute("UPDATE paper_fills SET other_fill = NULL")
    with pytest.raises(OperatorError, match="no fill that can be taken back"):
        await undo(pit, refs[0])


async def test_a_fee_is_given_back(tmp_path: Path) -> None:
    pit = await open_pit(tmp_path / "p.db", PaperConfig({"rain": RAIN}, fee=20_000, house_levels=0))
    await pit.place("ann", "buy", "yes", 0.4, 10)
    taken = await pit.place("bob", "buy", "no", 0.6, 10)
    await undo(pit, taken.orders[0].venue_order_id)
    assert await pit.wallet("bob") == THOUSAND
    assert await pit.findings() == []
    await pit.store.close()


async def test_a_fill_with_the_house_is_taken_back_though_it_made_dollars_of_it(housed: Pit) -> None:
    taken = await housed.place("ann", "buy", "yes", 0.51, 200)
    await housed.place("bob", "buy", "no", 0.60, 200)
    assert await outstanding(housed) == 200 * ONE
    assert await undo(housed, taken.orders[0].venue_order_id) == 200 * ONE
    assert await outstanding(housed) == 200 * ONE
    assert await housed.wallet("ann") == THOUSAND


async def outstanding(pit: Pit) -> int:
    market = await pit.store.read(lambda tx: tx.one(MarketRow, "paper.market", "app", "rain"))
    assert market is not None
    return market.pairs


async def test_a_settled_market_is_not_corrected(pit: Pit) -> None:
    refs = await matched(pit)
    await resolve(pit.store, pit.config, pit.clock, "app", "rain", "yes")
    for act in (late, undo):
        with pytest.raises(OperatorError, match="is settled"):
            await act(pit, refs[0])


@pytest.mark.parametrize("seed", range(4))
async def test_random_corrections_keep_every_invariant(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    config = PaperConfig(
        {"rain": RAIN}, fee=chance.choice((0, 20_000)), house_levels=chance.choice((0, 2)), house_size=20 * ONE
    )
    pit = await open_pit(tmp_path / "p.db", config)
    done = {"late": 0, "undo": 0, "refused": 0}
    for _ in range(150):
        await act_quietly(pit, chance)
        account = Account("app", chance.choice(USERS))
        orders = (await pit.venue.read(account, None)).orders
        ended = [one for one in orders if one.state in ("canceled", "expired") and one.filled < one.size]
        filled = [one for one in orders if one.filled]
        what, among = chance.choice((("late", ended), ("undo", filled)))
        if not among:
            continue
        chosen = chance.choice(among)
        left = (chosen.size - chosen.filled) // 10_000
        try:
            if what == "late":
                await late(pit, chosen.venue_order_id, chance.randint(1, left) * 10_000)
            else:
                await undo(pit, chosen.venue_order_id)
            done[what] += 1
        except OperatorError:
            done["refused"] += 1
        assert await pit.findings() == []
    assert min(done["late"], done["undo"]) > 3, f"seed {seed} corrected too little to mean anything: {done}"
    await resolve(pit.store, pit.config, pit.clock, "app", "rain", "no")
    assert await pit.findings() == []
    await pit.store.close()
