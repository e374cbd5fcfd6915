"""The machine a run was made on: its cores, how many files may be open, and how long its disk takes to keep a write."""

import os
import platform
import resource
import statistics
import time
from pathlib import Path

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE = CORES[0]
LOAD_CORE = CORES[-1]
"""On a machine of one core both are the same, and every figure says little."""
OWN_FILES = 256
"""Files a process has open that are no sockets of its crowd."""


def raise_file_limit() -> int:
    """Allow as many open files as the system lets us; return how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else 1 << 30


def sockets_at_most() -> int:
    """Return how many sockets one process may hold here."""
    return raise_file_limit() - OWN_FILES


def fdatasync_ms(folder: Path, rounds: int = 50) -> list[float]:
    """Return how long each fdatasync after a 4 KiB append took: the least a durable commit waits for."""
    took = []
    with (folder / "flush").open("wb", buffering=0) as file:
        for _ in range(rounds):
            file.write(b"x" * 4096)
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - started) * 1000)
    return took


def described(folder: Path) -> dict[str, str | int | float]:
    """Return what a reader of the figures must know of the machine."""
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    return {
        "processor": model.partition(":")[2].strip() or platform.machine(),
        "cores": len(CORES),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "open_files": raise_file_limit(),
        "load_average_before": load_average(),
        "fdatasync_p50_ms": round(statistics.median(fdatasync_ms(folder)), 3),
    }


def load_average() -> float:
    """Return how many tasks wanted to run in the last minute: the bench's own two, and whoever else is here."""
    return round(os.getloadavg()[0], 2)
