"""A database's tables, brought up to date step by step; who has ever touched it is written in it."""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from oddswire.errors import OperatorError
from oddswire.ids import new_history_id
from oddswire.store.queries import Migration, Schema
from oddswire.store.sqlite_file import APPLICATION_ID, is_ours, unusable

_OWN_TABLES = """
CREATE TABLE history (history_id TEXT NOT NULL, begun_at BIGINT NOT NULL);
CREATE TABLE migrations (schema TEXT NOT NULL, number BIGINT NOT NULL, title TEXT NOT NULL, applied_at BIGINT NOT NULL,
    PRIMARY KEY (schema, number));
"""


def bring_up_to_date(connection: sqlite3.Connection, path: Path, schemas: Sequence[Schema]) -> str:
    """Mark a new file as ours, apply the migrations that are missing, and return the history's id.

    Each migration is one transaction: a crash in the middle leaves the one before. A database that is up to date is
    only read, so that opening it never waits for who is writing.

    Raises:
        OperatorError: `database_foreign`, `database_newer`, `database_locked` or `database_unusable`.
    """
    try:
        if not is_ours(connection, path):
            _claim(connection, path)
        for schema in schemas:
            steps = schema.migrations()
            done = _done(connection, path, schema, len(steps))
            for step in steps[done:]:
                _apply(connection, path, schema, step, len(steps))
        row = connection.execute("SELECT history_id FROM history").fetchone()
    except sqlite3.Error as fault:
        raise unusable(path, fault) from fault
    return str(row[0])


def _claim(connection: sqlite3.Connection, path: Path) -> None:
    with _transaction(connection):
        # another process may have been faster
        if is_ours(connection, path):
            return
        for statement in split_script(_OWN_TABLES):
            connection.execute(statement)
        connection.execute("INSERT INTO history (history_id, begun_at) VALUES (?, ?)", (new_history_id(), _now()))
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")


def _done(connection: sqlite3.Connection, path: Path, schema: Schema, known: int) -> int:
    row = connection.execute("SELECT COALESCE(MAX(number), 0) FROM migrations WHERE schema = ?", (schema.name,))
    done = int(row.fetchone()[0])
    if done > known:
        raise OperatorError(
            "database_newer",
            f"{path} was made by a newer version: its {schema.name} tables are at step {done}, "
            f"this version knows {known}.",
        )
    return done


def _apply(connection: sqlite3.Connection, path: Path, schema: Schema, step: Migration, known: int) -> None:
    with _transaction(connection):
        # asked again under the write lock: another process may have been faster
        if _done(connection, path, schema, known) >= step.number:
            return
        for statement in split_script(step.sql):
            connection.execute(statement)
        connection.execute(
            "INSERT INTO migrations (schema, number, title, applied_at) VALUES (?, ?, ?, ?)",
            (schema.name, step.number, step.title, _now()),
        )


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def split_script(sql: str) -> list[str]:
    """Return the statements of a script, each of which ends its line; `executescript` would commit after each."""
    statements, part = [], ""
    for line in sql.splitlines():
        part += line + "\n"
        if sqlite3.complete_statement(part):
            statements.append(part)
            part = ""
    return [*statements, part] if part.strip() else statements


def _now() -> int:
    return time.time_ns() // 1_000_000
