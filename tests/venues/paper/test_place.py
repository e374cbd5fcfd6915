import asyncio
from typing import Any

import pytest

from oddswire.venues.base import Account, VenueRejected
from oddswire.venues.paper import SCHEMA, PaperConfig
from oddswire.venues.paper.acts import deposit
from tests.venues.paper.conftest import ONE, RAIN, Pit, open_pit

ANN, BOB = Account("app", "ann"), Account("app", "bob")


async def test_a_new_account_begins_with_its_opening_deposit_once(pit: Pit) -> None:
    first = await pit.venue.open_account(ANN)
    assert (first.cursor, first.wallet) == (1, 1000 * ONE)
    assert [transfer.amount for transfer in first.transfers] == [1000 * ONE]
    again = await pit.venue.open_account(ANN)
    assert (again.cursor, again.transfers, again.wallet) == (1, first.transfers, first.wallet)


@pytest.mark.parametrize(
    ("maker", "taker", "maker_pays", "taker_pays", "maker_has", "taker_has"),
    [
        (("buy", "yes", 0.6), ("buy", "no", 0.4), 0.6, 0.4, "yes", "no"),
        (("buy", "no", 0.3), ("buy", "yes", 0.75), 0.3, 0.7, "no", "yes"),
    ],
    ids=["a bid of YES meets a buyer of NO", "the taker gets the maker's price"],
)
async def test_two_buyers_mint_a_pair(
    pit: Pit,
    maker: tuple[str, str, float],
    taker: tuple[str, str, float],
    maker_pays: float,
    taker_pays: float,
    maker_has: str,
    taker_has: str,
) -> None:
    await pit.place("ann", *maker, 10)
    answer = await pit.place("bob", *taker, 10)
    assert [(report.state, report.filled) for report in answer.orders] == [("filled", 10 * ONE)]
    assert [(fill.price, fill.size) for fill in answer.fills] == [(round(taker_pays * ONE), 10 * ONE)]
    assert await pit.wallet("ann") == 1000 * ONE - round(10 * maker_pays * ONE)
    assert await pit.wallet("bob") == 1000 * ONE - round(10 * taker_pays * ONE)
    told = await pit.venue.read(ANN, 1)
    assert [(fill.price, fill.size) for fill in told.fills] == [(round(maker_pays * ONE), 10 * ONE)]


async def test_contracts_change_hands_and_a_pair_of_sellers_burns_one(pit: Pit) -> None:
    await pit.place("ann", "buy", "yes", 0.6, 10)
    await pit.place("bob", "buy", "no", 0.4, 10)
    await pit.place("cy", "buy", "yes", 0.7, 4)
    sold = await pit.place("ann", "sell", "yes", 0.65, 4)
    assert [fill.price for fill in sold.fills] == [700_000]
    assert await pit.wallet("ann") == 1000 * ONE - 6 * ONE + 2_800_000
    await pit.place("cy", "sell", "yes", 0.7, 4)
    burned = await pit.place("bob", "sell", "no", 0.3, 4)
    assert [(fill.price, fill.size) for fill in burned.fills] == [(300_000, 4 * ONE)]
    assert await pit.wallet("cy") == 1000 * ONE - 2_800_000 + 2_800_000


async def test_price_comes_before_time_and_time_before_all_else(pit: Pit) -> None:
    await pit.place("ann", "buy", "yes", 0.50, 1)
    await pit.place("bob", "buy", "yes", 0.52, 1)
    await pit.place("ann", "buy", "yes", 0.52, 1)
    answer = await pit.place("cy", "buy", "no", 0.50, 3)
    assert [fill.price for fill in answer.fills] == [480_000, 480_000, 500_000]
    assert len((await pit.venue.read(BOB, 1)).fills) == 1


async def test_a_long_book_is_taken_through_in_order(pit: Pit) -> None:
    for n in range(40):
        await pit.place("ann", "buy", "yes", 0.60 - n * 0.01, 1)
    answer = await pit.place("bob", "buy", "no", 0.99, 40)
    assert [fill.price for fill in answer.fills] == [400_000 + n * 10_000 for n in range(40)]
    assert [report.state for report in answer.orders] == ["filled"]


@pytest.mark.parametrize(
    ("tif", "size", "state", "filled", "reason"),
    [
        ("gtc", 8, "open", 5, None),
        ("ioc", 8, "canceled", 5, "ioc_not_filled"),
        ("fok", 8, "canceled", 0, "fok_not_filled"),
        ("fok", 5, "filled", 5, None),
        ("ioc", 5, "filled", 5, None),
    ],
)
async def test_what_becomes_of_the_rest(pit: Pit, tif: str, size: int, state: str, filled: int, reason: str) -> None:
    await pit.place("ann", "buy", "yes", 0.6, 5)
    [report] = (await pit.place("bob", "buy", "no", 0.4, size, tif)).orders
    assert (report.state, report.filled, report.reason) == (state, filled * ONE, reason)


