"""Named SQL: every statement has a name, and is text in a `.sql` file beside its migrations."""

import re
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

_NAME = re.compile(r"^-- name: ([a-z0-9_]+)$", re.MULTILINE)
_PLACEHOLDER = re.compile(r"\$(\d+)")


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step of a schema."""

    number: int
    title: str
    sql: str


@dataclass(frozen=True, slots=True)
class Schema:
    """Tables and statements that belong together: a folder of `.sql` files with `migrations/NNNN_title.sql`."""

    name: str
    package: str

    @property
    def folder(self) -> Traversable:
        """Where its files are."""
        return files(self.package).joinpath("sql")

    def migrations(self) -> list[Migration]:
        """Return its steps in their order.

        Raises:
            ValueError: the numbers are not 1, 2, 3, …
        """
        steps = []
        for path in sorted(self.folder.joinpath("migrations").iterdir(), key=lambda path: path.name):
            number, _, title = path.name.removesuffix(".sql").partition("_")
            steps.append(Migration(int(number), title, path.read_text()))
        if [step.number for step in steps] != list(range(1, len(steps) + 1)):
            raise ValueError(f"the migrations of {self.name} are not numbered 1, 2, 3, …")
        return steps

    def statements(self) -> dict[str, str]:
        """Return its statements by `<file>.<name>`, placeholders as SQLite wants them (`?1`).

        Raises:
            ValueError: a name is there twice, or has no statement.
        """
        found: dict[str, str] = {}
        for path in self.folder.iterdir():
            if not path.name.endswith(".sql"):
                continue
            parts = _NAME.split(path.read_text())[1:]
            for name, sql in zip(parts[::2], parts[1::2], strict=True):
                full = f"{path.name.removesuffix('.sql')}.{name}"
                if full in found or not sql.strip():
                    raise ValueError(f"statement {full} is empty or there twice")
                found[full] = _PLACEHOLDER.sub(r"?\1", sql.strip())
        return found


CORE = Schema("core", "oddswire.store")
"""The tables of streams, auth, ledger and orders."""


def all_statements(schemas: list[Schema]) -> dict[str, str]:
    """Return the statements of several schemas.

    Raises:
        ValueError: two of them have a statement of the same name.
    """
    found: dict[str, str] = {}
    for schema in schemas:
        statements = schema.statements()
        if twice := found.keys() & statements.keys():
            raise ValueError(f"statements named twice: {sorted(twice)}")
        found |= statements
    return found
