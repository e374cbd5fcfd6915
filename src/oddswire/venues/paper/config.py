"""What the paper venue is set to: its markets, what a new account begins with, what a trade costs."""

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from oddswire.config import Settings
from oddswire.errors import InvalidInput, OperatorError
from oddswire.money import ONE, parse_amount

FINEST_TICK = 100
"""A price is a multiple of 0.0001 dollars …"""
FINEST_SIZE = 10_000
"""… and a size one of 0.01 contracts, so that price times size is whole millionths: nothing here ever rounds."""
YES, NO = "yes", "no"


@dataclass(frozen=True, slots=True)
class MarketSpec:
    """A market as the catalogue has it; amounts in millionths."""

    market_id: str
    title: str
    reference: int
    tick: int
    size_step: int
    min_size: int
    max_size: int


@dataclass(frozen=True, slots=True)
class PaperConfig:
    """The venue's settings. `fee` is what a taker pays a contract, `opening` what a new account begins with."""

    markets: dict[str, MarketSpec]
    fee: int = 0
    opening: int = 1_000 * ONE
    house_levels: int = 5
    house_size: int = 200 * ONE
    house_money: int = 1_000_000 * ONE

    def __post_init__(self) -> None:
        if self.fee % FINEST_TICK or not 0 <= self.fee < ONE:
            raise OperatorError("config_invalid", "The paper venue's fee is a multiple of 0.0001 dollars below 1.")


def paper_config(settings: Settings) -> PaperConfig:
    """Return the venue as the settings have it.

    Raises:
        OperatorError: `config_invalid`, for the catalogue or the fee.
    """
    path = Path(settings.paper_markets) if settings.paper_markets else None
    try:
        markets = load_markets(path)
    except OSError as fault:
        raise OperatorError("config_invalid", f"{path} cannot be read: {fault.strerror}.") from fault
    try:
        fee = parse_amount(settings.paper_fee, "ODDSWIRE_PAPER_FEE")
    except InvalidInput as fault:
        raise OperatorError("config_invalid", f"The paper venue's fee is no amount: {fault.detail}") from fault
    return PaperConfig(markets=markets, fee=fee, opening=settings.paper_start_cents * 10_000)


def load_markets(path: Path | None = None) -> dict[str, MarketSpec]:
    """Return the catalogue at `path`, or the one that comes with the venue.

    Raises:
        OperatorError: `config_invalid`, naming the market and the field at fault.
    """
    source = path.read_text() if path else files(__package__).joinpath("markets.toml").read_text()
    name = str(path or "markets.toml")
    try:
        tables: list[dict[str, Any]] = tomllib.loads(source)["market"]
        specs = [_spec(table) for table in tables]
    except (tomllib.TOMLDecodeError, KeyError, TypeError, InvalidInput) as fault:
        raise OperatorError("config_invalid", f"{name} is no market catalogue: {fault}.") from fault
    for spec in specs:
        _check(spec, name)
    if len({spec.market_id for spec in specs}) != len(specs) or not specs:
        raise OperatorError("config_invalid", f"{name} has no market, or two of one id.")
    return {spec.market_id: spec for spec in sorted(specs, key=lambda spec: spec.market_id)}


def _spec(table: dict[str, Any]) -> MarketSpec:
    def amount(name: str, default: str | None = None) -> int:
        text = table.get(name, default) if default is not None else table[name]
        return parse_amount(str(text), f"{table['id']}.{name}")

    return MarketSpec(
        market_id=str(table["id"]),
        title=str(table["title"]),
        reference=amount("reference"),
        tick=amount("tick", "0.01"),
        size_step=amount("size_step", "0.01"),
        min_size=amount("min_size", "0.01"),
        max_size=amount("max_size", "1000000"),
    )


def _check(spec: MarketSpec, name: str) -> None:
    wrong = None
    if spec.tick <= 0 or spec.tick % FINEST_TICK or ONE % spec.tick:
        wrong = "tick is no multiple of 0.0001 that divides 1"
    elif not 0 < spec.reference < ONE or spec.reference % spec.tick:
        wrong = "reference is no multiple of its tick between 0 and 1"
    elif spec.size_step <= 0 or spec.size_step % FINEST_SIZE:
        wrong = "size_step is no multiple of 0.01"
    elif spec.min_size % spec.size_step or not 0 < spec.min_size <= spec.max_size:
        wrong = "min_size is no multiple of size_step up to max_size"
    if wrong:
        raise OperatorError("config_invalid", f"{name}: market {spec.market_id}: {wrong}.")
