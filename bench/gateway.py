"""A gateway in a process of its own, on one core, and what it has used."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

LIMITS = {"ODDSWIRE_ORDERS_PER_SECOND": "100000", "ODDSWIRE_READS_PER_SECOND": "100000"}
LIMITS |= {"ODDSWIRE_SIGN_INS_PER_SECOND": "100000", "ODDSWIRE_LOG_LEVEL": "error"}
LIMITS |= {"ODDSWIRE_CALLS_PER_SECOND_PER_APP": "0", "ODDSWIRE_CALLS_PER_SECOND_PER_ADDRESS": "0"}
_TICKS = os.sysconf("SC_CLK_TCK")


class Gateway:
    """Where it listens, and how much CPU it has used."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.ws_url = f"ws://127.0.0.1:{self.port}/ws?appId=demo"
        command = [sys.executable, "-m", "oddswire", "serve", "--dev", "--port", str(self.port)]
        command += ["--admin", "127.0.0.1:0", "--database", str(folder / "bench.db")]
        with (folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env={**os.environ, **settings}, stdout=subprocess.DEVNULL, stderr=log
            )
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) > 1:
            os.sched_setaffinity(self.process.pid, {cores[0]})
            os.sched_setaffinity(0, {cores[1]})

    def cpu_seconds(self) -> float:
        """Return the CPU time of all its threads so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def waited_seconds(self) -> float:
        """Return how long its threads have been ready to run while their core did something else."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[1]) for task in tasks) / 1e9

    def sign_in(self, user: str) -> str:
        """Return an access token."""
        headers = {"x-app-id": "demo", "x-app-api-key": "demo-key"}
        answer = httpx.post(f"{self.url}/auth/token", headers=headers, json={"userId": user}).raise_for_status()
        return str(answer.json()["accessToken"])


@contextlib.contextmanager
def running(folder: Path, settings: dict[str, str] = LIMITS) -> Iterator[Gateway]:
    """Start one, wait until it is ready, and end it; its log is `folder`/log."""
    gateway = Gateway(folder, settings)
    try:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{gateway.url}/readyz").status_code == 200:
                    break
            if gateway.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the gateway did not start")
            time.sleep(0.02)
        yield gateway
    finally:
        if (code := gateway.process.poll()) is not None:
            print(f"the gateway ended with {code}:", (folder / "log").read_text()[-4000:], file=sys.stderr)
        gateway.process.terminate()
        gateway.process.wait(30)