async def test_post_only_rests_or_is_rejected(pit: Pit) -> None:
    await pit.place("ann", "buy", "yes", 0.6, 5)
    await pit.place("bob", "buy", "no", 0.39, 5, post_only=True)
    with pytest.raises(VenueRejected) as refused:
        await pit.place("bob", "buy", "no", 0.4, 5, post_only=True)
    assert refused.value.code == "post_only_would_cross"


async def test_nobody_trades_with_himself(pit: Pit) -> None:
    await pit.place("bob", "buy", "yes", 0.61, 2)
    await pit.place("ann", "buy", "yes", 0.6, 5)
    answer = await pit.place("ann", "buy", "no", 0.4, 5)
    assert [(report.state, report.reason, report.filled) for report in answer.orders] == [
        ("canceled", "self_match", 2 * ONE)
    ]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"market_id": "snow"}, "unknown_market"),
        ({"outcome_id": "maybe"}, "unknown_outcome"),
        ({"price": 0}, "price_out_of_range"),
        ({"price": ONE}, "price_out_of_range"),
        ({"price": 555_000}, "price_off_tick"),
        ({"size": 1}, "size_too_small"),
        ({"size": 15_000}, "size_off_step"),
        ({"size": 10**13}, "size_too_large"),
        ({"size": 10**10}, "insufficient_funds"),
        ({"side": "sell"}, "insufficient_holdings"),
        ({"expires_at": 10**14}, "expiry_invalid"),
        ({"time_in_force": "gtd", "expires_at": 1}, "expiry_invalid"),
        ({"deadline": 1}, "too_late"),
    ],
)
async def test_what_is_not_taken_leaves_nothing(pit: Pit, change: dict[str, Any], code: str) -> None:
    with pytest.raises(VenueRejected) as refused:
        await pit.place("ann", "buy", "yes", 0.5, 1, **change)
    assert refused.value.code == code
    told = await pit.venue.read(ANN, None)
    assert (told.orders, told.cursor, told.wallet) == ((), 1, 1000 * ONE)


async def test_a_ref_is_taken_once(pit: Pit) -> None:
    first = await pit.place("ann", "buy", "yes", 0.5, 1, ref="same")
    again = await pit.place("ann", "buy", "yes", 0.5, 1, ref="same")
    assert again.orders == first.orders
    assert len((await pit.venue.read(ANN, None)).orders) == 1
    await pit.place("bob", "buy", "yes", 0.5, 1, ref="same")


async def test_find_tells_of_one_order_or_of_none(pit: Pit) -> None:
    await pit.place("ann", "buy", "yes", 0.5, 2, ref="here")
    await pit.place("bob", "buy", "no", 0.5, 1)
    found = await pit.venue.find(ANN, "here")
    assert [(report.filled, len(found.fills)) for report in found.orders] == [(ONE, 1)]
    lost = await pit.venue.find(ANN, "never")
    assert lost.orders == ()
    assert lost.as_of <= pit.clock.now()


async def test_find_waits_for_an_order_that_is_being_taken(pit: Pit) -> None:
    placing = asyncio.create_task(pit.place("ann", "buy", "yes", 0.5, 1, ref="racing"))
    await asyncio.sleep(0)
    assert len((await pit.venue.find(ANN, "racing")).orders) == 1
    await placing


async def test_cancel_gives_back_what_is_left(pit: Pit) -> None:
    placed = await pit.place("ann", "buy", "yes", 0.5, 10)
    await pit.place("bob", "buy", "no", 0.5, 4)
    order_id = placed.orders[0].venue_order_id
    with pytest.raises(VenueRejected) as refused:
        await pit.venue.cancel(BOB, order_id)
    assert refused.value.code == "unknown_order"
    answer = await pit.venue.cancel(ANN, order_id)
    assert [(report.state, report.filled) for report in answer.orders] == [("canceled", 4 * ONE)]
    again = await pit.venue.cancel(ANN, order_id)
    assert again.orders == answer.orders
    assert await pit.wallet("ann") == 998 * ONE
    taken = await pit.place("ann", "buy", "no", 0.5, 1, "ioc")
    with pytest.raises(VenueRejected) as refused:
        await pit.venue.cancel(ANN, taken.orders[0].venue_order_id)
    assert refused.value.code == "order_finished"


