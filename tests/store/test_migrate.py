import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from oddswire.errors import OperatorError
from oddswire.store.migrate import bring_up_to_date, split_script
from oddswire.store.queries import CORE, Migration, Schema
from oddswire.store.sqlite_file import APPLICATION_ID, connect, is_ours
from tests.store.conftest import SAMPLE
from tests.store.test_queries import schema

FIRST = "CREATE TABLE a (x BIGINT);\nINSERT INTO a VALUES (1);\n"


def steps(connection: sqlite3.Connection) -> list[tuple[str, int, str]]:
    return connection.execute("SELECT schema, number, title FROM migrations ORDER BY schema, number").fetchall()


def test_a_new_file_is_marked_and_gets_every_table(path: Path) -> None:
    with closing(connect(path)) as connection:
        history = bring_up_to_date(connection, path, [CORE, SAMPLE])
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert connection.execute("SELECT history_id FROM history").fetchall() == [(history,)]
        core = [("core", step.number, step.title) for step in CORE.migrations()]
        assert steps(connection) == [*core, ("sample", 1, "sample")]
    with closing(connect(path)) as again:
        assert bring_up_to_date(again, path, [CORE, SAMPLE]) == history
        assert len(steps(again)) == len(core) + 1


def test_only_what_is_missing_is_applied(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    old = schema(monkeypatch, tmp_path / "1", _0001_first=FIRST)
    # the last statement of a step counts also without its semicolon
    new = schema(monkeypatch, tmp_path / "2", _0001_first=FIRST, _0002_second="INSERT INTO a VALUES (2)")
    with closing(connect(path)) as connection:
        bring_up_to_date(connection, path, [old])
        bring_up_to_date(connection, path, [new])
        bring_up_to_date(connection, path, [new])
        assert connection.execute("SELECT x FROM a").fetchall() == [(1,), (2,)]
        with pytest.raises(OperatorError, match="made by a newer version: its a schema tables are at step 2") as fault:
            bring_up_to_date(connection, path, [old])
        assert fault.value.code == "database_newer"


def test_a_step_that_fails_leaves_the_one_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, path: Path) -> None:
    broken = schema(monkeypatch, tmp_path, _0001_first=FIRST, _0002_wrong="DELETE FROM a;\nDELETE FROM missing;")
    with closing(connect(path)) as connection:
        with pytest.raises(OperatorError, match="no such table: missing"):
            bring_up_to_date(connection, path, [broken])
        assert not connection.in_transaction
        assert connection.execute("SELECT x FROM a").fetchall() == [(1,)]
        assert steps(connection) == [("a schema", 1, "first")]


def test_a_database_that_is_up_to_date_is_opened_while_another_writes(path: Path) -> None:
    with closing(connect(path)) as one, closing(connect(path)) as other:
        history = bring_up_to_date(one, path, [CORE])
        one.execute("BEGIN IMMEDIATE")
        other.execute("PRAGMA busy_timeout=0")
        assert bring_up_to_date(other, path, [CORE]) == history


def test_a_file_that_another_process_claims_between_two_looks_is_not_foreign(path: Path) -> None:
    claimed: list[str] = []

    def claim(sql: str) -> None:
        if "sqlite_master" in sql and not claimed:
            claimed.append(bring_up_to_date(other, path, [CORE]))

    with closing(connect(path)) as one, closing(connect(path)) as other:
        one.set_trace_callback(claim)
        assert is_ours(one, path) is False
        one.set_trace_callback(None)
        assert len(claimed) == 1
        assert bring_up_to_date(one, path, [CORE]) == claimed[0]


def test_many_processes_that_make_one_file_agree(path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from oddswire.store.queries import CORE\n"
        "from oddswire.store.migrate import bring_up_to_date; from oddswire.store.sqlite_file import connect\n"
        "path = Path(sys.argv[1]); print('ready', flush=True); sys.stdin.readline()\n"
        "print(bring_up_to_date(connect(path), path, [CORE]))\n"
    )
    command = [sys.executable, "-c", script, str(path)]
    made = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    for process in made:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    told = []
    for process in made:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in made:
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        told.append(out)
    assert len(set(told)) == 1


def test_a_script_is_split_where_statements_end() -> None:
    trigger = "CREATE TRIGGER t AFTER INSERT ON a BEGIN\n  DELETE FROM a;\n  DELETE FROM b;\nEND;\n"
    assert split_script(f"SELECT ';';\n{trigger}SELECT 2 -- ;\n") == ["SELECT ';';\n", trigger, "SELECT 2 -- ;\n"]
    assert split_script("\n\n") == []


class FirstCore(Schema):
    """The core tables as a version before cancel on disconnect made them."""

    def migrations(self) -> list[Migration]:
        return super().migrations()[:1]


def test_orders_of_before_sessions_were_noted_stay_as_they_are(path: Path) -> None:
    with closing(connect(path)) as connection:
        bring_up_to_date(connection, path, [FirstCore(CORE.name, CORE.package)])
        columns = len(connection.execute("PRAGMA table_info(orders)").fetchall())
        row = tuple(f"{number}" for number in range(columns))
        connection.execute(f"INSERT INTO orders VALUES ({','.join('?' * columns)})", row)
        before = connection.execute("SELECT * FROM orders").fetchone()
        bring_up_to_date(connection, path, [CORE])
        assert connection.execute("SELECT * FROM orders").fetchone() == (*before, None)
        wanted = "SELECT order_id FROM orders WHERE cancel_wanted > 0 AND order_id > '' ORDER BY order_id"
        assert "orders_cancel_wanted" in str(connection.execute(f"EXPLAIN QUERY PLAN {wanted}").fetchall())
        assert connection.execute(wanted).fetchall() == [("0",)]
