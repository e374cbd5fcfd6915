"""Words that make no command: the answer says how it is written, and what it says can be read."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from oddswire.cli import faults
from oddswire.cli.faults import one_line
from oddswire.cli.mistakes import command_of, example_of
from oddswire.cli.root import root
from oddswire.errors import CODES, OddswireError
from tests.cli.conftest import Cli, one_error_line

TREE: Any = typer.main.get_command(root)
PAGE = Path(__file__).parents[2] / "docs/reference/cli.md"


def leaves(command: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        return [(path, command)]
    return [found for name, sub in inner.items() for found in leaves(sub, (*path, name))]


LEAVES = leaves(TREE)
WANTING = [(path, command) for path, command in LEAVES if any(parameter.required for parameter in command.params)]


def called(line: str) -> list[str]:
    """Return the words that a shell gives to `oddswire` in a line, without what it does itself."""
    line = line.replace("$(date +%F)", "2026-01-31")
    _, _, line = re.sub(r"\$\((.*)\)$", r"\1", line).partition("oddswire ")
    return shlex.split(re.split(r" [|<>] ", line)[0], comments=True)


def parse(words: list[str]) -> None:
    """Read the words as the command line does, and call nothing.

    Raises:
        TyperException, OddswireError: they make no command.
    """
    path, command = next((path, leaf) for path, leaf in LEAVES if tuple(words[: len(path)]) == path)
    command.make_context(" ".join(path), words[len(path) :])


@pytest.mark.parametrize(("path", "command"), LEAVES, ids=lambda value: " ".join(value) if type(value) is tuple else "")
def test_every_example_of_a_help_can_be_read(path: tuple[str, ...], command: Any) -> None:
    examples = re.findall(r"Example:  (.+)", command.help)
    assert examples
    assert example_of(command.help) == examples[0].strip()
    for example in examples:
        words = called(example)
        assert tuple(words[: len(path)]) == path
        parse(words)


def test_every_line_of_the_reference_can_be_read() -> None:
    lines = [
        line
        for block in re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.S)
        for line in block.splitlines()
        if "oddswire " in line and "-completion" not in line
    ]
    assert len(lines) >= len(LEAVES)
    for line in lines:
        parse(called(line))


@pytest.mark.parametrize("advice", [*CODES, *(words for _, words in faults.NONE_SUCH)])
def test_every_command_that_an_advice_names_is_one(advice: str) -> None:
    said = one_line(OddswireError(advice, "It is so.")) if advice in CODES else advice
    for call in re.findall(r"`oddswire ([^`]+)`", said):
        words = call.split()
        path, command = next((path, leaf) for path, leaf in LEAVES if tuple(words[: len(path)]) == path)
        options = {name for parameter in command.params for name in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options
        arguments = [word for word in words[len(path) :] if not word.startswith("--")]
        assert [word for word in arguments if not re.fullmatch("[A-Z_]+", word)] == []


@pytest.mark.parametrize(
    ("path", "command"), WANTING, ids=lambda value: " ".join(value) if type(value) is tuple else ""
)
async def test_what_is_missing_is_answered_with_an_example(cli: Cli, path: tuple[str, ...], command: Any) -> None:
    line = one_error_line(await cli(*path), 2)
    assert line.startswith(("error: Missing argument '", "error: Missing option '"))
    assert f", as in `{example_of(command.help)}`. See: oddswire {' '.join(path)} --help" in line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("user",), "Missing command: one of list, kick, cancel, export, erase. See: oddswire user --help"),
        (("order", "place", "m", "yes"), "Missing argument 'SIDE' (buy, sell), as in `oddswire order place "),
        (("order", "place", "m", "yes", "hold", "1", "1"), "Invalid value for 'SIDE': 'hold' is not one of"),
        (
            ("balance", "ann"),
            "Too many words: ann; a user is named by an option, as in `oddswire balance --user NAME`.",
        ),
        (("markets", "a", "b"), "Too many words: a b. See: oddswire markets --help"),
        (
            ("--json", "markets"),
            "No such option: --json: options go behind the command, as in `oddswire markets --json`",
        ),
        (("user", "--app", "shop", "list"), "as in `oddswire user list --app`"),
        (("--json", "serve"), "No such option: --json"),
        (("fills", "-n", "x"), "a whole number is wanted. See: oddswire fills --help"),
        (("fills", "-n", "0"), "1 is the least. See: oddswire fills --help"),
        (("paper", "fault", "delay", "99999"), "60000 is the most. See: oddswire paper fault delay --help"),
        (("demo", "--seconds", "x"), "a number is wanted. See: oddswire demo --help"),
        (("order", "list"), "See: oddswire order list --help"),
    ],
)
async def test_a_mistake_says_how_it_is_written(cli: Cli, words: tuple[str, ...], said: str) -> None:
    line = one_error_line(await cli(*words), 2)
    assert said in line
    assert "Input should" not in line


def test_the_command_is_found_among_its_words() -> None:
    assert command_of(root, ("order", "place", "list", "yes")) == "oddswire order place"
    assert command_of(root, ("nonsense",)) == "oddswire"
    assert command_of(root, ()) == "oddswire"
