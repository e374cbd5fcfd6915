"""`oddswire paper fault`: the paper venue misbehaves as real ones do, for tests and demonstrations."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from oddswire.cli import options, output
from oddswire.cli.faults import usage
from oddswire.cli.paper_acts import App, act
from oddswire.clock import SystemClock
from oddswire.errors import InvalidInput
from oddswire.money import format_amount, parse_amount

if TYPE_CHECKING:
    from pathlib import Path

    from oddswire.venues.paper.faults import FaultName

commands = typer.Typer(help="Let the paper venue misbehave. A running gateway meets it within half a second.")
Times = Annotated[int | None, typer.Option("--times", min=1, help="How often; without it until `clear`.")]
Order = Annotated[str, typer.Argument(metavar="ORDER_ID", help="The order's id, ord_… or the venue's.")]


@commands.command("delay")
def delay(
    milliseconds: Annotated[int, typer.Argument(metavar="MILLISECONDS", min=1, max=60_000, help="How long, in ms.")],
    times: Times = None,
    database: options.Database = options.DATABASE,
) -> None:
    """Let its answers to places, cancels and reads come late; it does what was asked at once.

    Example:  oddswire paper fault delay 500
    """
    _set(database, "delay", times, milliseconds)


@commands.command("no-answer")
def no_answer(
    to: Annotated[Literal["place", "cancel"], typer.Option("--to", help="Which answers.")] = "place",
    times: Times = None,
    database: options.Database = options.DATABASE,
) -> None:
    """Let it do what was asked, and lose the answer.

    Example:  oddswire paper fault no-answer --times 3
    """
    _set(database, "no-answer-place" if to == "place" else "no-answer-cancel", times)


@commands.command("duplicate")
def duplicate(times: Times = None, database: options.Database = options.DATABASE) -> None:
    """Let it say everything twice: wakes, and every fact of an answer.

    Example:  oddswire paper fault duplicate
    """
    _set(database, "duplicate", times)


@commands.command("reorder")
def reorder(times: Times = None, database: options.Database = options.DATABASE) -> None:
    """Let wakes and facts come out of order, answers overtake each other, and reads tell what was told before.

    Example:  oddswire paper fault reorder
    """
    _set(database, "reorder", times)


@commands.command("late-fill")
def late_fill(
    order: Order,
    size: Annotated[
        str | None, typer.Option("--size", help="How many contracts; without it all that was left.")
    ] = None,
    app: App = options.APP,
    database: options.Database = options.DATABASE,
) -> None:
    """Fill a canceled or expired order after all, against the house.

    Example:  oddswire paper fault late-fill ord_01JQ… --size 2.5
    """
    # only the commands that open a database wait for the store
    from oddswire.venues.paper import corrections

    try:
        wanted = None if size is None else parse_amount(size, "--size")
    except InvalidInput as fault:
        raise usage(f"--size is {str(size)[:40]!r}. {fault.detail}") from fault
    filled = act(
        database,
        lambda store, config: corrections.late_fill(store, config, SystemClock(), app, order, wanted),
        app=app,
    )
    output.line(f"{order} has filled by {format_amount(filled)} more.")


@commands.command("reverse")
def reverse(order: Order, app: App = options.APP, database: options.Database = options.DATABASE) -> None:
    """Take an order's newest fill back, the other side's with it.

    Example:  oddswire paper fault reverse ord_01JQ…
    """
    # as above
    from oddswire.venues.paper import corrections

    taken = act(database, lambda store, config: corrections.reverse(store, config, SystemClock(), app, order), app=app)
    output.line(f"A fill of {format_amount(taken)} of {order} has been taken back.")


@commands.command("list")
def list_faults(database: options.Database = options.DATABASE, as_json: options.Json = False) -> None:
    """Print the faults that stand.

    Example:  oddswire paper fault list
    """
    # as above
    from oddswire.venues.paper import faults

    standing = act(database, lambda store, _: faults.standing_faults(store))
    if as_json:
        for fault in standing:
            output.line(output.as_json(fault._asdict()))
    elif standing:
        cells = (
            (
                fault.name,
                "until cleared" if fault.times is None else str(fault.times),
                f"{fault.delay} ms" if fault.delay else "",
            )
            for fault in standing
        )
        output.rows(("fault", "times", "delay"), cells, right=("times", "delay"))
    else:
        output.line("The paper venue behaves.")


@commands.command("clear")
def clear(database: options.Database = options.DATABASE) -> None:
    """Let it behave again.

    Example:  oddswire paper fault clear
    """
    # as above
    from oddswire.venues.paper import faults

    act(database, lambda store, _: faults.clear_faults(store))
    output.line("The paper venue behaves.")


def _set(database: "Path", name: "FaultName", times: int | None, milliseconds: int = 0) -> None:
    # as above
    from oddswire.venues.paper import faults

    fault = faults.Fault(name, times, milliseconds)
    act(database, lambda store, _: faults.set_fault(store, fault))
    how_long = "until `oddswire paper fault clear`" if times is None else output.counted(times, "time")
    output.line(f"The paper venue's fault {name} stands: {how_long}.")
