"""What `watch` keeps and draws: moved on by events only where they are newer."""

import io

from rich.console import Console

from oddswire.cli.screen import Screen
from oddswire.cli.telling import event_line
from oddswire.client import Client, Cursor
from oddswire.events import decode
from oddswire.testing.gateway import RunningGateway
from tests.cli.conftest import Cli


async def test_the_picture_of_a_real_user(cli: Cli, gateway: RunningGateway) -> None:
    async with Client(base_url=gateway.base_url, app_id=gateway.app_id) as client:
        await client.sign_in("alice", api_key=gateway.api_key)
        terms = {"venue": "paper", "market_id": "fed-cut-dec", "outcome_id": "yes", "size": 10}
        await client.orders.place(side="buy", price="0.99", **terms)  # type: ignore[arg-type]
        await client.orders.place(side="buy", price="0.01", **terms)  # type: ignore[arg-type]
        screen = Screen("demo", await client.snapshot())
        head = screen.state.cursor
        client.cursor = Cursor(0, head.epoch)
        async for told in client.events():
            screen.last.append(told)
            assert screen.state.apply(told)
            if told.seq == head.seq:
                break

    console = Console(file=io.StringIO(), width=140)
    console.print(screen.picture())
    drawn = console.file.getvalue()  # type: ignore[attr-defined]

    for what in ("fed-cut-dec", "0.01", "open", "order_submitted", "Holdings", "paper"):
        assert what in drawn


def test_a_line_shows_what_came_as_text_and_never_as_markup() -> None:
    event = decode(
        '{"type":"market_settled","venue":"paper","timestamp":1710705123456,"seq":7,"marketId":"[red]m[/]","outcomeId":"yes","payoutCents":123456}'
    )
    assert "[red]m[/]: yes won, paid 1,234.56" in event_line(event).plain
