"""Settings: one table of what can be set, read from environment variables `ODDSWIRE_<NAME>` and from nowhere else."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
import msgspec.inspect as shapes
from msgspec import Meta, Struct

from oddswire.errors import OperatorError

PREFIX = "ODDSWIRE_"
DEV_APP: Final = "demo"
"""The app that `serve --dev` makes, and that a command speaks to unless told otherwise."""
DEV_KEY: Final = "demo-key"
"""Its API key, which everybody knows."""
_OPTIONS = ("ADMIN", "API_KEY", "APP", "DATABASE", "HOST", "PORT", "TOKEN", "URL")
COMMAND_LINE = frozenset(PREFIX + name for name in _OPTIONS)
"""Variables that stand in for options of the command line: no settings, and two of them secret."""


def _meta(description: str, unit: str, low: int | None = None, high: int | None = None) -> Meta:
    return Meta(ge=low, le=high, description=description, extra={"unit": unit})


class Settings(Struct, frozen=True, kw_only=True):
    """What can be set. A field `max_anonymous_per_ip` is the variable `ODDSWIRE_MAX_ANONYMOUS_PER_IP`."""

    access_token_minutes: Annotated[int, _meta("Life of an access token", "minutes", 1, 1440)] = 60
    retention_hours: Annotated[int, _meta("Events younger than this are kept", "hours", 1, 87_600)] = 72
    retention_events: Annotated[
        int, _meta("So many newest events of a user are kept however old they are", "events", 0, 1_000_000)
    ] = 1000
    order_answer_seconds: Annotated[
        int, _meta("A venue that has not answered by then makes the order `unconfirmed`", "seconds", 1, 60)
    ] = 10
    drain_seconds: Annotated[
        int, _meta("How long connections stay open after the process was asked to stop", "seconds", 0, 300)
    ] = 5

    max_connections_per_user: Annotated[
        int, _meta("Connections a user may have on this node; the newest beyond is refused", "connections", 1, 10_000)
    ] = 20
    max_connections_per_app: Annotated[
        int, _meta("Connections an app may have on this node; 0 is no cap", "connections", 0, 10_000_000)
    ] = 0
    max_anonymous_per_ip: Annotated[
        int,
        _meta("Connections without a user from one address (IPv6: one /64) on this node", "connections", 1, 1_000_000),
    ] = 100

    orders_per_second: Annotated[int, _meta("Orders and cancels of a user", "a second", 1, 100_000)] = 50
    reads_per_second: Annotated[int, _meta("Reads of a user", "a second", 1, 100_000)] = 100
    sign_ins_per_second: Annotated[
        int, _meta("Sign-ins and refreshes from one address (IPv6: one /64)", "a second", 1, 100_000)
    ] = 10
    failed_sign_ins_per_minute: Annotated[
        int,
        _meta("Failed ones of these from one address; and, counted apart, bad access tokens", "a minute", 1, 100_000),
    ] = 20
    refused_per_second: Annotated[
        int,
        _meta(
            "Calls and connects without a good token from one address that were refused; who is over it is stopped",
            "a second",
            1,
            100_000,
        ),
    ] = 50
    calls_per_second_per_app: Annotated[
        int, _meta("Calls of an app's users and backend together; 0 is no limit", "a second", 0, 1_000_000)
    ] = 2000
    calls_per_second_per_address: Annotated[
        int,
        _meta(
            "Calls and connects from one address (IPv6: one /64), whoever makes them; 0 is no limit",
            "a second",
            0,
            1_000_000,
        ),
    ] = 1000
    trusted_proxies: Annotated[
        str,
        _meta(
            "Proxies whose `X-Forwarded-For` says where a call comes from: addresses and networks with commas between",
            "addresses",
        ),
    ] = ""

    paper_fee: Annotated[
        str,
        Meta(
            pattern=r"^0(\.[0-9]{1,6})?$",
            description="What the paper venue charges the taker of a contract: a plain decimal below 1, such as 0.01",
            extra={"unit": "dollars a contract"},
        ),
    ] = "0"
    paper_start_cents: Annotated[int, _meta("What a new user has at the paper venue", "cents", 0, 10_000_000_000)] = (
        100_000
    )
    paper_markets: Annotated[str, _meta("TOML file of the paper venue's markets; empty: the built-in ones", "path")] = (
        ""
    )

    provider_allow_private: Annotated[
        bool, _meta("Identity providers' keys may be read from private addresses and this machine's own", "")
    ] = False
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], _meta("The least important events that are logged", "")
    ] = "info"
    log_json: Annotated[bool, _meta("Log one JSON object a line; otherwise for people", "")] = False


class Setting(NamedTuple):
    """A row of the table: `expected` says in words which values there are."""

    variable: str
    field: str
    expected: str
    default: str
    unit: str
    description: str


def describe() -> list[Setting]:
    """Return every setting in the order of `Settings`: what the reference is generated from."""
    shape = shapes.type_info(Settings)
    if not isinstance(shape, shapes.StructType):
        raise TypeError("Settings is not a struct")
    return [_row(field) for field in shape.fields]


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Return the settings that `environ` makes; variables without the prefix are others' business.

    Raises:
        OperatorError: `config_invalid`: an unknown name, or a value out of bounds. Never repeats a value.
    """
    rows = {row.variable: row for row in describe()}
    types = {field.name: field.type for field in msgspec.structs.fields(Settings)}
    values: dict[str, Any] = {}
    for variable, text in sorted(environ.items()):
        if not variable.startswith(PREFIX) or variable in COMMAND_LINE:
            continue
        row = rows.get(variable)
        if row is None:
            raise OperatorError("config_invalid", f"There is no setting {variable}.", path=variable)
        try:
            values[row.field] = msgspec.convert(text, type=types[row.field], strict=False)
        except msgspec.ValidationError:
            unit = f" ({row.unit})" if row.unit else ""
            raise OperatorError("config_invalid", f"{variable} wants {row.expected}{unit}.", path=variable) from None
    return Settings(**values)


def _row(field: shapes.Field) -> Setting:
    meta = field.type
    if not isinstance(meta, shapes.Metadata):
        raise TypeError(f"{field.name} has no description")
    default = str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
    description = str((meta.extra_json_schema or {})["description"])
    unit = str((meta.extra or {})["unit"])
    return Setting(PREFIX + field.name.upper(), field.name, _expected(meta.type), default, unit, description)


def _expected(shape: shapes.Type) -> str:
    match shape:
        case shapes.IntType(ge=low, le=high):
            return f"a whole number from {low} to {high}"
        case shapes.BoolType():
            return "`true` or `false`"
        case shapes.LiteralType(values=values):
            return "one of " + ", ".join(f"`{value}`" for value in values)
        case shapes.StrType(pattern=None):
            return "text"
        case shapes.StrType(pattern=pattern):
            return f"text that matches `{pattern}`"
        case _:
            raise TypeError(f"no words for {shape}")
