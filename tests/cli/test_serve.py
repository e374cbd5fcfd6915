"""`serve` says what is where, and refuses in one line what cannot be."""

import asyncio
import contextlib
import os
import signal
import socket
import sqlite3
from pathlib import Path

import httpx
import pytest

from tests.cli.processes import PATIENCE, ended, line_with, started

FREE = ("--port", "0", "--admin", "127.0.0.1:0")


async def test_it_says_what_is_where_and_stops_clean(tmp_path: Path) -> None:
    database = tmp_path / "own.db"
    async with started("serve", "--dev", *FREE, "-d", str(database), "--drain", "0") as serving:
        said = "\n".join(await line_with(serving, "order place"))
        url = next(line.split()[1] for line in said.splitlines() if "REST" in line)
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(f"{url}/healthz")).status_code == 200
        serving.send_signal(signal.SIGTERM)
        code, _, err = await ended(serving)

    assert code == 0
    assert "Traceback" not in err
    for what in ("ws://127.0.0.1:", "/docs", "/metrics", str(database), "demo-key", "curl -s", f"--url {url}"):
        assert what in said


async def test_without_dev_it_shows_no_key(tmp_path: Path) -> None:
    async with started("serve", *FREE, "-d", str(tmp_path / "own.db")) as serving:
        said = "\n".join(await line_with(serving, "oddswire app create"))
    assert "demo-key" not in said


@pytest.mark.parametrize("option", ["--port", "--admin"])
async def test_a_port_in_use(tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = {"--port": "0", "--admin": "127.0.0.1:0"} | {
            option: str(port) if option == "--port" else f"127.0.0.1:{port}"
        }
        async with started("serve", *sum(words.items(), ()), "-d", str(tmp_path / "own.db")) as serving:
            code, out, err = await ended(serving)

    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert str(port) in err
    assert "in use" in err
    assert len(err.splitlines()) == 1


MISTAKES = [
    (("--dev", "--host", "0.0.0.0"), {}, "this machine only"),
    (("--admin", "nowhere"), {}, "HOST:PORT"),
    ((), {"ODDSWIRE_DRAIN_SECONDS": "soon"}, "ODDSWIRE_DRAIN_SECONDS"),
    ((), {"ODDSWIRE_NO_SUCH_SETTING": "1"}, "ODDSWIRE_NO_SUCH_SETTING"),
    ((), {"ODDSWIRE_PAPER_MARKETS": "/nowhere.toml"}, "/nowhere.toml"),
]


@pytest.mark.parametrize(("words", "environ", "said"), MISTAKES, ids=lambda value: str(value)[:40])
async def test_a_mistake_is_one_line(
    tmp_path: Path, words: tuple[str, ...], environ: dict[str, str], said: str
) -> None:
    async with started("serve", *FREE, *words, "-d", str(tmp_path / "own.db"), **environ) as serving:
        code, out, err = await ended(serving)

    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert said in err
    assert len(err.splitlines()) == 1


async def test_what_the_other_commands_read_does_not_disturb(tmp_path: Path) -> None:
    environ = {"ODDSWIRE_TOKEN": "t", "ODDSWIRE_URL": "http://x", "ODDSWIRE_API_KEY": "k", "ODDSWIRE_APP": "a"}
    async with started("serve", *FREE, "-d", str(tmp_path / "own.db"), **environ) as serving:
        await line_with(serving, "is ready")


async def test_a_signal_while_it_starts_ends_it_clean_and_nothing_is_served(tmp_path: Path) -> None:
    database = tmp_path / "own.db"
    async with started("serve", "--dev", *FREE, "-d", str(database)) as serving:
        async with asyncio.timeout(PATIENCE):
            while not database.with_name("own.db.lock").exists():
                await asyncio.sleep(0.001)
        serving.send_signal(signal.SIGTERM)
        code, out, err = await ended(serving)
    assert code == 0, err
    assert "is ready" not in out
    assert "Traceback" not in err


@pytest.mark.parametrize("content", [b"hello", b""], ids=["no database", "a database of another program"])
async def test_nothing_is_left_beside_a_file_of_another_program(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "theirs.db"
    path.write_bytes(content)
    if not content:
        with contextlib.closing(sqlite3.connect(path)) as theirs:
            theirs.execute("CREATE TABLE mine (a)")
    before = path.read_bytes()
    async with started("serve", *FREE, "-d", str(path)) as serving:
        code, _, err = await ended(serving)
    assert code == 2
    assert err.startswith(f"error: {path} is ")
    assert os.listdir(tmp_path) == ["theirs.db"]
    assert path.read_bytes() == before
