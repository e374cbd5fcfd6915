"""What is said of a command line that cannot be read: the mistake, how it is written, and whose help to see."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import typer
import typer.main
from typer.exceptions import TyperException

if TYPE_CHECKING:
    from typer._click.core import Command

_REASONS: Final = (
    (re.compile(r"Input should be a valid integer.*?(?=\.|$)"), "a whole number is wanted"),
    (re.compile(r"Input should be a valid number.*?(?=\.|$)"), "a number is wanted"),
    (re.compile(r"Input should be greater than or equal to (\S+?)(?=\.?$)"), r"\1 is the least"),
    (re.compile(r"Input should be less than or equal to (\S+?)(?=\.?$)"), r"\1 is the most"),
    (re.compile(r"Got unexpected extra argument\(s\) \((.*)\)"), r"Too many words: \1"),
    (re.compile(r"\. Choose from: ([^.]*)"), r" (\1)"),
)
"""What the reader of options says of a value, and how a person says it."""


def usage_line(tree: typer.Typer, fault: TyperException, words: Sequence[str]) -> str:
    """Return the one line that answers words which make no command."""
    said = " ".join(fault.format_message().split()).replace(" Value error,", "")
    context: typer.Context | None = getattr(fault, "ctx", None)
    said = _plainly(said, words).rstrip(".")
    if context is not None:
        said = _told(tree, context, said, words)
    path = context.command_path if context is not None else "oddswire"
    return f"error: {said}{'' if said.endswith('?') else '.'} See: {path} --help"


def command_of(tree: typer.Typer, words: Sequence[str]) -> str:
    """Return the command that these words call, such as `oddswire app list`, as far as they name one."""
    return " ".join(("oddswire", *_walked(typer.main.get_command(tree), words)[0]))


def example_of(explained: str | None) -> str | None:
    """Return the first example of a command's help."""
    found = re.search(r"Example:  (.+)", explained or "")
    return found[1].strip() if found else None


def _plainly(said: str, words: Sequence[str]) -> str:
    if re.fullmatch(r"No such option: -[\d.]?\.?", said):
        # options of one letter may stand together, so that only the first digit is told
        below = next((word for word in words if re.match(r"-[\d.]", word)), "-")
        return f"{below} is taken for an option: amounts and counts are above 0."
    for reason, plain in _REASONS:
        said = reason.sub(plain, said)
    return said


def _told(tree: typer.Typer, context: typer.Context, said: str, words: Sequence[str]) -> str:
    """Return the mistake, with how it is written instead where that can be told."""
    command = context.command
    if said == "Missing command":
        return f"{said}: one of {', '.join(getattr(command, 'commands', {}))}"
    if said.startswith(("Missing argument", "Missing option")):
        given = example_of(command.help)
        return f"{said}, as in `{given}`" if given else said
    if said.startswith("Too many words: ") and "--user" in _options(command):
        return f"{said}; a user is named by an option, as in `{context.command_path} --user NAME`"
    option = re.match(r"No such option: (-\S+)", said)
    if option and hasattr(command, "commands"):
        path, called = _walked(typer.main.get_command(tree), words)
        if option[1] in _options(called):
            call = " ".join(("oddswire", *path, option[1]))
            return f"{option[0]}: options go behind the command, as in `{call}`"
    return said


def _walked(command: "Command", words: Sequence[str]) -> "tuple[list[str], Command]":
    """Return the names of the command that the words call, and itself; other words between them are passed over."""
    path: list[str] = []
    for word in words:
        inner: dict[str, Command] = getattr(command, "commands", {})
        if word in inner:
            path.append(word)
            command = inner[word]
    return path, command


def _options(command: "Command") -> set[str]:
    return {name for parameter in command.params for name in parameter.opts}
