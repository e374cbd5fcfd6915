"""What was found: figures of several rounds, and their ratios within each round."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(slots=True)
class Row:
    """One subject's figures, a round each; `missing` says why there are none."""

    subject: str
    values: list[float] = field(default_factory=list)
    load_shares: list[float] = field(default_factory=list)
    """How much of its core the load used, a round each: near 1 the load was what was measured."""
    note: str = ""
    missing: str = ""

    def add(self, value: float, load_share: float | None = None) -> None:
        """Take the figure of one more round."""
        self.values.append(value)
        if load_share is not None:
            self.load_shares.append(load_share)


@dataclass(slots=True)
class Group:
    """Rows of one unit. Ratios are to `reference`, or to the first row, round by round."""

    name: str
    unit: str
    rows: list[Row] = field(default_factory=list)
    reference: str = ""
    chart: bool = False
    """Whether the docs show a picture of it."""

    def row(self, subject: str, *, note: str = "") -> Row:
        """Return the row of that subject, made where it is new."""
        for row in self.rows:
            if row.subject == subject:
                return row
        self.rows.append(Row(subject, note=note))
        return self.rows[-1]

    def without(self, subject: str, reason: str) -> None:
        """Say why a subject has no figures."""
        self.row(subject).missing = reason

    def ratios(self, row: Row) -> list[float]:
        """Return the row's figures as multiples of the reference's of the same round."""
        if not self.rows:
            return []
        base = next((one for one in self.rows if one.subject == self.reference), self.rows[0])
        if base is row or len(base.values) != len(row.values):
            return []
        return [value / other for value, other in zip(row.values, base.values, strict=True) if other > 0]


def spread(values: Sequence[float], times: str = "") -> str:
    """Return a median and the range around it."""
    if not values:
        return ""
    middle = _short(statistics.median(values)) + times
    return middle if len(values) == 1 else f"{middle} ({_short(min(values))} to {_short(max(values))})"


def _short(value: float) -> str:
    if value == 0:
        return "0"
    places = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 0.1 else 4
    return f"{value:,.{places}f}"


def _cells(group: Group, row: Row) -> tuple[str, str, str, str]:
    if row.missing:
        return row.subject, "not measured", "", row.missing
    remarks = [row.note] if row.note else []
    if row.load_shares:
        remarks.append(f"load {statistics.median(row.load_shares):.0%} of its core")
    return row.subject, spread(row.values), spread(group.ratios(row), "×"), "; ".join(remarks)


def print_groups(groups: Sequence[Group], console: Console) -> None:
    """Print a table for each group."""
    for group in groups:
        console.print(group.name, style="bold")
        table = Table("", group.unit, "ratio", "")
        for row in group.rows:
            table.add_row(*_cells(group, row))
        console.print(table)


def as_markdown(groups: Sequence[Group], machine: dict[str, Any]) -> str:
    """Return the same tables for the docs."""
    lines = ["Made by `make bench` on: " + ", ".join(f"{name.replace('_', ' ')} {of}" for name, of in machine.items())]
    for group in groups:
        lines += ["", f"**{group.name}**", "", f"| | {group.unit} | ratio | |", "|---|---|---|---|"]
        lines += [f"| {' | '.join(_cells(group, row))} |" for row in group.rows]
    return "\n".join(lines) + "\n"


def save(groups: Sequence[Group], machine: dict[str, Any], file: Path) -> None:
    """Write everything as JSON."""
    told = [
        {
            **asdict(group),
            "rows": [
                {**asdict(row), "median": _median(row.values), "ratio": _median(group.ratios(row))}
                for row in group.rows
            ],
        }
        for group in groups
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"machine": machine, "groups": told}, indent=2) + "\n")


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None
