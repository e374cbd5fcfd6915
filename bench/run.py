"""One run of the bench: where it works, how long it may take, and what it starts."""

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.lineup import gateway
from bench.machine import LOAD_CORE
from bench.process import Process


@dataclass(frozen=True, slots=True)
class Run:
    """What every measure is given."""

    folder: Path
    quick: bool
    rounds: int
    stored: int
    """The most events a database is filled with, where cost is measured as it grows."""
    sockets: int
    """The most sockets of a crowd that the limit of open files lets a process hold."""

    def either(self, quick: float, full: float) -> float:
        """Return one of two lengths."""
        return quick if self.quick else full

    def start_load(self, name: str) -> Process:
        """Start a load on the load's core."""
        process = Process(name, [sys.executable, "-m", "bench.load"], LOAD_CORE, self.folder)
        process.hear()
        return process

    @contextlib.contextmanager
    def load(self, name: str = "load") -> Iterator[Process]:
        """Start a load, and end it."""
        process = self.start_load(name)
        try:
            yield process
        finally:
            process.stop()

    @contextlib.contextmanager
    def gateway(self, database: str) -> Iterator[tuple[Process, int]]:
        """Start a gateway on the server's core; yield it and its port, and end it."""
        process, port = gateway(self.folder, database=database)
        try:
            yield process, port
        finally:
            process.stop()


class Used:
    """What a server and a load use in a `with` block: `server` and `load` CPU seconds, `seconds` of the clock."""

    def __init__(self, server: Process, load: Process) -> None:
        self._processes = (server, load)

    def __enter__(self) -> "Used":
        self._began = time.perf_counter(), *(process.cpu() for process in self._processes)
        self._loop = self._processes[0].loop_cpu()
        return self

    def __exit__(self, *_: object) -> None:
        now = time.perf_counter(), *(process.cpu() for process in self._processes)
        self.seconds, self.server, self.load = (after - before for after, before in zip(now, self._began, strict=True))
        self.loop = self._processes[0].loop_cpu() - self._loop

    @property
    def load_share(self) -> float:
        """How much of its core the load used."""
        return self.load / self.seconds

    @property
    def server_share(self) -> float:
        """How much of its core the server used."""
        return self.server / self.seconds
