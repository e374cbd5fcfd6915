"""Which servers there are to measure, and why one that is named cannot be."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from bench.load.crowd import Kind
from bench.machine import SERVER_CORE
from bench.process import ROOT, Failed, Process

PEERS = ROOT / "bench" / "peers"
PEER_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
NODE_MODULES = PEERS / "node" / "node_modules"
GORILLA = PEERS / "gorilla"
GO = ROOT / ".venv-bench" / "bin" / "go"
GO_SOURCES = "/usr/share/gocode"
"""Where Debian's package golang-github-gorilla-websocket-dev puts its source."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A server that pushes events."""

    name: str
    command: tuple[str, ...]
    kind: Kind = "plain"
    path: str = "/ws"
    large: bool = False
    """Whether it is measured with 10,000 connections too."""
    missing: str = ""
    """Why it cannot be started here."""
    build: Callable[[], str] | None = None
    """Makes what the command runs, and returns why it could not, if so."""

    def start(self, folder: Path) -> tuple[Process, int]:
        """Return its process and port.

        Raises:
            Failed: with the reason.
        """
        missing = self.missing or (self.build() if self.build is not None else "")
        if missing:
            raise Failed(missing)
        process = Process(self.name, list(self.command), SERVER_CORE, folder)
        try:
            return process, int(process.hear(60)["port"])
        except BaseException:
            process.stop()
            raise


def gateway(folder: Path, name: str = "oddswire", database: str = "bench.db") -> tuple[Process, int]:
    """Start a gateway on a database of that folder; return its process and port."""
    command = (sys.executable, "-m", "bench.servers.gateway", str(folder / database))
    return Entry(name, command, "gateway").start(folder)


def lineup(folder: Path) -> list[Entry]:
    """Return all servers, the gateway first."""
    ours = (sys.executable, "-m", "bench.servers.gateway", str(folder / "push.db"))
    return [
        Entry("oddswire", ours, "gateway", "/ws?appId=demo", large=True),
        _python("bare picows", "picows_push", large=True),
        _python("aiohttp", "aiohttp_push"),
        _python("Starlette on uvicorn", "starlette_push"),
        _python("websockets", "websockets_push"),
        _node("ws (node)", "ws.js", large=True),
        _node("socket.io (node)", "socketio.js", "socketio", "/socket.io/?EIO=4&transport=websocket"),
        _gorilla(folder),
    ]


def _python(name: str, module: str, *, large: bool = False) -> Entry:
    missing = "" if PEER_PYTHON.exists() else ".venv-bench is not built: `make bench` builds it"
    return Entry(name, (str(PEER_PYTHON), "-m", f"bench.peers.{module}"), large=large, missing=missing)


def _node(name: str, script: str, kind: Kind = "plain", path: str = "/ws", *, large: bool = False) -> Entry:
    missing = ""
    if shutil.which("node") is None:
        missing = "there is no node here"
    elif not NODE_MODULES.exists():
        missing = "its packages are not installed: `npm ci --prefix bench/peers/node`"
    return Entry(name, ("node", str(PEERS / "node" / script)), kind, path, large, missing)


def _gorilla(folder: Path) -> Entry:
    name, binary = "gorilla (Go)", folder / "gorilla"
    go = str(GO) if GO.exists() else shutil.which("go")
    sources = _go_sources()
    if go is None:
        missing = "there is no Go here: .venv-bench has none for this machine, and none is on PATH"
        return Entry(name, (), large=True, missing=missing)
    if sources is None:
        missing = "its source is not here: `make bench` asks apt for Debian's golang-github-gorilla-websocket-dev"
        return Entry(name, (), large=True, missing=missing)
    return Entry(name, (str(binary),), large=True, build=partial(_built, go, sources, binary))


def _go_sources() -> str | None:
    """Return the GOPATH that has gorilla/websocket: the user's, the one `make` fetched, or Debian's."""
    fetched = f"{GORILLA / '.gopath'}{GO_SOURCES}"
    places = [*os.environ.get("GOPATH", "").split(os.pathsep), fetched, GO_SOURCES]
    return next((at for at in places if at and Path(at, "src/github.com/gorilla/websocket").is_dir()), None)


@cache
def _built(go: str, sources: str, binary: Path) -> str:
    ours = GORILLA / ".gopath"
    environ = {"GOPATH": sources, "GO111MODULE": "off", "CGO_ENABLED": "0", "GOFLAGS": "", "GOTOOLCHAIN": "local"}
    # what Go keeps for the next build and counts about itself stays in this folder, too
    environ |= {"GOCACHE": str(ours / "cache"), "XDG_CONFIG_HOME": str(ours / "config")}
    command = [go, "build", "-o", str(binary), "."]
    try:
        built = subprocess.run(
            command, cwd=GORILLA, env=os.environ | environ, capture_output=True, text=True, check=False
        )
    except OSError as why:
        return f"go build failed: {why}"
    return f"go build failed: {built.stderr.strip()[-200:]}" if built.returncode else ""
