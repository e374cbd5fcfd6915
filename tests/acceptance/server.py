"""A real `oddswire serve` in a process of its own, and what it takes to talk to it."""

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

ORIGIN = "http://app.localhost:5173"
UNLIMITED = {f"ODDSWIRE_{what}_PER_SECOND": "10000" for what in ("ORDERS", "READS", "SIGN_INS")}
NO_LIMITS = {
    **{f"ODDSWIRE_{what}_PER_SECOND": "100000" for what in ("ORDERS", "READS", "SIGN_INS", "REFUSED")},
    **{f"ODDSWIRE_CALLS_PER_SECOND_PER_{what}": "0" for what in ("APP", "ADDRESS")},
    "ODDSWIRE_FAILED_SIGN_INS_PER_MINUTE": "100000",
    "ODDSWIRE_PAPER_START_CENTS": "1000000000",
}
_PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Nothing here is encrypted; to read the machine's certificates takes longer than most requests."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def command(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "oddswire", *words],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **env},
    )


@dataclass
class Server:
    """A running gateway with one app; `kill` is the normal way to stop it."""

    database: Path
    port: int
    app: str
    api_key: str
    process: subprocess.Popen[bytes] | None = None
    prefix: str = ""
    admin: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ws_url(self, app: str | None = None, **query: str | int) -> str:
        extra = "".join(f"&{name}={value}" for name, value in query.items())
        return f"ws://127.0.0.1:{self.port}/ws?appId={app or self.app}{extra}"

    def start(self, **env: str) -> None:
        with (self.database.parent / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "oddswire", "serve", "--host", "127.0.0.1", "--port", str(self.port)),
                    *("--admin", f"127.0.0.1:{self.admin}", "--database", str(self.database)),
                ],
                env={**os.environ, **env},
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/readyz", verify=_PLAIN).status_code == 200:
                    return
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the server did not start:\n" + self.log())
            time.sleep(0.02)

    def log(self) -> str:
        return (self.database.parent / "server.log").read_text()

    def details(self) -> dict[str, Any]:
        """What the operator is told: among it `connections` and `catching_up`."""
        told: dict[str, Any] = httpx.get(f"http://127.0.0.1:{self.admin}/readyz", verify=_PLAIN).json()
        return told

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def terminate(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def sign_in(self, user: str, app: str | None = None, api_key: str | None = None) -> dict[str, Any]:
        answer = httpx.post(
            f"{self.url}/auth/token",
            headers={"x-app-id": app or self.app, "x-app-api-key": api_key or self.api_key},
            json={"userId": self.prefix + user},
            verify=_PLAIN,
        )
        assert answer.status_code == 201, answer.text
        signed_in: dict[str, Any] = answer.json()
        return signed_in

    def http(self, access_token: str, app: str | None = None, **other: Any) -> httpx.AsyncClient:
        headers = {"x-app-id": app or self.app, "authorization": f"Bearer {access_token}"}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=20, verify=_PLAIN, **other)


@contextlib.contextmanager
def running_server(folder: Path, **env: str) -> Iterator[Server]:
    database = folder / "oddswire.db"
    created = command("app", "create", "shop", "--origin", ORIGIN, "--database", str(database), "--json")
    assert created.returncode == 0, created.stderr
    server = Server(database, free_port(), "shop", json.loads(created.stdout)["apiKey"])
    server.start(**env)
    try:
        yield server
    finally:
        server.kill()


def an_order(**other: Any) -> dict[str, Any]:
    return {
        **{"venue": "paper", "marketId": "fed-cut-dec", "outcomeId": "yes"},
        **{"side": "buy", "price": 0.01, "size": 10},
        **other,
    }
