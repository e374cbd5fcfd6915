"""`app provider`: what it stores, shows and refuses, and that a secret goes nowhere."""

import io
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, one_error_line

SECRET = "correct horse battery staple, and more of it"
SET = ("app", "provider", "set", "shop", "--issuer", "https://id.example/", "--audience", "shop-api")
URL = ("--jwks-url", "https://id.example/keys")


@pytest.fixture(autouse=True)
async def shop(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ODDSWIRE_DATABASE", str(tmp_path / "oddswire.db"))
    assert (await cli("app", "create", "shop")).code == 0


def type_in(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


async def shown(cli: Cli) -> dict[str, object]:
    found: dict[str, object] = json.loads((await cli("app", "provider", "show", "shop", "--json")).out)
    assert isinstance(found.pop("setAt"), int)
    return found


async def test_set_show_and_remove(cli: Cli) -> None:
    assert "https://id.example/" in (await cli(*SET, *URL)).out
    assert await shown(cli) == {
        "appId": "shop",
        "issuer": "https://id.example/",
        "audience": "shop-api",
        "claim": "sub",
        "jwksUrl": "https://id.example/keys",
        "sharedSecret": False,
    }
    assert "https://id.example/keys" in (await cli("app", "provider", "show", "shop")).out
    assert (await cli(*SET, "--claim", "email", *URL)).code == 0
    assert (await shown(cli))["claim"] == "email"
    assert (await cli("app", "provider", "remove", "shop")).code == 0
    for word in ("show", "remove"):
        assert "no identity provider" in one_error_line(await cli("app", "provider", word, "shop"), 1)
        assert "'nope'" in one_error_line(await cli("app", "provider", word, "nope"), 1)


@pytest.mark.parametrize("ending", ["\n", "\r\n", "", "\nmore"])
async def test_a_secret_is_read_from_standard_input_and_never_shown(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    type_in(monkeypatch, SECRET + ending)
    said = [await cli(*SET, "--shared-secret", "-")]
    assert (await shown(cli))["sharedSecret"] is True
    said += [await cli("app", "provider", "show", "shop", *more) for more in ((), ("--json",))]
    said.append(await cli("app", "list", "--json"))
    assert all(done.code == 0 and SECRET not in done.out + done.err for done in said)


@pytest.mark.parametrize("typed", ["short", "", "x" * 600])
async def test_a_secret_that_cannot_be_one_is_not_repeated(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    type_in(monkeypatch, typed + "\n")
    line = one_error_line(await cli(*SET, "--shared-secret", "-"), 2)
    assert "32 to 512 bytes" in line
    assert not typed or typed not in line


async def test_a_secret_as_an_argument_is_refused_and_not_repeated(cli: Cli) -> None:
    line = one_error_line(await cli(*SET, "--shared-secret", SECRET), 2)
    assert "standard input" in line
    assert SECRET not in line
    assert (await cli("app", "provider", "show", "shop")).code == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*SET,), "--jwks-url URL or --shared-secret -"),
        ((*SET, *URL, "--shared-secret", "-"), "one of them"),
        ((*SET, "--jwks-url", "http://id.example/keys"), "https"),
        ((*SET, "--jwks-url", "https://me:hunter2@id.example/keys"), "no password"),
        ((*SET, "--issuer", "oddswire", *URL), "this gateway itself"),
        ((*SET, "--claim", "", *URL), "claim"),
        (("app", "provider", "set", "shop", *URL), "--issuer"),
    ],
)
async def test_what_makes_no_sense_is_said_in_a_line(cli: Cli, words: tuple[str, ...], said: str) -> None:
    line = one_error_line(await cli(*words), 2)
    assert said in line
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://127.0.0.1/jwks", "warning: 127.0.0.1 is a private address"),
        ("https://10.0.0.8:8443/jwks", "warning: 10.0.0.8 is a private address"),
        ("https://[::1]/jwks", "ODDSWIRE_PROVIDER_ALLOW_PRIVATE=true"),
        ("https://169.254.169.254/jwks", "warning: no gateway reads keys from 169.254.169.254"),
        ("https://8.8.8.8/jwks", None),
        ("https://id.example/jwks", None),
    ],
)
async def test_an_address_that_keys_are_not_read_from_is_told_when_it_is_set(
    cli: Cli, url: str, said: str | None
) -> None:
    done = await cli(*SET, "--jwks-url", url)
    assert done.code == 0
    assert "provider_keys_not_read" in done.err
    assert ("warning" in done.err) is (said is not None)
    assert (said or "") in done.err
    assert (await shown(cli))["jwksUrl"] == url
