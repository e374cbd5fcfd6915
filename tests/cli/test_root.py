"""Every command explains itself; a mistake is one line that says what to do next."""

import re
import subprocess
import sys
from importlib.metadata import version
from typing import Any

import pytest
import typer.main

from oddswire.cli.root import root
from oddswire.errors import CODES
from tests.cli.conftest import Cli, one_error_line


def paths(command: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    inner = getattr(command, "commands", {})
    return [path, *(found for name, sub in inner.items() for found in paths(sub, (*path, name)))]


def is_group(path: tuple[str, ...]) -> bool:
    """Whether there are commands below: it is they that have examples."""
    return any(other[: len(path)] == path and other != path for other in COMMANDS)


COMMANDS = paths(typer.main.get_command(root))


def test_every_command_is_there() -> None:
    assert {" ".join(path) for path in COMMANDS} == {
        *("", "serve", "demo", "check", "backup", "restore", "token", "watch"),
        *(
            "app",
            "app create",
            "app list",
            "app disable",
            "app wallet",
            "app wallet on",
            "app wallet off",
            "order",
            "order place",
            "order cancel",
        ),
        *("order cancel-all", "order list", "markets", "balance", "holdings", "fills", "events"),
        *("keys", "keys list", "keys rotate", "keys retire"),
        *("app provider", "app provider set", "app provider show", "app provider remove"),
        *("app enable", "app origins", "app key", "app key add", "app key list", "app key revoke"),
        *("acts", "user export", "user erase"),
        *("user", "user list", "user kick", "user cancel", "session", "session list", "session revoke"),
        *("paper", "paper deposit", "paper resolve", "paper pause", "paper resume"),
        *("paper fault", "paper fault delay", "paper fault no-answer", "paper fault duplicate", "paper fault reorder"),
        *("paper fault late-fill", "paper fault reverse", "paper fault list", "paper fault clear"),
    }


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
async def test_every_command_has_help_with_an_example(cli: Cli, path: tuple[str, ...]) -> None:
    done = await cli(*path, "--help")

    assert done.code == 0
    assert "Usage: oddswire" in done.out
    if not is_group(path):
        assert f"Example:  oddswire {' '.join(path)}" in done.out or f"$(oddswire {' '.join(path)}" in done.out


async def test_no_words_show_the_help(cli: Cli) -> None:
    done = await cli()
    assert done.code == 0
    assert "oddswire demo" in done.out


async def test_the_version(cli: Cli) -> None:
    assert await cli("--version") == (0, f"oddswire {version('oddswire')}\n", "")


WRONG_URLS = ("", "localhost:8080", "ftp://x", "http://", "http://[", "http://a:99999", "http://a:b", "http://ü..x")
MISTAKES = [
    (("sevre",), "No such command 'sevre'", "oddswire --help"),
    (("serve", "--prot", "1"), "No such option: --prot", "oddswire serve --help"),
    (("serve", "--port", "http"), "'--port'", "oddswire serve --help"),
    (("app",), "Missing command", "oddswire app --help"),
    (("token",), "Missing argument", "oddswire token --help"),
    (("order", "place", "m", "yes", "hold", "1", "0.5"), "'hold' is not one of", "oddswire order place --help"),
    (("order", "place", "m", "yes", "buy", "1", "0.5"), "--user NAME", "--help"),
    (("order", "place", "m", "yes", "buy", "1", "0.5", "--tif", "gtd", "--expires", "soon"), "90s", "--help"),
    (("watch", "--user", "a", "--since", "3"), "--since and --epoch go together", "--help"),
    (("demo", "--seconds", "0"), "--seconds", "oddswire demo --help"),
    (("token", "alice\udcff"), "'alice\\udcff' is not UTF-8", "--help"),
    *((("markets", "--url", url), "--url wants http://HOST:PORT", "--help") for url in WRONG_URLS),
    (("markets", "--app", "ü"), "'ü'", "--help"),
    (("markets", "--limit", "0"), "'--limit'", "oddswire markets --help"),
    (("token", "alice", "--api-key", "kéy"), "plain ASCII", "--help"),
    (("balance", "--token", "s3cret\nx-app-id: other"), "plain ASCII", "--help"),
    (("events", "--user", "a", "--epoch", "e"), "--since and --epoch go together", "--help"),
    *(((command,), "--user NAME", "--help") for command in ("balance", "holdings", "fills", "events")),
    (("order", "list"), "--user NAME", "--help"),
    (("order", "cancel-all"), "--user NAME", "--help"),
]


@pytest.mark.parametrize(("words", "said", "advice"), MISTAKES, ids=lambda value: str(value)[:40])
async def test_a_mistake_is_one_line(cli: Cli, words: tuple[str, ...], said: str, advice: str) -> None:
    line = one_error_line(await cli(*words), 2)
    assert said in line
    assert advice in line
    assert "s3cret" not in line


def test_help_does_not_wait_for_what_it_does_not_run() -> None:
    script = "import sys, oddswire.cli.root; print(' '.join(sorted(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()

    heavy = {"httpx", "websockets", "litestar", "uvicorn", "uvloop", "sqlite3", "rich.live", "joserfc", "structlog"}
    assert heavy.intersection(loaded) == set()


def test_each_operators_error_says_what_to_do() -> None:
    for code, meaning in CODES.items():
        assert re.search(r"[a-z`.]\.?$", meaning.action), code
