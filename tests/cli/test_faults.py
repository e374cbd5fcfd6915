"""Mistakes of a person at the command line, answered in its words and not in those of the wire."""

import re
from pathlib import Path

import pytest

from oddswire.testing.gateway import RunningGateway
from tests.cli.conftest import Cli, one_error_line

WIRE = re.compile(r"\$\.|`path`|Retry-After|GET /|POST /|x-app-|Authorization|expiresAt|postOnly|marketId|orderId|body")
ORDER = ("order", "place", "fed-cut-dec", "yes", "buy", "10", "0.55", "--user", "ann")
MISTAKES: list[tuple[tuple[str, ...], int, str]] = [
    ((*ORDER, "--tif", "gtd"), 1, "--expires"),
    ((*ORDER, "--tif", "ioc", "--post-only"), 1, "--post-only"),
    ((*ORDER, "--venue", "nowhere"), 1, "--venue"),
    (("order", "place", "fed", "yes", "buy", "10", "0.55", "--user", "ann"), 1, "oddswire markets"),
    (("order", "place", "fed-cut-dec", "maybe", "buy", "10", "0.55", "--user", "ann"), 1, "oddswire markets"),
    (("order", "place", "fed-cut-dec", "yes", "buy", "-5", "0.55", "--user", "ann"), 2, "above 0"),
    (("order", "place", "fed-cut-dec", "yes", "buy", "5", "1.5", "--user", "ann"), 1, "PRICE"),
    (("order", "list", "--user", "ann", "--status", "opened"), 1, "--status"),
    (("order", "cancel", "ord_none", "--user", "ann"), 1, "Check the id"),
    (("balance", "--user", "ann", "--venue", "nowhere"), 1, "--venue"),
    (("balance", "--token", "nonsense"), 1, "oddswire token"),
    (("balance", "--user", "ann", "--api-key", "wrong"), 1, "ODDSWIRE_API_KEY"),
]


@pytest.mark.parametrize(("words", "code", "said"), MISTAKES)
async def test_a_refusal_speaks_of_the_command_line(
    cli: Cli, gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], code: int, said: str
) -> None:
    monkeypatch.setenv("ODDSWIRE_URL", gateway.base_url)
    line = one_error_line(await cli(*words), code)
    assert said in line
    assert not WIRE.search(line), line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("paper", "deposit", "ann", "abc"), "DOLLARS is 'abc'"),
        (("paper", "deposit", "ann", "-5"), "-5 is taken for an option: amounts and counts are above 0"),
        (("backup", "nowhere/copy.db"), "nowhere/copy.db cannot be made"),
        (("check", "--database", "none.db"), "`oddswire serve` makes one"),
    ],
)
async def test_a_mistake_beside_the_gateway_names_what_was_given(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    await cli("app", "create", "shop")
    assert said in one_error_line(await cli(*words), 2)


async def test_a_user_that_is_none_is_said_to_be_none(cli: Cli, gateway: RunningGateway) -> None:
    await gateway.sign_in("ann")
    at = ("--database", str(gateway.database), "--app", gateway.app_id)
    assert "no user 'anne'" in one_error_line(await cli("session", "list", "anne", *at), 1)
    assert (await cli("session", "list", "ann", *at)).code == 0
