"""`oddswire paper`: what happens at the paper venue without an order, straight in its database."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from oddswire.cli import options, output, paper_faults
from oddswire.cli.faults import usage
from oddswire.cli.paper_acts import App, act
from oddswire.clock import SystemClock
from oddswire.errors import InvalidInput
from oddswire.money import format_amount, parse_amount

commands = typer.Typer(help="Act on the paper venue. A running gateway tells its users within a second.")
commands.add_typer(paper_faults.commands, name="fault")
Market = Annotated[str, typer.Argument(metavar="MARKET", help="The market's id, such as fed-cut-dec.")]


@commands.command("deposit")
def deposit(
    user: Annotated[str, typer.Argument(metavar="USER", help="Who gets it.")],
    dollars: Annotated[str, typer.Argument(metavar="DOLLARS", help="How much, such as 250 or 99.50.")],
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take it away instead.")] = False,
    app: App = options.APP,
    database: options.Database = options.DATABASE,
) -> None:
    """Give a user paper money, or take it away.

    Example:  oddswire paper deposit alice 250
    """
    # only the commands that open a database wait for the store
    from oddswire.venues.paper import acts

    try:
        amount = parse_amount(dollars, "DOLLARS")
    except InvalidInput as fault:
        raise usage(f"DOLLARS is {dollars[:40]!r}. {fault.detail}") from fault
    if not amount:
        raise usage(f"DOLLARS is {dollars[:40]!r}: an amount is above 0, such as 250 or 99.50.")
    signed = -amount if withdraw else amount
    act(
        database,
        lambda store, config: acts.deposit(store, config, SystemClock(), app, user, signed),
        app=app,
        user=user,
    )
    exact = output.dollars(amount // 10_000) if amount % 10_000 == 0 else format_amount(amount)
    output.line(f"{user} has {exact} {'less' if withdraw else 'more'}.")


@commands.command("resolve")
def resolve(
    market: Market,
    winner: Annotated[Literal["yes", "no"], typer.Argument(metavar="WINNER", help="The outcome that won.")],
    app: App = options.APP,
    database: options.Database = options.DATABASE,
) -> None:
    """End a market: cancel its orders, and pay a dollar for each contract of the winner. It cannot be undone.

    Stopped in the middle, it is carried on by the same command, or by a running gateway.

    Example:  oddswire paper resolve fed-cut-dec yes
    """
    # as above
    from oddswire.venues.paper import acts

    step = f"Settling the accounts of {market} …"
    with output.working(step) as progress:
        settled = act(
            database,
            lambda store, config: acts.resolve(
                store, config, SystemClock(), app, market, winner, lambda done: progress(step, done, None)
            ),
            app=app,
        )
    output.line(f"{market} is settled: {winner} won, {output.counted(settled, 'account')} settled.")


@commands.command("pause")
def pause(market: Market, app: App = options.APP, database: options.Database = options.DATABASE) -> None:
    """Let a market take no orders, only cancels.

    Example:  oddswire paper pause fed-cut-dec
    """
    _set_status(database, app, market, "paused")
    output.line(f"{market} is paused: it takes cancels only.")


@commands.command("resume")
def resume(market: Market, app: App = options.APP, database: options.Database = options.DATABASE) -> None:
    """Let a paused market take orders again.

    Example:  oddswire paper resume fed-cut-dec
    """
    _set_status(database, app, market, "open")
    output.line(f"{market} is open.")


def _set_status(database: Path, app: str, market: str, status: Literal["open", "paused"]) -> None:
    # as above
    from oddswire.venues.paper import acts

    act(database, lambda store, config: acts.set_status(store, config, SystemClock(), app, market, status), app=app)
