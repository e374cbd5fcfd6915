"""What `watch` keeps and draws: moved on by events only where they are newer."""

import io

from rich.console import Console

from oddswire.cli.board import Board
from oddswire.cli.screen import Screen
from oddswire.cli.telling import event_line
from oddswire.client import Client, Reset
from oddswire.events import UserEvent, decode
from oddswire.testing.gateway import RunningGateway
from tests.cli.conftest import Cli

COMMON = '"venue":"paper","timestamp":1710705123456,'
ORDER = COMMON + '"orderId":"ord_1","marketId":"m","outcomeId":"yes",'


def submitted(seq: int) -> UserEvent:
    return decode(f'{{"type":"order_submitted",{ORDER}"seq":{seq},"side":"buy","price":0.5,"size":10}}')


def step(seq: int, event: str, status: str, filled: int = 0) -> UserEvent:
    return decode(
        f'{{"type":"order_event",{ORDER}"seq":{seq},"event":"{event}","status":"{status}","previousStatus":"open",'
        f'"filledAmountRaw":"{filled}","remainingAmountRaw":"{10_000_000 - filled}","source":"venue"}}'
    )


def balance(seq: int, cents: int) -> UserEvent:
    return decode(
        f'{{"type":"balance_update",{COMMON}"seq":{seq},"tradingBalanceCents":{cents},"walletBalanceCents":{cents},'
        f'"tradingBalanceRaw":"{cents}0000","walletBalanceRaw":"{cents}0000","reason":"fill"}}'
    )


def test_a_row_takes_only_what_is_newer() -> None:
    board = Board()
    for event in (balance(5, 500), balance(4, 400)):
        assert board.take(event)
    assert board.balances["paper"].trading == 500


def test_an_order_comes_and_goes() -> None:
    board = Board()
    board.take(submitted(1))
    board.take(step(2, "partially_filled", "partially_filled", 4_000_000))
    assert (board.orders["ord_1"].status, board.orders["ord_1"].filled) == ("partially_filled", "4000000")
    board.take(step(3, "filled", "filled", 10_000_000))
    assert board.orders == {}


def test_what_an_event_does_not_tell_takes_another_read() -> None:
    board = Board()
    assert not board.take(step(1, "unconfirmed", "unconfirmed"))
    assert not board.take(Reset("expired", 9, "E"))
    assert board.take(step(2, "canceled", "canceled"))


async def test_the_picture_of_a_real_user(cli: Cli, gateway: RunningGateway) -> None:
    async with Client(gateway.base_url, gateway.app_id) as client:
        await client.sign_in("alice", api_key=gateway.api_key)
        terms = {"venue": "paper", "market_id": "fed-cut-dec", "outcome_id": "yes", "size": 10}
        await client.place_order(side="buy", price="0.99", **terms)  # type: ignore[arg-type]
        await client.place_order(side="buy", price="0.01", **terms)  # type: ignore[arg-type]
        screen = Screen("demo")
        await screen.board.read(client)
        async for told in client.events(0, screen.board.epoch, on_line=screen.on_line):
            screen.board.take(told)
            if told.seq == screen.board.since:
                break

    console = Console(file=io.StringIO(), width=140)
    console.print(screen.picture())
    drawn = console.file.getvalue()  # type: ignore[attr-defined]

    for what in ("fed-cut-dec", "0.01", "open", "order_submitted", "Holdings", "paper"):
        assert what in drawn


def test_a_line_shows_what_came_as_text_and_never_as_markup() -> None:
    event = decode(
        f'{{"type":"market_settled",{COMMON}"seq":7,"marketId":"[red]m[/]","outcomeId":"yes","payoutCents":123456}}'
    )
    assert "[red]m[/]: yes won, paid 1,234.56" in event_line(event).plain
