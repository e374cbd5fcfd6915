"""Commands that open a database: what they do, and what they say where it cannot be used."""

import json
import sqlite3
from pathlib import Path

import pytest

from oddswire.cli import databases, options
from tests.cli.conftest import Cli, one_error_line
from tests.cli.processes import ended, line_with, started

ON_A_DATABASE = [
    ("check",),
    ("app", "list"),
    ("app", "disable", "shop"),
    ("user", "list"),
    ("user", "kick", "alice"),
    ("session", "list", "alice"),
    ("session", "revoke", "ses_1"),
    ("backup", "copy.db"),
    ("paper", "deposit", "alice", "1"),
    ("paper", "pause", "fed-cut-dec"),
]


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / options.DATABASE


async def test_an_app_is_made_listed_and_switched_off(cli: Cli, at: Path) -> None:
    made = await cli("app", "create", "shop", "--origin", "https://shop.example", "--json")
    assert made.code == 0
    answer = json.loads(made.out)
    assert answer["appId"] == "shop"
    assert answer["apiKey"].startswith("ow_")

    assert (await cli("app", "disable", "shop")).code == 0

    listed = await cli("app", "list", "--json")
    assert json.loads(listed.out) == {
        "appId": "shop",
        "active": False,
        "origins": ["https://shop.example"],
        "wallet": False,
    }
    assert "https://shop.example" in (await cli("app", "list")).out
    assert answer["apiKey"] not in listed.out


async def test_the_key_is_shown_with_a_word_of_care(cli: Cli, at: Path) -> None:
    done = await cli("app", "create", "shop")
    assert "ow_" in done.out
    assert "cannot be shown again" in done.err


async def test_an_app_that_exists_is_refused(cli: Cli, at: Path) -> None:
    await cli("app", "create", "shop")
    assert "already" in one_error_line(await cli("app", "create", "shop"), 1)


async def test_a_wrong_id_and_a_wrong_origin_are_the_callers_mistake(cli: Cli, at: Path) -> None:
    assert "a-z" in one_error_line(await cli("app", "create", "Shop!"), 2)
    assert "origin" in one_error_line(await cli("app", "create", "shop", "--origin", "shop.example/x"), 2).lower()


@pytest.mark.parametrize("words", ON_A_DATABASE, ids=" ".join)
async def test_a_missing_database_is_not_made(cli: Cli, at: Path, words: tuple[str, ...]) -> None:
    assert "oddswire.db" in one_error_line(await cli(*words), 2)
    assert list(at.parent.iterdir()) == []


@pytest.mark.parametrize("words", ON_A_DATABASE, ids=" ".join)
async def test_a_foreign_database_is_left_alone(cli: Cli, at: Path, words: tuple[str, ...]) -> None:
    with sqlite3.connect(at) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
    connection.close()
    assert "another program" in one_error_line(await cli(*words), 2)


async def test_a_file_that_is_no_database(cli: Cli, tmp_path: Path) -> None:
    diary = tmp_path / "diary.txt"
    diary.write_text("dear diary, " * 200)
    assert "no SQLite database" in one_error_line(await cli("check", "-d", str(diary)), 2)


async def test_a_newer_database_is_refused(cli: Cli, at: Path) -> None:
    await cli("app", "create", "shop")
    with sqlite3.connect(at) as connection:
        connection.execute("INSERT INTO migrations VALUES ('core', 99, 'later', 0)")
    connection.close()
    assert "newer version" in one_error_line(await cli("check"), 2)


async def test_a_database_where_none_can_be(cli: Cli, tmp_path: Path) -> None:
    line = one_error_line(await cli("app", "create", "shop", "-d", str(tmp_path / "no" / "where.db")), 2)
    assert "where.db cannot be" in line


async def test_backup_and_restore(cli: Cli, at: Path) -> None:
    await cli("app", "create", "shop")
    assert json.loads((await cli("backup", "copy.db", "--json")).out)["bytes"] > 0
    assert "exists" in one_error_line(await cli("backup", "copy.db"), 2)
    await cli("app", "create", "later")

    assert "--force" in one_error_line(await cli("restore", "copy.db"), 2)
    restored = await cli("restore", "copy.db", "--force", "--json")
    assert json.loads(restored.out)["historyId"]

    assert "later" not in (await cli("app", "list")).out
    assert "no.db" in one_error_line(await cli("restore", "no.db", "--force"), 2)


async def test_a_second_serve_on_one_database_is_refused(at: Path) -> None:
    async with started("serve", "--dev", "--port", "0", "--admin", "127.0.0.1:0") as first:
        await line_with(first, "is ready")
        async with started("serve", "--dev", "--port", "0", "--admin", "127.0.0.1:0") as second:
            code, out, err = await ended(second)

    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert f"served by process {first.pid}." in err
    assert len(err.splitlines()) == 1


def test_what_the_command_line_reads_is_no_setting() -> None:
    environ = {"ODDSWIRE_TOKEN": "t", "ODDSWIRE_URL": "u", "ODDSWIRE_DATABASE": "d", "ODDSWIRE_DRAIN_SECONDS": "1"}
    assert databases.settings(environ).drain_seconds == 1
