"""Mistakes of a person at the command line, answered in its words and not in those of the wire."""

import re
from pathlib import Path

import pytest

from oddswire.cli.faults import one_line
from oddswire.errors import CODES, OddswireError
from oddswire.testing.gateway import RunningGateway
from tests.cli.conftest import Cli, one_error_line

WIRE = re.compile(r"\$\.|`path`|Retry-After|GET /|POST /|x-app-|Authorization|parameter|body|Expected `|[a-z]+[A-Z]")
NEVER_MET = {
    *("invalid_frame", "unknown_action", "app_id_missing", "bad_handshake", "upgrade_required"),
    *(
        "body_too_large",
        "body_too_slow",
        "head_too_large",
        "method_not_allowed",
        "wallet_message_invalid",
        "wallet_message_refused",
        "nonce_invalid",
    ),
}
"""What no command can be told: it sends nothing of the kind."""
ORDER = ("order", "place", "fed-cut-dec", "yes", "buy", "10", "0.55", "--user", "ann")
MISTAKES: list[tuple[tuple[str, ...], int, str]] = [
    ((*ORDER, "--tif", "gtd"), 1, "--expires"),
    ((*ORDER, "--tif", "ioc", "--post-only"), 1, "--post-only"),
    ((*ORDER, "--tif", "gtd", "--expires", "99999999999d"), 1, "It is more than"),
    ((*ORDER, "--client-order-id", "a,b"), 1, "--client-order-id"),
    ((*ORDER[:-1], ""), 1, "It must not be empty (at USER)"),
    ((*ORDER[:-1], "a" * 129), 1, "more than 128 characters"),
    ((*ORDER, "--venue", "nowhere"), 1, "--venue"),
    (("order", "place", "fed", "yes", "buy", "10", "0.55", "--user", "ann"), 1, "oddswire markets"),
    (("order", "place", "fed-cut-dec", "maybe", "buy", "10", "0.55", "--user", "ann"), 1, "oddswire markets"),
    (("order", "place", "fed-cut-dec", "yes", "buy", "-10", "0.55", "--user", "ann"), 2, "-10 is taken for an option"),
    (("order", "place", "fed-cut-dec", "yes", "buy", "10", "-.55", "--user", "ann"), 2, "-.55 is taken for an option"),
    (("order", "place", "fed-cut-dec", "yes", "buy", "-x", "0.55", "--user", "ann"), 2, "No such option: -x"),
    (("order", "place", "fed-cut-dec", "yes", "buy", "10", "0.555", "--user", "ann"), 1, "tick"),
    (("order", "place", "fed-cut-dec", "yes", "sell", "10", "0.55", "--user", "ann"), 1, "oddswire holdings"),
    (("order", "place", "fed-cut-dec", "yes", "buy", "5", "1.5", "--user", "ann"), 1, "PRICE"),
    (("order", "list", "--user", "ann", "--status", "opened"), 1, "--status"),
    (("order", "cancel", "ord_none", "--user", "ann"), 1, "oddswire order list"),
    (("balance", "--user", "ann", "--venue", "nowhere"), 1, "--venue"),
    (("balance", "--token", "nonsense"), 1, "oddswire token"),
    (("balance", "--user", "ann", "--api-key", "wrong"), 1, "ODDSWIRE_API_KEY"),
]


@pytest.mark.parametrize(("words", "code", "said"), MISTAKES)
async def test_a_refusal_speaks_of_the_command_line(
    cli: Cli, gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], code: int, said: str
) -> None:
    monkeypatch.setenv("ODDSWIRE_URL", gateway.base_url)
    await gateway.sign_in("ann")
    line = one_error_line(await cli(*words), code)
    assert said in line
    assert not WIRE.search(line), line


@pytest.mark.parametrize("code", sorted(CODES.keys() - NEVER_MET))
def test_every_advice_is_for_a_person_at_a_terminal(code: str) -> None:
    assert not WIRE.search(one_line(OddswireError(code, "It is so.")))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("paper", "deposit", "ann", "abc"), "DOLLARS is 'abc'"),
        (("paper", "deposit", "ann", "-5"), "-5 is taken for an option: amounts and counts are above 0"),
        (("paper", "deposit", "ann", "0"), "above 0"),
        (("user", "erase"), "as in `oddswire user erase shop/alice --yes`"),
        (("app", "key", "add", "shop"), "as in `oddswire app key add shop --name backend-2`"),
        (("restore", "none.db", "--force"), "`oddswire backup` makes one"),
        (("backup", "copy.db", "--database", "none.db"), "`oddswire serve` makes a new one"),
        (("backup", "nowhere/copy.db"), "nowhere/copy.db cannot be made"),
        (("check", "--database", "none.db"), "`oddswire serve` makes a new one"),
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
