"""Measure the gateway beside others on this machine; read the figures as ratios of one run, not as capacity."""

import argparse
import io
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from bench import machine, picture, results
from bench.measures import connect, growth, latency, memory, orders, push, reconnect, replay, stalled
from bench.process import ROOT
from bench.results import Group
from bench.run import Run

MEASURES: dict[str, Callable[[Run], list[Group]]] = {
    "push": push.measure,
    "memory": memory.measure,
    "connect": connect.measure,
    "orders": orders.measure,
    "latency": latency.measure,
    "reconnect": reconnect.measure,
    "stalled": stalled.measure,
    "replay": replay.measure,
    "growth": growth.measure,
    "start": growth.starts,
}
ALONE: dict[str, Callable[[Run], list[Group]]] = {"memory-profile": memory.profile}
"""Made only where they are asked for."""


def main() -> int:
    """Read the options, measure, print and write what was found; return how many measures failed."""
    said = _options()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    console = Console(width=None if Console().is_terminal else 140)
    failed, groups = 0, []
    with tempfile.TemporaryDirectory(dir=said.folder) as folder:
        rounds = max(1, said.rounds or (1 if said.quick else 5))
        run = Run(Path(folder), said.quick, rounds, said.stored, machine.sockets_at_most())
        about = machine.described(run.folder)
        console.print(", ".join(f"{name.replace('_', ' ')} {of}" for name, of in about.items()), style="dim")
        if not said.quick and run.sockets < 10_000:
            console.print(
                f"[red]Open files are limited to {about['open_files']}: no crowd is over {run.sockets:,}.[/red]"
            )
        for name in said.only or MEASURES:
            started = time.perf_counter()
            try:
                found = (MEASURES | ALONE)[name](run)
            except Exception:
                # one measure that cannot be made must not hide the others; the exit code tells of it
                failed += 1
                console.print(f"[red]{name} could not be measured:[/red]\n{escape(traceback.format_exc())}")
                continue
            groups += found
            results.print_groups(found, console)
            console.print(f"[dim]{name}: {time.perf_counter() - started:.0f} s[/dim]\n")
    about["load_average_after"] = machine.load_average()
    _write(groups, about, said.json)
    console.print(f"{said.json} holds it all, with tables and pictures for the docs beside it.")
    return failed


def _write(groups: list[Group], about: dict[str, str | int | float], file: Path) -> None:
    results.save(groups, about, file)
    file.with_suffix(".md").write_text(results.as_markdown(groups, about))
    for group in groups:
        if group.chart:
            name = re.sub(r"[^a-z0-9]+", "-", group.name.replace(",", ""))
            file.with_name(f"{name}.svg").write_text(picture.bars(group))


def _options() -> argparse.Namespace:
    words = argparse.ArgumentParser(prog="make bench", description=__doc__)
    words.add_argument("--quick", action="store_true", help="a minute: fewer events, no crowd of 10,000")
    words.add_argument(
        "--only", action="append", choices=MEASURES | ALONE, help="this measure alone; may be given again"
    )
    words.add_argument("--rounds", type=int, help="paired rounds of each measure (5; 1 where it is quick)")
    words.add_argument("--stored", type=int, default=1_000_000, help="the most events stored, for cost as it grows")
    words.add_argument("--json", type=Path, default=ROOT / "bench" / "results" / "latest.json", help="where to write")
    words.add_argument("--folder", type=Path, help="where databases are made: a folder on the disk to be measured")
    return words.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
