"""Named SQL: every statement has a name, and is text in a `.sql` file beside its migrations."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

_NAME = re.compile(r"^-- name: ([a-z][a-z0-9_]*)$", re.MULTILINE)
_MEANT_AS_NAME = re.compile(r"^[ \t]*--[ \t]*name[ \t]*:.*$", re.MULTILINE | re.IGNORECASE)
_COMMENT = re.compile(r"--.*$", re.MULTILINE)
_PLACEHOLDER = re.compile(r"\$(\d+)")
_STEP = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_FIRST_WORDS = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")


class Statements(dict[str, str]):
    """Statements by `<file>.<name>`; a name that is not there is a `KeyError` that says so."""

    def __missing__(self, name: str) -> str:
        raise KeyError(f"no statement is named {name}")


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step of a schema."""

    number: int
    title: str
    sql: str


@dataclass(frozen=True, slots=True)
class Schema:
    """Tables and statements that belong together: `sql/*.sql` of a package, with `sql/migrations/NNNN_title.sql`."""

    name: str
    package: str

    @property
    def folder(self) -> Traversable:
        """Where its files are."""
        return files(self.package).joinpath("sql")

    def migrations(self) -> list[Migration]:
        """Return its steps in their order.

        Raises:
            ValueError: a file is not named `NNNN_title.sql`, or the numbers are not 1, 2, 3, …
        """
        steps = []
        for path in _sql_files(self.folder.joinpath("migrations")):
            named = _STEP.fullmatch(path.name)
            if named is None:
                raise ValueError(f"a migration is named NNNN_title.sql, not {path.name}")
            steps.append(Migration(int(named[1]), named[2], path.read_text("utf-8")))
        if [step.number for step in steps] != list(range(1, len(steps) + 1)):
            raise ValueError(f"the migrations of {self.name} are not numbered 1, 2, 3, …")
        return steps

    def statements(self) -> Statements:
        """Return its statements, placeholders as SQLite wants them (`?1`).

        Raises:
            ValueError: a name is there twice or badly written, or what stands under it is not one statement that
                reads or changes rows. What begins or ends a transaction is the store's alone.
        """
        found = Statements()
        for path in _sql_files(self.folder):
            text = path.read_text("utf-8")
            if wrong := [line for line in _MEANT_AS_NAME.findall(text) if not _NAME.fullmatch(line)]:
                raise ValueError(f"{path.name}: a name is written '-- name: x', not '{wrong[0]}'")
            before, *parts = _NAME.split(text)
            if _COMMENT.sub("", before).strip():
                raise ValueError(f"{path.name}: a statement stands before the first name")
            for name, sql in zip(parts[::2], parts[1::2], strict=True):
                full = f"{path.name.removesuffix('.sql')}.{name}"
                if full in found:
                    raise ValueError(f"statement {full} is there twice")
                if not _COMMENT.sub("", sql).lstrip().upper().startswith(_FIRST_WORDS):
                    raise ValueError(f"statement {full} is empty, or neither reads nor changes rows")
                found[full] = _PLACEHOLDER.sub(r"?\1", sql.strip())
        return found


CORE = Schema("core", "oddswire.store")
"""The tables of streams, auth, ledger and orders."""


def all_statements(schemas: Iterable[Schema]) -> Statements:
    """Return the statements of several schemas.

    Raises:
        ValueError: two of them have a statement of the same name.
    """
    found = Statements()
    for schema in schemas:
        statements = schema.statements()
        if twice := found.keys() & statements.keys():
            raise ValueError(f"statements named twice: {sorted(twice)}")
        found |= statements
    return found


def _sql_files(folder: Traversable) -> list[Traversable]:
    return sorted((path for path in folder.iterdir() if path.name.endswith(".sql")), key=lambda path: path.name)
