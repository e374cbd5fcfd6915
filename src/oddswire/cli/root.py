"""The command tree, and the one place where a fault becomes a line on the terminal.

Commands import what they run inside their functions: `oddswire --help` must not wait for a server it does not start.
"""

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer
from typer.exceptions import TyperException

from oddswire.cli import (
    acts,
    app_wallet,
    apps,
    backups,
    check,
    demo,
    events,
    keys,
    markets,
    orders,
    paper,
    providers,
    serve,
    sessions,
    state,
    tokens,
    users,
    watch,
)
from oddswire.cli.faults import exit_code, one_line, usage
from oddswire.cli.mistakes import command_of, usage_line
from oddswire.cli.output import ReaderGone
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
apps.commands.add_typer(providers.commands, name="provider")
apps.commands.add_typer(app_wallet.commands, name="wallet")
root.add_typer(apps.commands, name="app", rich_help_panel="Run it")
root.add_typer(keys.commands, name="keys", rich_help_panel="Run it")
root.add_typer(users.commands, name="user", rich_help_panel="Run it")
root.add_typer(sessions.commands, name="session", rich_help_panel="Run it")
root.command("acts", rich_help_panel="Run it")(acts.acts)
root.add_typer(paper.commands, name="paper", rich_help_panel="Run it")
root.command("token", rich_help_panel="Use it")(tokens.token)
root.command("markets", rich_help_panel="Use it")(markets.markets)
root.add_typer(orders.commands, name="order", rich_help_panel="Use it")
root.command("balance", rich_help_panel="Use it")(state.balance)
root.command("holdings", rich_help_panel="Use it")(state.holdings)
root.command("fills", rich_help_panel="Use it")(state.fills)
root.command("events", rich_help_panel="Use it")(events.events)
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
        _must_be_text(words)
        return root(args=list(words) or ["--help"], prog_name="oddswire", standalone_mode=False) or 0
    except OddswireError as fault:
        typer.echo(one_line(fault, command_of(root, words)), err=True)
        return exit_code(fault)
    except TyperException as fault:
        typer.echo(usage_line(root, fault, words), err=True)
        return fault.exit_code
    except ReaderGone:
        _write_nowhere()
        return 0
    except (KeyboardInterrupt, typer.Abort):
        return _INTERRUPTED


def _must_be_text(words: Sequence[str]) -> None:
    """Refuse what was no UTF-8 on the command line: nothing that is sent or stored could hold it."""
    for word in words:
        if not word.isascii() and any("\ud800" <= char <= "\udfff" for char in word):
            raise usage(f"{word!r} is not UTF-8.")


def main() -> None:
    """Run the process's own command line and exit."""
    # Python has no such stream where the caller has closed it, and what writes there need not know
    sys.stdout = sys.stdout or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    sys.stderr = sys.stderr or sys.stdout
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _write_nowhere()
    sys.exit(code)


def _write_nowhere() -> None:
    """Let what is left in the buffer go nowhere: the interpreter would complain that it cannot write it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
