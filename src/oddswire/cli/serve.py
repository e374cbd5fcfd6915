"""`oddswire serve`: the gateway itself."""

import os
import signal
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from oddswire.cli import options, output
from oddswire.cli.faults import exit_code
from oddswire.errors import OddswireError

if TYPE_CHECKING:
    from types import FrameType

    from oddswire.server.process import Address


def serve(
    host: Annotated[
        str, typer.Option("--host", envvar="ODDSWIRE_HOST", help="The address to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", envvar="ODDSWIRE_PORT", min=0, max=65535, help="The port; 0 takes a free one.")
    ] = 8080,
    admin: Annotated[
        str,
        typer.Option("--admin", envvar="ODDSWIRE_ADMIN", help="HOST:PORT of metrics and readiness; never public."),
    ] = "127.0.0.1:9464",
    database: options.Database = options.DATABASE,
    drain: Annotated[
        int | None,
        typer.Option(
            "--drain", min=0, max=300, help="Seconds that sockets stay open after SIGTERM, over ODDSWIRE_DRAIN_SECONDS."
        ),
    ] = None,
    dev: Annotated[
        bool, typer.Option("--dev", help="Make an app `demo` with the key `demo-key`. On this machine only.")
    ] = False,
) -> None:
    """Run the gateway until Ctrl-C or SIGTERM.

    Its settings are environment variables: docs/reference/settings.md.

    Example:  oddswire serve --dev

    Example:  oddswire serve --host 0.0.0.0 --database /var/lib/oddswire/oddswire.db
    """
    # until the gateway takes signals itself, there is nothing to bring to an end but this process
    signal.signal(signal.SIGTERM, _leave)
    # the gateway is a second of imports that other commands need not wait for
    import structlog
    import uvloop
    from msgspec.structs import replace

    from oddswire.cli.databases import settings
    from oddswire.server import app, logs
    from oddswire.server.garbage import keep_collections_short

    logger = structlog.get_logger("oddswire.process")
    # read beforehand, since what is wrong with the settings is to be an event too
    as_json = os.environ.get("ODDSWIRE_LOG_JSON", "").lower() in ("true", "1")
    logs.set_up("info", as_json)
    logs.take_over()

    def ready(address: "Address") -> None:
        keep_collections_short()
        if as_json:
            logger.info(
                "serving",
                version=version("oddswire"),
                url=address.url,
                admin=address.admin and str(address.admin),
                dev=dev,
            )
        else:
            _introduce(address, database, dev)

    try:
        chosen = settings()
        if drain is not None:
            chosen = replace(chosen, drain_seconds=drain)
        logs.set_up(chosen.log_level, chosen.log_json)
        uvloop.run(app.serve(chosen, host=host, port=port, admin=admin, database=database, dev=dev, ready=ready))
    except OddswireError as fault:
        if not as_json:
            raise
        logger.critical("serve_failed", code=fault.code, detail=fault.detail, action=fault.meaning.action)
        raise typer.Exit(exit_code(fault)) from fault


def _leave(_number: int, _frame: "FrameType | None") -> NoReturn:
    raise SystemExit(0)


def _introduce(address: "Address", database: Path, dev: bool) -> None:
    """Say what is where."""
    lines = [
        ("REST", address.url),
        ("events", f"{address.ws_url}?appId=…"),
        ("docs", f"{address.url}/docs"),
        ("metrics", "off" if address.admin is None else f"http://{address.admin}/metrics"),
        ("database", str(database.absolute())),
    ]
    if dev:
        lines += [("app", f"{options.APP}, its API key {options.API_KEY} (everybody knows it: for development)")]
    output.line(f"Oddswire {version('oddswire')} is ready. Ctrl-C stops it.\n")
    for name, what in lines:
        output.line(f"  {name:<9} {what}")
    if not dev:
        output.line(f"\n  Make an app:  {output.program()} app create ID --origin URL")
        return
    output.line("\n  Sign a user in, as your backend would:\n")
    output.line(f"    curl -s {address.url}/auth/token -H 'x-app-id: {options.APP}' \\")
    output.line(f"      -H 'x-app-api-key: {options.API_KEY}' -d '{{\"userId\": \"alice\"}}'\n")
    at = "" if address.url == options.URL else f" --url {address.url}"
    call = output.program()
    output.line(f"  Then watch her, and trade:  {call} watch --user alice{at}")
    output.line(f"                              {call} order place fed-cut-dec yes buy 10 0.55 --user alice{at}\n")
