"""Rows read page by page inside one unit, as JSON objects: for whoever exports what is kept of somebody."""

from collections.abc import Iterator
from typing import Final, NamedTuple, TypeAlias

from msgspec import Raw

from oddswire.store.base import SqlValue, Tx

Line: TypeAlias = "dict[str, SqlValue | bool | Raw]"
_PAGE: Final = 500
_FLAGS: Final = frozenset({"postOnly", "reversed"})
_JSON: Final = frozenset({"event"})


class Part(NamedTuple):
    """One statement that pages: its columns' names, of which the first `len(start)` are the key it goes on behind.

    A name that ends in `Raw` is an amount in millionths, and becomes an integer string.
    """

    kind: str
    statement: str
    columns: tuple[str, ...]
    start: tuple[int | str, ...]


def lines(tx: Tx, part: Part, *whose: SqlValue) -> Iterator[Line]:
    """Yield every row of a part, `kind` first; no more than one page is in memory."""
    after: tuple[SqlValue, ...] = part.start
    while True:
        page = tx.all(_row, part.statement, *whose, *after, _PAGE)
        for row in page:
            yield {
                "kind": part.kind,
                **{name: _value(name, cell) for name, cell in zip(part.columns, row, strict=True)},
            }
        if len(page) < _PAGE:
            return
        after = page[-1][: len(part.start)]


def _row(*columns: SqlValue) -> tuple[SqlValue, ...]:
    return columns


def _value(name: str, cell: SqlValue) -> SqlValue | bool | Raw:
    if name.endswith("Raw"):
        return None if cell is None else str(cell)
    if name in _FLAGS:
        return bool(cell)
    return Raw(str(cell).encode()) if name in _JSON else cell
