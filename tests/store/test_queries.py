import re
from importlib.resources import files
from pathlib import Path

import pytest

from oddswire.store.migrate import bring_up_to_date
from oddswire.store.queries import CORE, Schema, all_statements
from oddswire.store.sqlite_file import connect

SOURCE = Path(str(files("oddswire")))
SCHEMAS = [
    Schema(folder.parent.name, ".".join(folder.parent.relative_to(SOURCE.parent).parts))
    for folder in sorted(SOURCE.rglob("sql"))
    if (folder / "migrations").is_dir()
]


def schema(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **sql: str) -> Schema:
    """Return a schema of these files: `orders="…"` is `orders.sql`, `_0001_x="…"` is a migration."""
    package = f"schema_of_{re.sub(r'[^a-z0-9]', '_', tmp_path.name)}"
    folder = tmp_path / package / "sql"
    (folder / "migrations").mkdir(parents=True)
    (tmp_path / package / "__init__.py").touch()
    for name, text in sql.items():
        (folder / (f"migrations/{name[1:]}.sql" if name[0] == "_" else f"{name}.sql")).write_text(text, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return Schema("a schema", package)


def test_every_schema_in_the_source_is_found() -> None:
    assert {one.package for one in SCHEMAS} >= {"oddswire.store", "oddswire.venues.paper"}


def test_every_statement_prepares_on_the_migrated_database(tmp_path: Path) -> None:
    path = tmp_path / "all.db"
    connection = connect(path)
    try:
        bring_up_to_date(connection, path, SCHEMAS)
        for name, sql in all_statements(SCHEMAS).items():
            count = max(map(int, re.findall(r"\?(\d+)", sql)), default=0)
            try:
                connection.execute(f"EXPLAIN {sql}", (None,) * count)
            except Exception as fault:
                raise AssertionError(f"{name} does not prepare: {fault}") from fault
    finally:
        connection.close()


@pytest.mark.parametrize(("name", "sql"), all_statements(SCHEMAS).items())
def test_every_statement_can_be_run_by_both_databases(name: str, sql: str) -> None:
    used = {int(number) for number in re.findall(r"\?(\d+)", sql)}
    assert used == set(range(1, len(used) + 1)), f"{name} leaves a placeholder out"
    assert not re.search(r"\b(OR REPLACE|OR IGNORE|OR ROLLBACK|ROWID|IFNULL|AUTOINCREMENT|GLOB|PRAGMA)\b", sql, re.I)
    assert not re.search(r"(?<!\w)\?(?!\d)", sql), f"{name} has a placeholder without a number"


def test_every_statement_named_in_the_source_is_there() -> None:
    statements = all_statements(SCHEMAS)
    stems = {name.partition(".")[0] for name in statements}
    named = re.compile(r'\b(?:tx|self\._?tx)\.(?:one|all|run)\(\s*(?:[\w.]+,\s*)?"([a-z0-9_]+\.[a-z0-9_]+)"')
    used = {name for path in SOURCE.rglob("*.py") for name in named.findall(path.read_text("utf-8"))}
    assert len(used) > len(statements) / 2
    assert {name for name in used if name.partition(".")[0] in stems} - statements.keys() == {
        "apps.no_such"  # the store suite asks for it
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("-- name: a\nSELECT 1;\n-- name: a\nSELECT 2;", "twice"),
        ("-- name: a\n\n-- name: b\nSELECT 1;", "empty"),
        ("-- name: a\n-- only a comment\n", "empty"),
        ("-- name: a\nCOMMIT;", "neither reads nor changes"),
        ("-- name: a\nPRAGMA user_version;", "neither reads nor changes"),
        ("SELECT 1;\n-- name: a\nSELECT 1;", "before the first name"),
        ("-- name: a\nSELECT 1;\n--name: b\nSELECT 2;", "--name: b"),
        ("-- name: a\nSELECT 1;\n-- Name: b\nSELECT 2;", "-- Name: b"),
        ("-- name: A-b\nSELECT 1;", "-- name: A-b"),
        ("-- name:\nSELECT 1;", "-- name:"),
    ],
)
def test_a_file_that_is_badly_written_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        schema(monkeypatch, tmp_path, orders=text).statements()


def test_statements_are_named_by_file_and_numbered_for_sqlite(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = "-- What these are.\n\n-- name: a\nSELECT $1, $12;\n\n-- name: b_2\n-- why\nSELECT 'ü';\n"
    found = schema(monkeypatch, tmp_path, orders=text).statements()
    assert found == {"orders.a": "SELECT ?1, ?12;", "orders.b_2": "-- why\nSELECT 'ü';"}
    with pytest.raises(KeyError, match=r"no statement is named orders\.c"):
        found["orders.c"]


def test_two_schemas_do_not_share_a_name() -> None:
    with pytest.raises(ValueError, match="twice"):
        all_statements([CORE, CORE])


@pytest.mark.parametrize("wrong", [["_0002_b"], ["_0001_a", "_0003_c"], ["_1_a"], ["_0001_A"], ["_0001_a", "_0001_b"]])
def test_migrations_are_numbered_without_a_hole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wrong: list[str]
) -> None:
    with pytest.raises(ValueError, match="migration"):
        schema(monkeypatch, tmp_path, **dict.fromkeys(wrong, "SELECT 1;")).migrations()


def test_statements_name_their_columns() -> None:
    """A column that a migration adds must not move the others."""
    unnamed = re.compile(r"(SELECT|RETURNING) (\w+\.)?\*|INSERT INTO \w+\s+VALUES")
    assert [name for name, sql in all_statements(SCHEMAS).items() if unnamed.search(sql)] == []
