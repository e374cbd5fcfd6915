"""The switch that lets an app's users sign in by wallet."""

import asyncio
import json
from pathlib import Path

import pytest

from oddswire.cli import options
from oddswire.testing.gateway import RunningGateway
from tests.cli.conftest import Cli, one_error_line


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / options.DATABASE


async def wallet(cli: Cli) -> bool:
    return bool(json.loads((await cli("app", "list", "--json")).out)["wallet"])


async def test_it_is_off_until_it_is_on_and_off_again(cli: Cli, at: Path) -> None:
    await cli("app", "create", "shop", "--origin", "https://shop.example")
    assert not await wallet(cli)
    for said in ("shop takes wallets.", "shop took wallets already."):
        assert await cli("app", "wallet", "on", "shop") == (0, f"{said}\n", "")
        assert await wallet(cli)
    for said in ("shop takes no wallets any more.", "shop takes no wallets, and took none."):
        assert await cli("app", "wallet", "off", "shop") == (0, f"{said}\n", "")
        assert not await wallet(cli)
    assert (await cli("acts", "--json")).out.count('"app.wallet"') == 2


async def test_an_app_without_pages_is_told_that_nobody_can(cli: Cli, at: Path) -> None:
    await cli("app", "create", "bots")
    done = await cli("app", "wallet", "on", "bots")
    assert done.code == 0
    assert "no origin" in done.err


async def test_an_unknown_app_is_refused(cli: Cli, at: Path) -> None:
    await cli("app", "create", "shop")
    for word in ("on", "off"):
        assert "'shoe'" in one_error_line(await cli("app", "wallet", word, "shoe"), 1)
    assert not at.with_name("other.db").exists()
    assert one_error_line(await cli("app", "wallet", "on", "shop", "--database", "other.db"), 2)


async def test_it_works_beside_a_running_gateway(cli: Cli, gateway: RunningGateway) -> None:
    words = ("app", "wallet", "on", gateway.app_id, "--database", str(gateway.database))
    assert (await cli(*words)).code == 0
    async with asyncio.timeout(5), gateway.http() as http:
        while (await http.post("/auth/start")).status_code != 201:
            await asyncio.sleep(0.01)
