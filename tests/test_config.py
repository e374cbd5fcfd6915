import re
from pathlib import Path

import pytest

import oddswire
from oddswire.auth.keys import LONGEST_TOKEN_LIFE
from oddswire.config import COMMAND_LINE, Settings, describe, read_settings
from oddswire.errors import OperatorError

GOOD = [
    ({}, "access_token_minutes", 60),
    ({"ODDSWIRE_ACCESS_TOKEN_MINUTES": "1440"}, "access_token_minutes", 1440),
    ({"ODDSWIRE_MAX_CONNECTIONS_PER_APP": "0"}, "max_connections_per_app", 0),
    ({"ODDSWIRE_PAPER_FEE": "0.015"}, "paper_fee", "0.015"),
    ({"ODDSWIRE_PAPER_MARKETS": "markets.toml"}, "paper_markets", "markets.toml"),
    ({"ODDSWIRE_LOG_LEVEL": "debug"}, "log_level", "debug"),
    ({"ODDSWIRE_LOG_JSON": "true"}, "log_json", True),
    ({"ODDSWIRE_LOG_JSON": "0"}, "log_json", False),
    ({"HOME": "/", "oddswire_x": "1", "XODDSWIRE_LOG_JSON": "x"}, "log_json", False),
]

BAD = [
    ("ODDSWIRE_ACCESS_TOKEN_MINUTES", "0", "a whole number from 1 to 1440 (minutes)"),
    ("ODDSWIRE_ACCESS_TOKEN_MINUTES", "1441", "a whole number from 1 to 1440 (minutes)"),
    ("ODDSWIRE_ACCESS_TOKEN_MINUTES", "", "a whole number from 1 to 1440 (minutes)"),
    ("ODDSWIRE_ACCESS_TOKEN_MINUTES", "1.5", "a whole number"),
    ("ODDSWIRE_ACCESS_TOKEN_MINUTES", "1_0", "a whole number"),
    ("ODDSWIRE_ACCESS_TOKEN_MINUTES", "sixty", "a whole number"),
    ("ODDSWIRE_DRAIN_SECONDS", "-1", "a whole number from 0 to 300 (seconds)"),
    ("ODDSWIRE_PAPER_FEE", "1", "text that matches"),
    ("ODDSWIRE_PAPER_FEE", "-0.1", "text that matches"),
    ("ODDSWIRE_PAPER_FEE", "0.0000001", "dollars a contract"),
    ("ODDSWIRE_PAPER_FEE", "NaN", "text that matches"),
    ("ODDSWIRE_LOG_LEVEL", "loud", "one of `debug`, `error`, `info`, `warning`"),
    ("ODDSWIRE_LOG_JSON", "maybe", "`true` or `false`"),
    ("ODDSWIRE_ORDERS_PER_SECONDS", "50", "no setting"),
    ("ODDSWIRE_", "x", "no setting"),
]


@pytest.mark.parametrize(("environ", "field", "value"), GOOD)
def test_what_is_read(environ: dict[str, str], field: str, value: object) -> None:
    assert getattr(read_settings(environ), field) == value


@pytest.mark.parametrize(("variable", "value", "says"), BAD)
def test_what_is_refused_names_the_variable_and_what_it_wants(variable: str, value: str, says: str) -> None:
    with pytest.raises(OperatorError) as refusal:
        read_settings({variable: value})
    assert refusal.value.code == "config_invalid"
    assert variable in refusal.value.detail
    assert says in refusal.value.detail


def test_a_value_is_never_repeated() -> None:
    for variable in ("ODDSWIRE_LOG_LEVEL", "ODDSWIRE_APIKEY"):
        with pytest.raises(OperatorError) as refusal:
            read_settings({variable: "hunter2"})
        assert "hunter2" not in str(refusal.value)
        assert refusal.value.__cause__ is None


def test_every_setting_is_described_and_its_default_is_one_of_its_values() -> None:
    rows = describe()
    assert len(rows) == len(Settings.__struct_fields__)
    for row in rows:
        assert re.fullmatch(r"ODDSWIRE_[A-Z_]+", row.variable)
        assert row.description
        assert read_settings({row.variable: row.default}) == Settings()


def test_no_token_can_be_set_to_outlive_its_revocation() -> None:
    (row,) = [row for row in describe() if row.field == "access_token_minutes"]
    assert f"to {LONGEST_TOKEN_LIFE // 60_000}" in row.expected


def test_variables_of_the_command_line_are_no_settings_and_no_mistakes() -> None:
    folder = Path(oddswire.__path__[0], "cli")
    used = {name for path in folder.glob("*.py") for name in re.findall(r'envvar="(\w+)"', path.read_text())}
    assert used == COMMAND_LINE
    assert read_settings(dict.fromkeys(used, "x")) == Settings()
