"""With JSON logs everything a process says is one object a line, whatever goes wrong."""

import asyncio
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from oddswire.server.process import HostPort, listen
from tests.server.processes import SERVE, environ, events, serving

FAULTS = """
import gc, logging, sys, threading, warnings
from oddswire.server import logs
logs.set_up("info", True)
logs.take_over()
import structlog
structlog.get_logger("oddswire.test").info("number", of=float("nan"), odd=object(), text="two\\nlines")
warnings.warn("old\\nways", DeprecationWarning, stacklevel=1)
logging.getLogger("uvicorn.error").warning("Invalid HTTP\\nrequest received.")
def fail():
    raise ValueError("in a thread, with ?token=hunter2-hunter2-hunter2")
thread = threading.Thread(target=fail, name="worker")
thread.start()
thread.join()
class Broken:
    def __del__(self):
        raise KeyError("in a finalizer")
Broken()
gc.collect()
raise RuntimeError("nobody\\ncaught it")
"""


def test_what_nobody_catches_holds_no_secret_for_people_either() -> None:
    for_people = FAULTS.replace('"info", True', '"info", False')
    ended = subprocess.run(
        [sys.executable, "-W", "always", "-c", for_people], capture_output=True, text=True, timeout=30, env=environ()
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "ValueError: in a thread" in ended.stderr
    assert "token=[secret]" in ended.stderr
    assert "hunter2" not in ended.stderr


def test_what_nobody_catches_is_an_event() -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "always", "-c", FAULTS], capture_output=True, text=True, timeout=30, env=environ()
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    told = events(ended.stderr)
    assert [(event["logger"], event["level"]) for event in told] == [
        ("oddswire.test", "info"),
        ("py.warnings", "warning"),
        ("uvicorn.error", "warning"),
        ("oddswire.process", "critical"),
        ("oddswire.process", "error"),
        ("oddswire.process", "critical"),
    ]
    assert [event["event"] for event in told[3:]] == ["uncaught", "unraisable", "uncaught"]
    assert told[3]["thread"] == "worker"
    for event, words in zip(
        told[3:], ("ValueError: in a thread", "KeyError: 'in a final", "nobody\ncaught"), strict=True
    ):
        assert words in event["exception"]
    assert "hunter2" not in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "settings", "code"),
    [
        ((), {"ODDSWIRE_PAPER_FEE": "9"}, "config_invalid"),
        (("--admin", "nowhere"), {}, "address_unusable"),
        (("--port", "{busy}"), {}, "address_unusable"),
        (("--database", "/nowhere/oddswire.db"), {}, "database_unusable"),
        (("--host", "0.0.0.0"), {}, "usage"),
    ],
)
def test_why_it_could_not_start_is_an_event(
    tmp_path: Path, arguments: tuple[str, ...], settings: dict[str, str], code: str
) -> None:
    with listen(HostPort("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, *SERVE, *(part.replace("{busy}", port) for part in arguments)]
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=30, cwd=tmp_path, env=environ(**settings)
        )
    assert (ended.returncode, ended.stdout) == (2, "")
    (event,) = events(ended.stderr)
    assert (event["event"], event["level"], event["code"]) == ("serve_failed", "critical", code)
    assert event["detail"]
    assert event["action"]


async def test_a_whole_life_is_events(tmp_path: Path) -> None:
    async with serving(tmp_path) as (url, log, process):
        async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
            assert (await http.get("/healthz?token=hunter2-hunter2-hunter2")).status_code == 200
            assert (await http.get("/a%0Ab")).status_code == 404
        reader, writer = await asyncio.open_connection(*url.removeprefix("http://").split(":"))
        writer.write(b"no HTTP at all\r\n\r\n")
        assert b" 400 " in await reader.readline()
        writer.close()
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 20) == 0
        told = events(log.read_text())
    names = [event["event"] for event in told]
    assert names[-1] == "stopping"
    assert {"serving", "request"} <= set(names)
    assert "hunter2" not in str(told)


async def test_the_end_of_a_database_is_an_event(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, log, process):
        (tmp_path / "oddswire.db").unlink()
        assert await asyncio.wait_for(process.wait(), 10) == 70
        last = events(log.read_text())[-1]
    assert (last["event"], last["level"]) == ("store_failed", "critical")
    assert last["detail"].endswith("oddswire.db was deleted while it was in use")


async def test_what_an_operator_does_over_http_is_an_event(tmp_path: Path) -> None:
    async with serving(tmp_path) as (url, log, process):
        (ready,) = [event for event in events(log.read_text()) if event["event"] == "serving"]
        async with httpx.AsyncClient(trust_env=False) as http:
            key = {"x-app-id": "demo", "x-app-api-key": "demo-key"}
            assert (await http.post(f"{url}/auth/token", headers=key, json={"userId": "ann"})).status_code == 201
            kicked = await http.post(f"http://{ready['admin']}/kick", json={"app": "demo", "user": "ann"})
        assert kicked.json() == {"sessions": 1, "connections": 0}
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 20) == 0
        (told,) = [event for event in events(log.read_text()) if event["event"] == "admin_act"]
    assert {name: told[name] for name in ("level", "act", "actor", "app", "user", "sessions", "connections")} == {
        **{"level": "warning", "act": "user.kick", "actor": "admin listener, 127.0.0.1"},
        **{"app": "demo", "user": "ann", "sessions": 1, "connections": 0},
    }
