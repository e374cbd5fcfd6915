"""The snippets of the pages a newcomer follows run, in their order, against a gateway of their own.

Blocks of one page run in one shell, as if typed by somebody who follows the page: the first command that fails, or that
curl says was refused, fails the page. A comment right before a block says what else is to be done with it:
`not run: reason`, or `in another terminal, until it says: text`.
"""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import msgspec
import pytest

from oddswire.testing.gateway import RunningGateway, running_gateway
from oddswire.wire.bodies import Balances

ROOT = Path(__file__).parent.parent
PRELUDE = 'set -euo pipefail\ncurl() { command curl --fail-with-body "$@"; }\n'
DONE = b"@@ done\n"
ELSEWHERE = "in another terminal, until it says: "
PATIENCE = 20.0
_BLOCK = re.compile(r"(?:^<!-- (?P<mark>[^\n]*) -->\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.M | re.S)


class Block(NamedTuple):
    """A fenced block of a page, and the comment right before it."""

    line: int
    kind: str
    mark: str
    text: str


def blocks(page: str, *kinds: str) -> list[Block]:
    text = (ROOT / page).read_text()
    return [
        Block(text[: found.start("text")].count("\n"), found["kind"], found["mark"] or "", found["text"])
        for found in _BLOCK.finditer(text)
        if found["kind"] in kinds
    ]


class Terminal:
    """A shell in a folder where `.venv` is this one, for a gateway that is where the pages say it is."""

    def __init__(self, shell: Process, folder: Path, url: str) -> None:
        self._shell = shell
        self._folder = folder
        self._url = url
        self.elsewhere = folder / "elsewhere.log"
        self.elsewhere.touch()
        self.last = ""

    async def follow(self, block: Block) -> str:
        """Run a block to its end and return what it said."""
        text = block.text.replace("127.0.0.1:8080", self._url.removeprefix("http://"))
        (self._folder / f"block.{block.kind}").write_text(text)
        command = ". ./block.sh" if block.kind == "sh" else ".venv/bin/python block.python"
        if block.mark.startswith(ELSEWHERE):
            await self._run(f"{command} >{self.elsewhere} 2>&1 &")
            await self.heard(block.mark.removeprefix(ELSEWHERE))
            return ""
        said = await self._run(command)
        assert said is not None, f"line {block.line} failed: {self.last}"
        if found := re.search(r'"accessToken":"([^"]+)"', said):
            # whoever is shown a token copies it
            await self._run(f"export TOKEN={found[1]}")
        return said

    async def _run(self, command: str) -> str | None:
        """Return what a command said, None where it ended the shell."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(b"%b </dev/null\nprintf '\\n%b'\n" % (command.encode(), DONE.strip() + b"\\n"))
        async with asyncio.timeout(PATIENCE):
            try:
                said = await self._shell.stdout.readuntil(DONE)
            except asyncio.IncompleteReadError as end:
                self.last = end.partial.decode()
                return None
        return said.removesuffix(DONE).decode()

    async def heard(self, text: str) -> None:
        """Wait until the other terminal has said it.

        Raises:
            TimeoutError: it has not.
        """
        async with asyncio.timeout(PATIENCE):
            while text not in self.elsewhere.read_text():
                await asyncio.sleep(0.02)


@asynccontextmanager
async def terminal(folder: Path, gateway: RunningGateway) -> AsyncIterator[Terminal]:
    (folder / ".venv").symlink_to(sys.prefix)
    own = {name: value for name, value in os.environ.items() if not name.startswith("ODDSWIRE_")}
    environ = {**own, "ODDSWIRE_URL": gateway.base_url, "ODDSWIRE_DATABASE": str(gateway.database)}
    shell = await asyncio.create_subprocess_exec(
        *("bash", "--noprofile", "--norc"),
        cwd=folder,
        env={**environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"},
        stdin=PIPE,
        stdout=PIPE,
        stderr=STDOUT,
        limit=1 << 20,
        start_new_session=True,
    )
    assert shell.stdin is not None
    shell.stdin.write(PRELUDE.encode())
    try:
        yield Terminal(shell, folder, gateway.base_url)
    finally:
        os.killpg(shell.pid, signal.SIGKILL)
        await shell.communicate()


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[RunningGateway]:
    async with running_gateway(tmp_path) as running:
        yield running


async def follow(page: str, reader: Terminal) -> list[str]:
    wanted = [block for block in blocks(page, "sh", "python") if not block.mark.startswith("not run: ")]
    assert wanted, page
    return [await reader.follow(block) for block in wanted]


async def test_the_readme_can_be_followed(gateway: RunningGateway, tmp_path: Path) -> None:
    async with terminal(tmp_path, gateway) as reader:
        said = await follow("README.md", reader)
    assert any('"clientOrderId":"my-first"' in answer for answer in said)
    assert " balance_update " in said[-1]


@pytest.mark.parametrize("page", ["docs/tutorial.md", "docs/reference/python.md"])
async def test_the_pages_on_python_can_be_followed(page: str, gateway: RunningGateway, tmp_path: Path) -> None:
    async with terminal(tmp_path, gateway) as reader:
        said = await follow(page, reader)
    assert all(answer.strip() for answer in said)


async def test_the_start_page_can_be_followed(gateway: RunningGateway, tmp_path: Path) -> None:
    async with terminal(tmp_path, gateway) as reader:
        said = await follow("docs/start.md", reader)
        for what in ('"type":"order_submitted"', '"event":"filled"', '"event":"canceled"', '"reason":"released"'):
            await reader.heard(what)
        assert any('"status":"filled"' in answer and '"clientOrderId":"start-1"' in answer for answer in said)
        resumed = next(answer for answer in said if " order_submitted\n" in answer)
        # what the cancel before it came to may be the first of what was missed
        kinds = [line.split()[1] for line in resumed.split("\n") if line]
        assert kinds[kinds.index("order_submitted") + 1] == "balance_update"


async def test_the_paper_venue_s_example_can_be_followed(gateway: RunningGateway, tmp_path: Path) -> None:
    """The money in the page's last row is what the two have in the end."""
    page = "docs/reference/venue-paper.md"
    async with terminal(tmp_path, gateway) as reader:
        await follow(page, reader)
    last = re.findall(r"^\|.*\| ([\d,.]+) / [\d,.]+ \| ([\d,.]+) / [\d,.]+ \|$", (ROOT / page).read_text(), re.M)[-1]
    for user, dollars in zip(("ann", "ben"), last, strict=True):
        token = (await gateway.sign_in(user)).access_token
        async with gateway.http(token) as http, asyncio.timeout(PATIENCE):
            while (await trading_cents(http)) != int(dollars.replace(",", "").replace(".", "")):
                await asyncio.sleep(0.05)


async def trading_cents(http: httpx.AsyncClient) -> int:
    balances = msgspec.json.decode((await http.get("/trading/balance")).content, type=Balances)
    return balances.balances[0].trading_balance_cents


@pytest.mark.parametrize("page", ["README.md", "docs/start.md", "docs/reference/websocket.md"])
def test_its_javascript_is_javascript(page: str, tmp_path: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not here")
    for block in blocks(page, "js"):
        snippet = tmp_path / "snippet.mjs"
        snippet.write_text(block.text)
        checked = subprocess.run(["node", "--check", snippet], capture_output=True, text=True, timeout=20)
        assert checked.returncode == 0, f"line {block.line}: {checked.stderr}"


@pytest.mark.parametrize("page", ["README.md", *(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/**/*.md"))])
def test_its_json_is_json(page: str) -> None:
    """A document may go over lines, or a line may be a document; what is shortened says so with `…`."""
    for block in blocks(page, "json"):
        if "…" in block.text:
            continue
        try:
            json.loads(block.text)
        except ValueError:
            for line in block.text.splitlines():
                json.loads(line)
