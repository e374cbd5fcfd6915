"""What `backup`, `restore` and `check` draw while they work, where somebody looks."""

import json
from pathlib import Path

import pytest

from oddswire.cli import output
from oddswire.store.sqlite_file import backup, restore
from tests.cli.conftest import Cli, one_error_line
from tests.cli.terminal import on_a_terminal

Step = tuple[str, int, int | None]


@pytest.fixture
async def database(cli: Cli, tmp_path: Path) -> Path:
    path = tmp_path / "oddswire.db"
    await cli("app", "create", "shop", "-d", str(path))
    return path


def test_a_copy_tells_its_steps_and_how_far_they_are(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oddswire.store.sqlite_file.COPY_PAGES", 8)
    backing, restoring = list[Step](), list[Step]()

    backup(database, copy := database.with_name("copy.db"), lambda *step: backing.append(step))
    restore(copy, database.with_name("new.db"), progress=lambda *step: restoring.append(step))

    for steps in (backing, restoring):
        copied = [(done, total) for step, done, total in steps if step == "Copying …"]
        pages = copied[-1][1]
        assert pages is not None
        assert copied == [(min(done, pages), pages) for done in range(8, pages + 8, 8)]
    after = [step for step, _, _ in restoring if step != "Copying …"]
    assert after == ["Looking whether the copy is whole …", "Waiting for the disk …"]
    assert backing[-1] == ("Waiting for the disk …", 0, None)


async def test_steps_are_drawn_on_a_terminal(database: Path) -> None:
    copy = str(database.with_name("copy.db"))
    commands = (
        (("backup", copy, "-d", str(database)), "Copying …", "is a whole copy"),
        (("restore", copy, "-d", str(database.with_name("new.db"))), "Looking whether", "with a new history"),
        (("check", "-d", str(database)), "Check 14 of 14: our books are the venue's …", "nothing found"),
    )
    for words, step, end in commands:
        code, drawn = await on_a_terminal(*words)
        assert code == 0, drawn
        assert step in drawn
        assert end in " ".join(drawn.split("\n")[-3:])


async def test_nothing_is_drawn_in_a_pipe(cli: Cli, database: Path) -> None:
    done = await cli("backup", str(database.with_name("copy.db")), "-d", str(database))
    assert done.err == ""
    assert len(done.out.splitlines()) == 1


def test_a_step_that_ends_and_one_that_is_not_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    with output.working("First …") as move:
        move("First …", 5, 5)
        move("Second …", 1_234, None)
    drawn = capsys.readouterr().err
    assert "Second … 1,234" in drawn
    assert "100%" not in drawn.split("Second")[-1]


async def test_what_is_in_the_way_is_said_with_what_to_do_about_it(cli: Cli, database: Path) -> None:
    copy = str(database.with_name("copy.db"))
    assert (await cli("backup", copy, "-d", str(database))).code == 0
    assert "give it another place" in one_error_line(await cli("backup", copy, "-d", str(database)), 2)
    line = one_error_line(await cli("restore", copy, "-d", str(database)), 2)
    assert "--force puts the backup in its place" in line
    assert "rights and space" not in line


async def test_who_copied_and_who_went_back_is_written_down(cli: Cli, database: Path) -> None:
    copy, at = database.with_name("copy.db"), ("-d", str(database))
    assert (await cli("backup", str(copy), *at)).code == 0
    await cli("app", "disable", "shop", *at)
    assert (await cli("restore", str(copy), "--force", *at)).code == 0
    listed = [json.loads(line) for line in (await cli("acts", "--json", *at)).out.splitlines()]
    assert [(act["act"], act["detail"].get("copy")) for act in listed][:2] == [
        ("database.restore", "copy.db"),
        ("app.create", None),
    ]
