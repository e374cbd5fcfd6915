"""`oddswire demo`: a gateway of its own, two users, and everything they are told."""

from typing import Annotated

import typer


def demo(
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=0.5, help="End after so many seconds, not at Ctrl-C.")
    ] = None,
) -> None:
    """See it work: two users trade on the paper venue, and every event is printed as it arrives.

    Nothing to set up and nothing left behind: the gateway and its database live in a temporary folder.

    Example:  oddswire demo --seconds 20
    """
    # a gateway is a second of imports that other commands need not wait for
    import uvloop

    from oddswire.cli.stage import perform

    if not uvloop.run(perform(seconds)):
        raise typer.Exit(1)
