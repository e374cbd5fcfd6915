"""A process of the bench, pinned to a core: asked by lines, measured from outside."""

import json
import os
import queue
import resource
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


class Failed(Exception):
    """A process said no, ended, or did not answer in time."""


class Process:
    """A server or a load. Its first line says that it is ready."""

    def __init__(
        self, name: str, command: list[str], core: int, folder: Path, environ: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self._log = folder / f"{name.replace(' ', '-')}.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **(environ or {})},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                preexec_fn=lambda: _settle(core),
            )
        self.pid = self._process.pid
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def hear(self, seconds: float = 60) -> Any:
        """Return what its next line says.

        Raises:
            Failed: it ended, or said nothing for so long.
        """
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            raise Failed(f"{self.name} has not answered for {seconds:.0f} s. {self.last_words()}") from None
        if line is None:
            raise Failed(f"{self.name} has ended ({self._process.wait(10)}). {self.last_words()}")
        return json.loads(line)

    def tell(self, do: str, **arguments: object) -> None:
        """Ask for something, and leave the answer for `answer`."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()

    def answer(self, seconds: float = 60) -> Any:
        """Return the answer to what was told.

        Raises:
            Failed: there is none, or it is an error.
        """
        said = self.hear(seconds)
        if "error" in said:
            raise Failed(f"{self.name}: {said['error']}")
        return said.get("answer")

    def ask(self, do: str, *, within: float = 60, **arguments: object) -> Any:
        """Tell, and return the answer."""
        self.tell(do, **arguments)
        return self.answer(within)

    def cpu(self) -> float:
        """Return the CPU seconds, user and system, of all its threads so far, those that have ended too."""
        # the kernel's name for the clock of another process: clock_getcpuclockid(3)
        return time.clock_gettime((~self.pid << 3) | 2)

    def loop_cpu(self) -> float:
        """Return the CPU seconds of its first thread, which runs the loop."""
        return int(Path(f"/proc/{self.pid}/task/{self.pid}/schedstat").read_text().split()[0]) / 1e9

    def memory(self) -> dict[str, int]:
        """Return its `rss`, `pss` and highest rss so far, `peak`, in bytes."""
        rollup, status = _kib(f"/proc/{self.pid}/smaps_rollup"), _kib(f"/proc/{self.pid}/status")
        return {"rss": rollup["Rss"] * 1024, "pss": rollup["Pss"] * 1024, "peak": status["VmHWM"] * 1024}

    def forget_peak(self) -> None:
        """Let `peak` begin anew at what it uses now."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def last_words(self) -> str:
        """Return the end of its log."""
        return self._log.read_text(errors="replace")[-2000:].strip()

    def stop(self) -> None:
        """End it, by asking first."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)


def _settle(core: int) -> None:
    os.sched_setaffinity(0, {core})
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _kib(path: str) -> dict[str, int]:
    found = {}
    for line in Path(path).read_text().splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if len(words) == 2 and words[1] == "kB":
            found[name] = int(words[0])
    return found
