"""`keys` beside a running gateway: the next key, and one that counts for nothing any more."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest
import websockets

from oddswire.testing.gateway import RunningGateway
from tests.cli.conftest import Cli, one_error_line


@pytest.fixture
def database(gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ODDSWIRE_DATABASE", str(gateway.database))
    return gateway.database


async def published(gateway: RunningGateway) -> list[str]:
    async with httpx.AsyncClient(base_url=gateway.base_url) as http:
        answer = await http.get("/auth/jwks.json")
    assert answer.headers.get_list("cache-control") == ["max-age=900, public"]
    return [key["kid"] for key in answer.json()["keys"]]


async def until_published(gateway: RunningGateway, kids: list[str]) -> None:
    async with asyncio.timeout(5):
        while await published(gateway) != kids:
            await asyncio.sleep(0.02)


async def states(cli: Cli) -> dict[str, str]:
    done = await cli("keys", "list", "--json")
    return {key["kid"]: key["state"] for key in map(json.loads, done.out.splitlines())}


@pytest.mark.usefixtures("database")
async def test_the_next_key_is_published_and_waits(cli: Cli, gateway: RunningGateway) -> None:
    (old,) = await published(gateway)
    made = json.loads((await cli("keys", "rotate", "--json")).out)
    await until_published(gateway, [old, made["kid"]])
    assert await states(cli) == {old: "signing", made["kid"]: "next"}
    shown = (await cli("keys", "list")).out
    assert "next: signs from" in shown
    assert "private" not in shown
    assert "waits for its turn" in one_error_line(await cli("keys", "rotate"), 1)


@pytest.mark.usefixtures("database")
async def test_tokens_and_sockets_of_a_retired_key_end_and_the_session_goes_on(
    cli: Cli, gateway: RunningGateway
) -> None:
    signed = await gateway.sign_in("alice")
    url = f"{gateway.base_url.replace('http', 'ws')}/ws?appId={gateway.app_id}"
    headers = {"authorization": f"Bearer {signed.access_token}"}
    async with websockets.connect(url, additional_headers=headers) as socket:
        await socket.recv()
        (old,) = await published(gateway)
        done = await cli("keys", "retire", old)
        assert done.code == 0, done
        async with asyncio.timeout(1):
            await socket.wait_closed()
    assert socket.close_code == 4101
    new = [kid for kid, state in (await states(cli)).items() if state == "signing"]
    assert await published(gateway) == new != [old]
    async with httpx.AsyncClient(base_url=gateway.base_url, headers={"x-app-id": gateway.app_id}) as http:
        refused = await http.get("/trading/balance", headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (401, "token_invalid")
        again = await http.post("/auth/token/refresh", json={"refreshToken": signed.refresh_token})
        token = again.json()["accessToken"]
        taken = await http.get("/trading/balance", headers={"authorization": f"Bearer {token}"})
    assert taken.status_code == 200
    assert "retired" in (await cli("keys", "list")).out
    one_error_line(await cli("keys", "retire", old), 1)


async def test_a_database_that_was_never_served_has_no_key_yet(cli: Cli, tmp_path: Path) -> None:
    database = str(tmp_path / "new.db")
    assert (await cli("app", "create", "shop", "--database", database)).code == 0
    assert (await cli("keys", "list", "--database", database)).out == (
        "No key yet: the first is made when the gateway is first started.\n"
    )
