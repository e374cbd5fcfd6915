import asyncio
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.server.processes import events, serving


@pytest.mark.parametrize(
    ("limit", "cap", "wanted"), [(1024, "0", None), (512, "0", 1024), (1024, "2000", 2064), (2064, "2000", None)]
)
async def test_too_few_open_files_are_told_at_start(tmp_path: Path, limit: int, cap: str, wanted: int | None) -> None:
    async with serving(tmp_path, limit, ODDSWIRE_MAX_CONNECTIONS_PER_APP=cap) as served:
        told = [event for event in events(served.log.read_text()) if event["event"] == "file_limit_low"]
    if wanted is None:
        assert told == []
    else:
        (event,) = told
        assert (event["limit"], event["wanted"], event["sockets"]) == (limit, wanted, limit - 64)
        assert (event["level"], event["logger"]) == ("warning", "oddswire.process")
        assert f"{wanted} or more" in str(event["action"])


async def test_a_process_out_of_files_goes_on_once_it_has_some_again(tmp_path: Path) -> None:
    async with serving(tmp_path, 64) as (url, log, _):
        host, port = url.removeprefix("http://").split(":")
        async with AsyncExitStack() as clients:
            ends = []
            for _ in range(100):
                reader, writer = await asyncio.open_connection(host, int(port))
                clients.callback(writer.close)
                ends.append(asyncio.ensure_future(reader.read()))
            # whom there is no file for is sent away at once, long before a client that says nothing is
            gone, waiting = await asyncio.wait(ends, timeout=5, return_when=asyncio.FIRST_COMPLETED)
            assert gone
            assert waiting
            (admin,) = (event["admin"] for event in events(log.read_text()) if event["event"] == "serving")
            async with httpx.AsyncClient(base_url=f"http://{admin}", trust_env=False) as operator:
                assert (await operator.get("/readyz")).status_code == 200
            assert "sockets_full" in log.read_text()
            for end in ends:
                end.cancel()
        async with httpx.AsyncClient(base_url=url, trust_env=False) as http, asyncio.timeout(20):
            while not await answers(http):
                await asyncio.sleep(0.1)
            headers = {"x-app-id": "demo", "x-app-api-key": "demo-key"}
            assert (await http.post("/auth/token", headers=headers, json={"userId": "ann"})).status_code == 201


async def answers(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/readyz")).status_code == 200
    except httpx.TransportError:
        return False


def test_the_limit_is_raised_to_what_the_system_lets_us() -> None:
    script = "import resource; from oddswire.server.process import raise_file_limit; raise_file_limit(0)\n"
    script += "print(resource.getrlimit(resource.RLIMIT_NOFILE))"
    command = ["bash", "-c", f'ulimit -Sn 256 && ulimit -Hn 4000 && exec {sys.executable} -c "{script}"']
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert ended.stdout.strip() == "(4000, 4000)"
