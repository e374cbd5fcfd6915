"""What goes to the terminal: plain lines for pipes, tables and colours where a person looks."""

import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import msgspec
import typer

from oddswire.errors import OperatorError
from oddswire.money import format_amount

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

Cell: TypeAlias = "str | Text"
"""What stands in a table: plain text, or text with colours."""
SIDE_COLOURS = {"buy": "green", "sell": "red"}
STATUS_COLOURS = {
    **{"pending": "yellow", "unconfirmed": "bold yellow", "open": "cyan", "partially_filled": "cyan"},
    **{"filled": "green", "canceled": "dim", "expired": "dim", "rejected": "red"},
}
_PIPE_WIDTH = 240
_TEXTS = frozenset({"detail", "label", "market, outcome", "title", "what"})
"""Columns of words: on a narrow terminal they take more lines, so that ids and numbers stay whole."""
_encoder = msgspec.json.Encoder(decimal_format="number")


class ReaderGone(Exception):
    """Nobody reads our output any more, as behind `| head`: a normal end."""


def line(text: str) -> None:
    """Write one line to standard output, at once.

    Raises:
        ReaderGone: there is no reader.
        OperatorError: `output_unusable`.
    """
    with _writing():
        typer.echo(text)


def program() -> str:
    """Return how this command is called from here: its name, or its path where a shell would not find it."""
    if shutil.which("oddswire") is not None:
        return "oddswire"
    own, here = Path(sys.executable).with_name("oddswire"), Path.cwd()
    return str(own.relative_to(here) if own.is_relative_to(here) else own)


def note(text: str) -> None:
    """Write one line to standard error: for people, not for the pipe."""
    typer.echo(text, err=True)


def as_json(value: object) -> str:
    """Return a value as one line of JSON, decimals as exact numbers."""
    return _encoder.encode(value).decode()


def show(what: "RenderableType", *, error: bool = False) -> None:
    """Draw on the terminal; in a pipe the same as plain text, its lines not cut at a width nobody has.

    Raises:
        ReaderGone, OperatorError: as `line`.
    """
    drawn = console(error=error)
    is_table = hasattr(what, "columns")
    if is_table:
        # ids and numbers stay whole: a terminal too narrow for them folds the lines by itself, and nothing is lost
        least = drawn.measure(what, options=drawn.options.update_width(_PIPE_WIDTH)).minimum
        drawn.width = max(drawn.width, least)
    with _writing():
        drawn.print(what, soft_wrap=not is_table)


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except (BrokenPipeError, SystemExit) as fault:
        # rich makes an exit of a broken pipe
        raise ReaderGone from fault
    except OSError as fault:
        raise OperatorError("output_unusable", f"The output cannot be written: {fault.strerror}.") from fault


def console(*, error: bool = False) -> "Console":
    """Return the terminal as rich sees it."""
    # rich is a third of the start-up of commands that draw nothing
    from rich.console import Console

    stream = sys.stderr if error else sys.stdout
    return Console(file=stream, highlight=False, width=None if stream.isatty() else _PIPE_WIDTH)


def table(title: str | None, columns: Sequence[str], right: Sequence[str] = ()) -> "Table":
    """Return an empty table; the columns named in `right` hold numbers, and only texts are broken to fit."""
    # as above
    from rich import box
    from rich.table import Table

    made = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
        pad_edge=False,
    )
    for name in columns:
        made.add_column(name, justify="right" if name in right else "left", no_wrap=name not in _TEXTS)
    return made


def rows(columns: Sequence[str], lines: Iterable[Sequence[Cell]], right: Sequence[str] = ()) -> None:
    """Draw a table of cells that say what they hold: nothing in them is markup, or moves the cursor."""
    # as above
    from rich.cells import cell_len
    from rich.text import Text

    drawn = table(None, columns, right)
    for cells in lines:
        made = [Text(_printable(cell)) if isinstance(cell, str) else cell for cell in cells]
        drawn.add_row(*made)
        for column, cell in zip(drawn.columns, made, strict=True):
            if column.no_wrap:
                column.min_width = max(
                    column.min_width or cell_len(str(column.header)), *map(cell_len, cell.plain.split("\n"))
                )
    show(drawn)


def _printable(text: str) -> str:
    """Return text that came from others, what would steer the terminal replaced; only a line's end stays."""
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)


def coloured(text: str, colours: dict[str, str]) -> "Text":
    """Return `text` in its own colour if it has one."""
    # as above
    from rich.text import Text

    return Text(text, colours.get(text, ""))


def moment(timestamp: int) -> str:
    """Return Unix epoch ms as a local date and time, to the second."""
    return f"{datetime.fromtimestamp(timestamp // 1000).astimezone():%Y-%m-%d %H:%M:%S}"


def counted(count: int, what: str) -> str:
    """Return `1 session`, `2 sessions`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


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
def working(first: str) -> Iterator[Callable[[str, int, int | None], None]]:
    """Show a bar on the terminal while something works, step by step, and take it away at the end.

    Yield what moves it: the step, how much of it is done, of how much (None: not known, the bar only swings).
    """
    # as above
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    drawn = console(error=True)
    with Progress(*columns, console=drawn, transient=True, disable=not drawn.is_terminal) as progress:
        task, step = progress.add_task(first, total=None), first

        def move(now: str, done: int, total: int | None) -> None:
            nonlocal task, step
            if now != step:
                # a task that has ended, or has a total, cannot begin anew without one
                progress.remove_task(task)
                task, step = progress.add_task(now, total=total), now
            counted = f"{now} {done:,} done" if total is None and done else now
            progress.update(task, completed=done, total=total, description=counted)

        yield move
