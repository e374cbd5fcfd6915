"""The command tree, and the one place where a fault becomes a line on the terminal.

Commands import what they run inside their functions: `oddswire --help` must not wait for a server it does not start.
"""

import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer
from typer.exceptions import TyperException

from oddswire.cli import apps, backups, check, demo, orders, paper, serve, tokens, watch
from oddswire.cli.faults import exit_code, one_line
from oddswire.errors import OddswireError

_INTERRUPTED = 130

root = typer.Typer(
    name="oddswire",
    help="A self-hosted gateway for prediction markets: every order and balance event on every screen of its user.",
    epilog="Start here:  oddswire demo   ·   oddswire serve --dev",
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=True,
    context_settings={"help_option_names": ["--help", "-h"]},
)
root.command("demo", rich_help_panel="Try it")(demo.demo)
root.command("serve", rich_help_panel="Run it")(serve.serve)
root.command("check", rich_help_panel="Run it")(check.check)
root.command("backup", rich_help_panel="Run it")(backups.backup)
root.command("restore", rich_help_panel="Run it")(backups.restore)
root.add_typer(apps.commands, name="app", rich_help_panel="Run it")
root.add_typer(paper.commands, name="paper", rich_help_panel="Run it")
root.command("token", rich_help_panel="Use it")(tokens.token)
root.add_typer(orders.commands, name="order", rich_help_panel="Use it")
root.command("watch", rich_help_panel="Use it")(watch.watch)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"oddswire {version('oddswire')}")
        raise typer.Exit


@root.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    pass


def run(words: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    try:
        return root(args=list(words) or ["--help"], prog_name="oddswire", standalone_mode=False) or 0
    except OddswireError as fault:
        typer.echo(one_line(fault), err=True)
        return exit_code(fault)
    except TyperException as fault:
        typer.echo(_usage_line(fault), err=True)
        return fault.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return _INTERRUPTED


def main() -> None:
    """Run the process's own command line and exit."""
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # the reader of our pipe has gone: nothing to tell, and nobody to tell it to
        sys.stderr.close()
        code = 0
    sys.exit(code)


def _usage_line(fault: TyperException) -> str:
    said = " ".join(fault.format_message().split()).replace(" Value error,", "")
    context: typer.Context | None = getattr(fault, "ctx", None)
    path = context.command_path if context is not None else "oddswire"
    return f"error: {said}{'' if said.endswith(('.', '?')) else '.'} See: {path} --help"
