"""The store as everybody else sees it: units of work, and rings after their commit.

A unit of work is one plain function over a `Tx`. It never waits for anything but the database, and may be run again
from its start, so all it does goes through the `Tx`.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from msgspec import Struct

T = TypeVar("T")
SqlValue = int | str | bytes | None


class Ring(Struct, frozen=True, gc=False):
    """The doorbell: these events of a stream have been committed. A hint; the log is the truth.

    `history` is the database's, which with the stream makes the epoch. `frames` are the events' own encodings, `first`
    to `last`, or None when they are over 32 KiB together.
    """

    stream: int
    history: str
    first: int
    last: int
    frames: tuple[bytes, ...] | None


class Revoked(Struct, frozen=True, gc=False):
    """The doorbell for revocations: rows up to `number` have been committed."""

    number: int


Bell = Ring | Revoked
"""What may be rung."""


class Tx(Protocol):
    """One transaction. Statements are named: `orders.insert` is the statement `insert` of `orders.sql`."""

    def one(self, shape: Callable[..., T], name: str, *values: SqlValue) -> T | None:
        """Return `shape(*columns)` of the first row, or None where there is no row."""
        ...

    def all(self, shape: Callable[..., T], name: str, *values: SqlValue) -> list[T]:
        """Return `shape(*columns)` of every row."""
        ...

    def run(self, name: str, *values: SqlValue) -> int:
        """Run a statement that returns no rows; return how many rows it changed."""
        ...

    def ring(self, bell: Bell) -> None:
        """Ring once this unit is durable; a unit that fails rings nothing."""
        ...


class Store(Protocol):
    """A database of one history."""

    @property
    def history_id(self) -> str:
        """The name of this database's history; `restore` makes a new one."""
        ...

    async def write(self, unit: Callable[[Tx], T]) -> T:
        """Run `unit` in a transaction and return its result once that is durable.

        Whatever `unit` raises undoes it, and it alone, and is raised here. A caller that is cancelled changes
        nothing: the unit is committed all the same. Bells are rung, on the loop, before the result is seen.

        Raises:
            Unavailable: `store_unavailable`: nothing of this unit is stored.
        """
        ...

    async def read(self, unit: Callable[[Tx], T]) -> T:
        """Run `unit` on one consistent snapshot that holds all that was durable when it began."""
        ...

    def on_bells(self, listener: Callable[[Sequence[Bell]], None]) -> None:
        """Call `listener` on the loop with the bells of each commit, in commit order."""
        ...

    def on_foreign_write(self, listener: Callable[[], None]) -> None:
        """Call `listener` on the loop, within 250 ms, when another process has committed something."""
        ...