async def test_evidence_says_what_came_after_a_cursor_without_a_gap(pit: Pit) -> None:
    seen: list[str] = []
    cursor = 1
    for n in range(5):
        answer = await pit.place("ann", "buy", "yes", 0.4 + n * 0.01, 1)
        assert (answer.previous, answer.cursor) == (cursor, cursor + 1)
        cursor += 1
        seen += [report.venue_order_id for report in answer.orders]
    await pit.place("bob", "buy", "no", 0.6, 5)
    told = await pit.venue.read(ANN, cursor)
    assert (told.previous, told.cursor) == (cursor, cursor + 1)
    assert sorted(report.venue_order_id for report in told.orders) == sorted(seen)
    assert len(told.fills) == 5


async def test_a_fee_is_the_taker_s_and_is_conserved(tmp_path_factory: pytest.TempPathFactory) -> None:
    pit = await open_pit(
        tmp_path_factory.mktemp("fee") / "p.db", PaperConfig({"rain": RAIN}, fee=20_000, house_levels=0)
    )
    await pit.place("ann", "buy", "yes", 0.5, 10)
    answer = await pit.place("bob", "buy", "no", 0.5, 10)
    assert [fill.fee for fill in answer.fills] == [200_000]
    assert await pit.wallet("bob") == 1000 * ONE - 5_200_000
    assert await pit.wallet("ann") == 995 * ONE
    await pit.place("ann", "buy", "no", 0.01, 10)
    cheap = await pit.place("bob", "sell", "no", 0.01, 10)
    assert [fill.fee for fill in cheap.fills] == [200_000]
    assert await pit.findings() == []
    await pit.store.close()


async def test_a_newcomer_s_order_fills_against_the_house_and_the_price_follows(housed: Pit) -> None:
    before = await housed.venue.market("app", "rain")
    assert before is not None
    assert [(quote.best_bid, quote.best_ask) for quote in before.outcomes] == [(490_000, 510_000)] * 2
    answer = await housed.place("ann", "buy", "yes", 0.51, 10)
    assert [(report.state, report.filled) for report in answer.orders] == [("filled", 10 * ONE)]
    await housed.place("ann", "buy", "yes", 0.51, 190)
    after = await housed.venue.market("app", "rain")
    assert after is not None
    assert (after.outcomes[0].best_bid, after.outcomes[0].best_ask) == (500_000, 520_000)
    await housed.place("ann", "sell", "yes", 0.01, 200)
    assert (await housed.venue.read(ANN, None)).orders[-1].state == "filled"


async def test_the_very_first_order_in_a_market_meets_the_house(housed: Pit) -> None:
    answer = await housed.place("ann", "buy", "yes", 0.51, 10)
    assert [(report.state, report.filled) for report in answer.orders] == [("filled", 10 * ONE)]


async def test_the_house_never_crosses_a_user(housed: Pit) -> None:
    await housed.place("ann", "buy", "yes", 0.50, 20)
    for _ in range(12):
        await housed.place("bob", "buy", "no", 0.55, 100, "ioc")
    market = await housed.venue.market("app", "rain")
    assert market is not None
    bid, ask = market.outcomes[0].best_bid, market.outcomes[0].best_ask
    assert bid is not None
    assert ask is not None
    assert bid < ask


async def test_two_users_on_one_market_at_once(pit: Pit) -> None:
    await asyncio.gather(
        *(pit.place("ann", "buy", "yes", 0.5, 1) for _ in range(50)),
        *(pit.place("bob", "buy", "no", 0.5, 1) for _ in range(50)),
    )
    assert await pit.wallet("ann") == await pit.wallet("bob") == 975 * ONE


async def test_apps_do_not_share_a_book(pit: Pit) -> None:
    await pit.venue.open_account(Account("other", "ann"))
    await pit.place("ann", "buy", "yes", 0.6, 5)
    market = await pit.venue.market("other", "rain")
    assert market is not None
    assert market.outcomes[0].best_bid is None


async def test_a_deposit_is_reported(pit: Pit) -> None:
    await deposit(pit.store, pit.config, pit.clock, "app", "ann", 5 * ONE)
    await deposit(pit.store, pit.config, pit.clock, "app", "ann", -1 * ONE)
    told = await pit.venue.read(ANN, 1)
    assert [transfer.amount for transfer in told.transfers] == [5 * ONE, -ONE]


def test_its_statements_have_names_of_their_own() -> None:
    assert all(name.startswith(("paper.", "paper_personal.")) for name in SCHEMA.statements())
