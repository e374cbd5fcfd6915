"""Apps and users that are none: who is asked for is looked for in the other apps."""

from pathlib import Path

import pytest

from oddswire.testing.gateway import RunningGateway
from tests.cli.conftest import Cli, one_error_line


async def test_no_app_at_all(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "oddswire.db").touch()
    assert "`oddswire app create APP_ID` makes one" in (await cli("app", "list")).out
    for words in (("user", "kick", "ann"), ("session", "list", "ann"), ("user", "list", "--app", "demo")):
        line = one_error_line(await cli(*words), 1)
        assert line == "error: There is no app 'demo', and no other. `oddswire app create APP_ID` makes one."


async def test_the_other_apps_are_named_as_long_as_they_are_few(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for count, said in (
        (1, "only 'a1': give --app a1."),
        (2, "only 'a1', 'a2': say which with --app."),
        (3, "only 'a1', 'a2', 'a3': say which"),
        (4, "only 'a1', 'a2', 'a3' and 1 more: say which"),
    ):
        await cli("app", "create", f"a{count}")
        for words in (("user", "kick", "ann"), ("session", "list", "ann"), ("user", "list", "--app", "demo")):
            assert f"There is no app 'demo', {said}" in one_error_line(await cli(*words), 1)


async def test_a_user_of_another_app_is_found_there(cli: Cli, gateway: RunningGateway) -> None:
    await gateway.sign_in("ann")
    at = ("--database", str(gateway.database))
    assert (await cli("app", "create", "shop", *at)).code == 0
    for command in (("session", "list", "ann"), ("user", "kick", "ann"), ("paper", "deposit", "ann", "5")):
        line = one_error_line(await cli(*command, "--app", "shop", *at), 1)
        assert f"App 'shop' has no user 'ann', but '{gateway.app_id}' has one: give --app {gateway.app_id}." in line
        assert "but" not in one_error_line(await cli(*command[:2], "bob", *command[3:], "--app", "shop", *at), 1)


async def test_a_mistyped_app_gets_no_book(cli: Cli, gateway: RunningGateway) -> None:
    at = ("--database", str(gateway.database))
    for words in (("pause", "fed-cut-dec"), ("resume", "fed-cut-dec"), ("resolve", "fed-cut-dec", "yes")):
        assert "There is no app 'nope'" in one_error_line(await cli("paper", *words, "--app", "nope", *at), 1)
    assert (await cli("paper", "pause", "fed-cut-dec", "--app", gateway.app_id, *at)).code == 0
    assert (await cli("check", *at)).code == 0
