"""Keys and origins of an app, changed beside a running gateway, and what is written down of it."""

import asyncio
import json
import re
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest
import websockets

from oddswire.testing.gateway import ORIGIN, RunningGateway, running_gateway
from tests.cli.conftest import Cli, one_error_line

PAGE = "https://shop.example"


@pytest.fixture(autouse=True)
def address(gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ODDSWIRE_DATABASE", str(gateway.database))


async def documents(cli: Cli, *words: str) -> list[dict[str, object]]:
    done = await cli(*words, "--json")
    assert (done.code, done.err) == (0, ""), done
    return [json.loads(line) for line in done.out.splitlines()]


async def status(gateway: RunningGateway, key: str, app: str = "demo") -> int:
    """Return what a sign-in with that key is answered with."""
    headers = {"x-app-id": app, "x-app-api-key": key}
    async with httpx.AsyncClient(base_url=gateway.base_url, trust_env=False) as http:
        return (await http.post("/auth/token", headers=headers, json={"userId": "ann"})).status_code


async def soon(true: Callable[[], Awaitable[bool]]) -> None:
    """Wait until it is true; a running gateway takes up what another process wrote within a second."""
    async with asyncio.timeout(1.5):
        while not await true():
            await asyncio.sleep(0.02)


async def test_a_key_is_replaced_without_a_moment_without_one(cli: Cli, gateway: RunningGateway) -> None:
    done = await cli("app", "key", "add", "demo", "--name", "backend-2")
    assert done.code == 0
    key = done.out.split()[-1]
    assert key.startswith("ow_")
    assert "cannot be shown again" in done.err
    assert [await status(gateway, gateway.api_key), await status(gateway, key)] == [201, 201]

    assert "not taken any more" in (await cli("app", "key", "revoke", "demo", "dev")).out
    assert [await status(gateway, gateway.api_key), await status(gateway, key)] == [401, 201]

    old, new = await documents(cli, "app", "key", "list", "demo")
    assert (old["name"], new["name"], new["revokedAt"]) == ("dev", "backend-2", None)
    for row in (old, new):
        assert isinstance(row["usedAt"], int)
    assert isinstance(old["revokedAt"], int)
    shown = (await cli("app", "key", "list", "demo")).out
    assert str(new["keyId"]) in shown
    assert key not in shown


async def test_the_last_key_may_go_and_that_is_said(cli: Cli, gateway: RunningGateway) -> None:
    done = await cli("app", "key", "revoke", "demo", "dev")
    assert "oddswire app key add demo" in done.err
    assert await status(gateway, gateway.api_key) == 401


async def test_the_key_of_dev_stays_revoked(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ODDSWIRE_DATABASE", str(tmp_path / "again" / "oddswire.db"))
    (tmp_path / "again").mkdir()
    async with running_gateway(tmp_path / "again") as before:
        assert await status(before, before.api_key) == 201
    async with running_gateway(tmp_path / "again") as before:
        assert await status(before, before.api_key) == 201
    assert (await cli("app", "key", "revoke", "demo", "dev")).code == 0
    async with running_gateway(tmp_path / "again") as after:
        assert await status(after, after.api_key) == 401


async def test_mistakes_with_keys(cli: Cli, gateway: RunningGateway) -> None:
    assert "'dev' already" in one_error_line(await cli("app", "key", "add", "demo", "--name", "dev"), 1)
    assert "'a b'" in one_error_line(await cli("app", "key", "add", "demo", "--name", "a b"), 2)
    assert "'nope'" in one_error_line(await cli("app", "key", "revoke", "demo", "nope"), 1)
    for words in (("list", "nope"), ("add", "nope", "--name", "a"), ("revoke", "nope", "a")):
        assert "'nope'" in one_error_line(await cli("app", "key", *words), 1)
    assert await documents(cli, "acts") == []


async def test_a_page_is_let_in_and_out(cli: Cli, gateway: RunningGateway) -> None:
    async def let_in() -> bool:
        async with httpx.AsyncClient(base_url=gateway.base_url, trust_env=False) as http:
            answer = await http.get("/venues", headers={"x-app-id": "demo", "origin": PAGE})
        if answer.status_code != 200:
            assert answer.json()["code"] == "origin_not_allowed"
        return answer.status_code == 200

    async def left_out() -> bool:
        return not await let_in()

    assert await left_out()
    assert PAGE in (await cli("app", "origins", "demo", "--add", "HTTPS://SHOP.example:443")).out
    await soon(let_in)
    async with websockets.connect(gateway.ws_url(), origin=websockets.Origin(PAGE)) as stays:
        assert "connected" in str(await stays.recv())
        (shown,) = await documents(cli, "app", "origins", "demo", "--remove", PAGE)
        assert isinstance(shown["origins"], list)
        assert PAGE not in shown["origins"]
        assert ORIGIN in shown["origins"]
        await soon(left_out)
        async with websockets.connect(gateway.ws_url(), origin=websockets.Origin(PAGE)) as refused:
            await asyncio.wait_for(refused.wait_closed(), 5)
        assert refused.close_code == 4005
        await (await stays.ping())
    (shown,) = await documents(cli, "app", "origins", "demo", "--set", PAGE)
    assert shown == {"appId": "demo", "origins": [PAGE]}
    await soon(let_in)
    assert await documents(cli, "app", "origins", "demo") == [shown]
    assert "backends only" in (await cli("app", "origins", "demo", "--remove", PAGE)).out


async def test_mistakes_with_origins(cli: Cli, gateway: RunningGateway) -> None:
    assert "not an origin" in one_error_line(await cli("app", "origins", "demo", "--add", PAGE + "/x"), 2)
    assert PAGE in one_error_line(await cli("app", "origins", "demo", "--remove", PAGE), 2)
    assert "--set" in one_error_line(await cli("app", "origins", "demo", "--set", PAGE, "--add", PAGE), 2)
    assert "'nope'" in one_error_line(await cli("app", "origins", "nope", "--add", PAGE), 1)
    before = await documents(cli, "app", "origins", "demo")
    assert await documents(cli, "app", "origins", "demo", "--add", ORIGIN) == before
    assert "nothing has changed" in (await cli("app", "origins", "demo", "--add", ORIGIN)).err
    assert await documents(cli, "acts") == []


async def test_an_app_is_switched_off_and_on_again(cli: Cli, gateway: RunningGateway) -> None:
    ann = await gateway.sign_in("ann")
    async with websockets.connect(gateway.ws_url(token=ann.access_token)) as screen:
        await screen.recv()
        assert (await cli("app", "disable", "demo")).code == 0
        await asyncio.wait_for(screen.wait_closed(), 2)
        assert screen.close_code == 4001
    assert "already" in (await cli("app", "disable", "demo")).out

    async def is_off() -> bool:
        return await status(gateway, gateway.api_key) == 403

    async def is_on() -> bool:
        return await status(gateway, gateway.api_key) == 201

    await soon(is_off)
    assert "is switched on" in (await cli("app", "enable", "demo")).out
    await soon(is_on)
    assert "already" in (await cli("app", "enable", "demo")).out
    async with gateway.http(ann.access_token) as http:
        assert (await http.get("/trading/balance")).json()["code"] == "session_revoked"
        refreshed = await http.post("/auth/token/refresh", json={"refreshToken": ann.refresh_token})
        assert refreshed.json()["code"] == "refresh_token_invalid"
    again = await gateway.sign_in("ann")
    async with gateway.http(again.access_token) as http:
        assert (await http.get("/trading/balance")).status_code == 200
    assert "'nope'" in one_error_line(await cli("app", "enable", "nope"), 1)


async def test_what_was_done_is_listed_with_who_did_it(cli: Cli, gateway: RunningGateway) -> None:
    await gateway.sign_in("ann")
    await gateway.sign_in("ann")
    key = (await documents(cli, "app", "key", "add", "demo", "--name", "b-2"))[0]
    await cli("app", "create", "shop", "--origin", PAGE)
    await cli("app", "origins", "shop", "--set", "https://b.example")
    await cli("app", "key", "revoke", "demo", "b-2")
    session = (await documents(cli, "session", "list", "ann"))[0]["sessionId"]
    await cli("session", "revoke", str(session))
    await cli("user", "kick", "ann")
    await cli("app", "disable", "shop")
    await cli("app", "enable", "shop")
    async with httpx.AsyncClient(base_url=gateway.admin_url, trust_env=False) as admin:
        await admin.post("/kick", json={"app": "demo", "user": "ann"})

    found = await documents(cli, "acts")
    assert [(row["number"], row["act"], row["subject"]) for row in reversed(found)] == [
        (1, "key.add", "demo"),
        (2, "app.create", "shop"),
        (3, "app.origins", "shop"),
        (4, "key.revoke", "demo"),
        (5, "session.revoke", "demo/ann"),
        (6, "user.kick", "demo/ann"),
        (7, "app.disable", "shop"),
        (8, "app.enable", "shop"),
        (9, "user.kick", "demo/ann"),
    ]
    assert found[0]["actor"] == "admin listener, 127.0.0.1"
    assert str(found[1]["actor"]).endswith(f"@{socket.gethostname()}")
    assert found[-1]["detail"] == {"name": "b-2", "keyId": key["keyId"]}
    assert found[3]["detail"] == {"sessions": 1}
    assert str(key["apiKey"]) not in str(found)
    shown = await cli("acts", "-n", "2")
    assert "user.kick" in shown.out
    assert "--all" in shown.err
    assert len(await documents(cli, "acts", "--all", "--since", "2020-01-31T18:00")) == 9
    assert await documents(cli, "acts", "--since", "2999-01-31") == []
    assert "--since" in one_error_line(await cli("acts", "--since", "yesterday"), 2)


async def test_keys_that_sign_and_providers_are_among_the_acts(cli: Cli, gateway: RunningGateway) -> None:
    (made,) = await documents(cli, "keys", "rotate")
    kid = str(made["kid"])
    assert (await cli("keys", "retire", kid)).code == 0
    names = ("--issuer", "https://id.example", "--audience", "shop", "--jwks-url", "https://id.example/jwks")
    assert (await cli("app", "provider", "set", "demo", *names)).code == 0
    assert (await cli("app", "provider", "remove", "demo")).code == 0
    assert (await cli("app", "provider", "remove", "demo")).code == 1
    assert (await cli("app", "wallet", "on", "demo")).code == 0
    assert [(row["act"], row["subject"]) for row in reversed(await documents(cli, "acts"))] == [
        ("keys.rotate", kid),
        ("keys.retire", kid),
        ("provider.set", "demo"),
        ("provider.remove", "demo"),
        ("app.wallet", "demo"),
    ]
    await cli("app", "origins", "demo", "--set", PAGE)
    await cli("app", "origins", "demo", "--remove", PAGE)
    shown = (await cli("acts")).out
    for words in ("signs from 20", "keys https://id.example/jwks", "takes wallets", f"origins {PAGE}", "no origins"):
        assert words in shown
    assert not re.search(r"True|None|[a-z]+[A-Z]|\d{13}", shown.replace(kid, "").replace(socket.gethostname(), ""))
