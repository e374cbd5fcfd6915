"""Mistakes of a person at the command line, answered in its words and not in those of the wire."""

import re
from pathlib import Path

import pytest

from oddswire.cli.faults import one_line
from oddswire.client import Stopped
from oddswire.errors import CODES, InvalidInput, OddswireError
from oddswire.testing.gateway import RunningGateway
from oddswire.wire.codes import CLOSE_CODES, Action
from tests.cli.conftest import Cli, one_error_line

WIRE = re.compile(
    r"\$\.|`path`|Retry-After|GET /|POST /|x-app-|Authorization|parameter|[Hh]eader|HTTP|JSON|WebSocket|[Qq]uery|"
    r"[Bb]ody|Expected `|[a-z]+[A-Z]"
)
NEXT = re.compile(
    r"`oddswire |See: oddswire|--[a-z]|[Tt]ry again|"
    r"\. (Check|Choose|Change|Give|Take|Write|Use|Wait|Stop|Make|Upgrade|Look|Place) "
)
"""A command to call, an option to give, or what else to do."""
NEVER_MET = {
    # frames and requests that are written wrong, or too large
    *("invalid_frame", "unknown_action", "app_id_missing", "bad_handshake", "upgrade_required", "early_bytes"),
    *("invalid_json", "invalid_http", "head_too_large", "body_too_large", "body_too_slow", "method_not_allowed"),
    # pages in a browser, and their wallets
    *("api_key_in_browser", "operator_only", "wallet_sign_in_off", "signature_invalid", "nonce_invalid"),
    *("wallet_message_invalid", "wallet_message_refused"),
}
"""What no command can be told: it does nothing of the kind."""
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


LAST_WORDS = {row.name for row in CLOSE_CODES.values() if row.action is Action.STOP}
"""Why a gateway lets nobody connect again: `watch` says it and ends."""


def test_what_no_command_is_told_are_codes_all_the_same() -> None:
    assert CODES.keys() >= NEVER_MET


@pytest.mark.parametrize("code", sorted((CODES.keys() | LAST_WORDS) - NEVER_MET))
def test_every_advice_is_for_a_person_at_a_terminal(code: str) -> None:
    fault = OddswireError(code, "It is so.") if code in CODES else Stopped(code, "It is so.")
    line = one_line(fault, "oddswire watch")
    assert not WIRE.search(line), line
    assert NEXT.search(line), line


@pytest.mark.parametrize("path", ["$.somewhere", "$", "origins", "x-app-id"])
def test_a_place_that_was_not_written_as_a_word_is_not_told(path: str) -> None:
    assert one_line(InvalidInput("invalid_body", "It is so.", path=path)) == "error: It is so. See: oddswire --help"


def test_a_word_that_is_told_already_is_not_told_again() -> None:
    fault = OddswireError("expiry_invalid", "`expiresAt` goes with gtd.", path="$.expiresAt")
    assert one_line(fault).startswith("error: --expires goes with gtd. ")
    fault = OddswireError("config_invalid", "It is so.", path="ODDSWIRE_PORT")
    assert one_line(fault).startswith("error: It is so (at ODDSWIRE_PORT). ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("app", "disable", "nope"), "`oddswire app list` shows them."),
        (("app", "key", "list", "nope"), "`oddswire app list` shows them."),
        (("app", "key", "revoke", "shop", "nope"), "`oddswire app key list APP_ID` shows its keys."),
        (("app", "provider", "show", "shop"), "`oddswire app provider set` names one."),
        (("keys", "retire", "nope"), "`oddswire keys list` shows them."),
        (("session", "revoke", "ses_nope"), "`oddswire session list USER` shows a user's."),
        (("user", "export", "shop/ann"), "`oddswire user list` shows them;"),
        (("user", "cancel", "ann", "--app", "shop"), "`oddswire user list` shows them;"),
        (("user", "kick", "ann"), "There is no app 'demo', only 'shop': give --app shop. `oddswire app list`"),
        (("paper", "deposit", "ann", "5", "--app", "shop"), "`oddswire token NAME` signs a new one in."),
        (("paper", "fault", "reverse", "ord_nope", "--app", "shop"), "`oddswire order list` shows them."),
        (("paper", "pause", "nope", "--app", "shop"), "`oddswire markets` lists them."),
        (("paper", "pause", "fed-cut-dec", "--app", "nope"), "give --app shop"),
        (("paper", "resolve", "fed-cut-dec", "yes", "--app", "nope"), "give --app shop"),
    ],
)
async def test_where_there_is_none_of_that_name_it_says_what_shows_them(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    await cli("app", "create", "shop")
    done = await cli(*words)
    assert done.code in (1, 2)
    assert said in one_error_line(done, done.code)


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
        (("app", "list", "--database", "none.db"), "/none.db. Give another --database"),
        (("paper", "fault", "late-fill", "ord_x", "--size", "abc"), "--size is 'abc'."),
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
    for command in (("session", "list"), ("user", "kick"), ("user", "cancel")):
        assert "no user 'anne'" in one_error_line(await cli(*command, "anne", *at), 1)
    assert (await cli("session", "list", "ann", *at)).code == 0
