"""What goes to the terminal: plain lines for pipes, tables and colours where a person looks."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
import typer

from oddswire.money import format_amount

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

SIDE_COLOURS = {"buy": "green", "sell": "red"}
STATUS_COLOURS = {
    **{"pending": "yellow", "unconfirmed": "bold yellow", "open": "cyan", "partially_filled": "cyan"},
    **{"filled": "green", "canceled": "dim", "expired": "dim", "rejected": "red"},
}
_PIPE_WIDTH = 240
_encoder = msgspec.json.Encoder(decimal_format="number")


def line(text: str) -> None:
    """Write one line to standard output, at once."""
    typer.echo(text)


def note(text: str) -> None:
    """Write one line to standard error: for people, not for the pipe."""
    typer.echo(text, err=True)


def as_json(value: object) -> str:
    """Return a value as one line of JSON, decimals as exact numbers."""
    return _encoder.encode(value).decode()


def show(what: "RenderableType", *, error: bool = False) -> None:
    """Draw on the terminal; in a pipe the same as plain text, its lines not cut at a width nobody has."""
    console(error=error).print(what, soft_wrap=isinstance(what, str) or not hasattr(what, "columns"))


def console(*, error: bool = False) -> "Console":
    """Return the terminal as rich sees it."""
    # rich is a third of the start-up of commands that draw nothing
    from rich.console import Console

    stream = sys.stderr if error else sys.stdout
    return Console(file=stream, highlight=False, width=None if stream.isatty() else _PIPE_WIDTH)


def table(title: str | None, columns: Sequence[str], right: Sequence[str] = ()) -> "Table":
    """Return an empty table; the columns named in `right` hold numbers."""
    # as above
    from rich import box
    from rich.table import Table

    made = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        made.add_column(name, justify="right" if name in right else "left", no_wrap=True)
    return made


def coloured(text: str, colours: dict[str, str]) -> str:
    """Return `text` in rich markup, in its own colour if it has one."""
    colour = colours.get(text)
    return f"[{colour}]{text}[/]" if colour else text


def dollars(cents: int | None) -> str:
    """Return whole cents as dollars with thousands: `1,000.50`; `?` where the venue does not tell."""
    if cents is None:
        return "?"
    sign, (whole, part) = "-" if cents < 0 else "", divmod(abs(cents), 100)
    return f"{sign}{whole:,}.{part:02d}"


def amount(raw: str) -> str:
    """Return an integer string of millionths as plain decimal text."""
    return format_amount(int(raw))


def number(value: Decimal) -> str:
    """Return an exact decimal as plain text."""
    return format(value, "f")


@contextmanager
def working(said: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show a bar on the terminal while something works; yield what moves it: done, of how many (None: not known)."""
    # as above
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    drawn = console(error=True)
    with Progress(*columns, console=drawn, transient=True, disable=not drawn.is_terminal) as progress:
        task = progress.add_task(said, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
