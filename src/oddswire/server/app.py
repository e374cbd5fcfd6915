"""The composition root: the one place that knows which store, which venues and which server the gateway is made of."""

import asyncio
import random
import socket
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal

import msgspec
import structlog

from oddswire.auth import apps
from oddswire.auth.authority import Authority
from oddswire.auth.jwks_fetch import JwksFetch
from oddswire.auth.revocations import Revocation
from oddswire.clock import SystemClock
from oddswire.config import DEV_APP, DEV_KEY, Settings
from oddswire.errors import OddswireError, OperatorError, Unavailable
from oddswire.ids import new_id
from oddswire.orders.desk import Desk
from oddswire.orders.dispatch import Dispatch
from oddswire.orders.pulse import Pulse
from oddswire.orders.reconcile import Reconciler
from oddswire.server.accept import Acceptor
from oddswire.server.addresses import Proxies, parse_networks
from oddswire.server.admin import Admin, Details, admin_server
from oddswire.server.calls import RestParts
from oddswire.server.cors import Cors
from oddswire.server.front import Front
from oddswire.server.gate import Gate
from oddswire.server.gated_http import gated_http
from oddswire.server.limits import Allowance, Limits
from oddswire.server.metrics import Metrics
from oddswire.server.newcomers import Newcomers
from oddswire.server.picows_protocol import websocket_protocol
from oddswire.server.process import (
    Address,
    Background,
    HostPort,
    address_of,
    end_the_process,
    is_loopback,
    listen,
    parse_host_port,
    raise_file_limit,
    signals_set,
)
from oddswire.server.readings import Census, provider_readings, readings
from oddswire.server.rest import rest_app
from oddswire.server.uvicorn_server import GatewayServer, server_for
from oddswire.store.base import Tx
from oddswire.store.sqlite import CORE, SqliteStore, share_the_interpreter
from oddswire.streams.connection import Node
from oddswire.streams.disconnects import Disconnects
from oddswire.streams.hub import Hub
from oddswire.streams.retention import HOUR_MS, Keep, Sweeper
from oddswire.streams.roster import Caps, Roster
from oddswire.streams.wakes import Wakes
from oddswire.venues import paper
from oddswire.venues.base import Venue
from oddswire.venues.paper.adapter import PaperVenue
from oddswire.venues.paper.config import paper_config
from oddswire.wire import frames
from oddswire.wire.frames import VenueStatus

DEV_ORIGINS: Final = tuple(
    f"http://{host}:{port}" for host in ("localhost", "127.0.0.1") for port in (3000, 4200, 5173, 8000, 8080)
)
REQUESTS_END_SECONDS: Final = 2
"""How long requests in flight may go on once all else has ended."""
AUTH_SWEEP_SECONDS: Final = 600.0
_logger = structlog.get_logger("oddswire.process")


class Gateway:
    """A gateway's parts, wired to each other. `start` before serving, then `drain` and `close`."""

    def __init__(self, settings: Settings, store: SqliteStore) -> None:
        clock = SystemClock()
        chance = random.random  # spreads heartbeats and reconnects: nobody gains by guessing it
        self.settings = settings
        self.store = store
        self.phase: Literal["starting", "ready", "draining"] = "starting"
        self.started_at = clock.now()
        self.background = Background()
        self.metrics = Metrics()
        fetch = JwksFetch(allow_private=settings.provider_allow_private)
        self.authority = Authority(store, clock, settings.access_token_minutes, fetch)
        self.pulses: dict[str, Pulse] = {}
        self.paper = PaperVenue(store, clock, paper_config(settings))
        self.venues: dict[str, Venue] = {self.paper.name: self.paper}
        mark = new_id("node", clock.now())
        self.dispatch = Dispatch(store, self.venues, clock, mark, settings.order_answer_seconds)
        self.desk = Desk(store, self.venues, clock, self.dispatch)
        self.newcomers = Newcomers(self.authority, self.desk)
        self.hub = Hub(store, clock)
        self.roster = Roster(_caps(settings), chance)
        self.disconnects = Disconnects(store, clock, self.desk.cancel_absent)
        self.wakes = Wakes(clock)
        self._clock = clock
        self.limits = _limits(settings)
        cors = Cors(self.authority.apps)
        proxies = Proxies(parse_networks(settings.trusted_proxies))
        self.gate = Gate(self.limits, proxies, self.authority, self.newcomers.identify, clock, cors.of_call)
        node = Node(self.hub, self.roster, self.wakes, clock, self.disconnects, self.gate.verify, chance)
        self.acceptor = Acceptor(node, self.authority.apps, lambda: self.phase == "draining", self.gate.refused)
        self.front = Front(rest_app(self._rest_parts()), cors, self.metrics, self.gate.refused)
        self.census = Census(store, clock, self.pulses)
        self.admin = Admin(self.metrics, self.census.take, self._details, self.roster, self.authority)

    def _rest_parts(self) -> RestParts:
        return RestParts(
            store=self.store,
            clock=self._clock,
            authority=self.authority,
            desk=self.desk,
            venues=self.venues,
            limits=self.limits,
            gate=self.gate,
            metrics=self.metrics,
            pulses=self.pulses,
            hub=self.hub,
            roster=self.roster,
            ready=lambda: self.phase == "ready",
        )

    async def start(self) -> None:
        """Read what is needed to answer, and begin what runs in the background: recovery is its first round.

        Raises:
            Unavailable: the store does not answer.
        """
        self.store.on_bells(self.metrics.committed)
        self.store.on_foreign_write(self.paper.poll)
        self.metrics.watch(
            readings(
                *(self.store, self.roster, self.hub, self.pulses, self.census, self.disconnects), self.gate.stopped
            )
        )
        # before revocations are read: those of the time we were down speak of these sessions too
        await self.disconnects.load()
        self.metrics.watch(provider_readings(self.authority.outside))
        self.authority.revocations.on_revoked(self._close_revoked)
        self.authority.on_changed(lambda: self.roster.close_unproven(self.authority.holds))
        await self.authority.start()
        self.hub.start()
        self.wakes.start()
        keep = Keep(self.settings.retention_hours * HOUR_MS, self.settings.retention_events)
        self.background.add("authority", self.authority.watch())
        self.background.add("authority sweep", self._sweep_authority())
        self.background.add("cancel on disconnect", self.disconnects.run())
        self.background.add("retention", Sweeper(self.store, self._clock, keep).run())
        self.background.add("paper venue", self.paper.run())
        for name, venue in self.venues.items():
            reconciler = Reconciler(self.store, name, venue, self._clock, self.dispatch, self._tell_pulse)
            self.pulses[name] = reconciler.pulse
            self.background.add(f"reconciler of {name}", reconciler.run())

    async def drain(self, *, patient: bool = True) -> None:
        """Take no new socket, send everybody away at the end of the window, and let orders under way end.

        Who is not `patient` ends the window once nobody is connected.
        """
        self.phase = "draining"
        await self.roster.drain(self.settings.drain_seconds, patient=patient)
        await self._keep_disconnects()
        await self.desk.stop(REQUESTS_END_SECONDS)

    async def close(self) -> None:
        """End everything; what is not finished is taken up by the next start."""
        await self.background.stop()
        await self.authority.close()
        await self.hub.stop()
        self.wakes.stop()
        await self.dispatch.stop()
        await self.store.close()

    def _close_revoked(self, rows: Sequence[Revocation]) -> None:
        self.roster.close_sessions(self.authority.revocations.is_revoked)
        for row in rows:
            # one that is on again by now has closed the sockets of its sessions above, and others may stay
            if row.kind == "app" and not self.authority.apps.is_active(row.app_id):
                self.roster.close_app(row.app_id)
        self.disconnects.gone_for_good(self.authority.revocations.is_revoked)

    def _tell_pulse(self, venue: str, pulse: Pulse) -> None:
        frame = VenueStatus(venue=venue, status=pulse.status, since=pulse.since, timestamp=self._clock.now())
        self.roster.tell(frames.encode(frame))

    async def _keep_disconnects(self) -> None:
        try:
            await self.disconnects.keep()
        except Unavailable as fault:
            # their time then counts from the next start
            _logger.warning("disconnects_postponed", detail=fault.detail)

    async def _sweep_authority(self) -> None:
        while True:
            try:
                await self.authority.sweep()
            except Unavailable as fault:
                _logger.warning("sweep_postponed", detail=fault.detail)
            await asyncio.sleep(AUTH_SWEEP_SECONDS)

    def _details(self) -> Details:
        return Details(
            status="ready" if self.phase == "ready" else "not_ready",
            version=version("oddswire"),
            uptime_seconds=(self._clock.now() - self.started_at) // 1000,
            connections=len(self.roster),
            catching_up=self.hub.catching_up(),
            writes_waiting=self.store.waiting,
        )


async def open_gateway(settings: Settings, database: Path, *, dev: bool) -> Gateway:
    """Return the gateway of a database, which nobody else may serve; `dev` makes the app `demo` where it is missing.

    Raises:
        OperatorError: the database or a setting cannot be used.
    """
    store = await SqliteStore.open(database, (CORE, paper.SCHEMA), exclusive=True, fatal=end_the_process)
    try:
        if dev:
            now = SystemClock().now()
            await store.write(lambda tx: _ensure_demo(tx, now))
        return Gateway(settings, store)
    except BaseException:
        await store.close()
        raise


async def serve(
    settings: Settings,
    *,
    host: str,
    port: int,
    admin: str | None,
    database: Path,
    dev: bool,
    ready: Callable[[Address], None] | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve until `stop` is set, or without one until SIGTERM or SIGINT, then drain and return.

    `ready` is called with the real addresses once requests are answered; port 0 takes a free one. A signal before that
    is taken once the start is over, and nothing is served; a second signal ends the process at once.

    Raises:
        OperatorError: an address, the database or a setting cannot be used, or `dev` beyond this machine.
        OddswireError: `internal`: a part that must not end has ended; the reason is in the log.
    """
    if dev and not is_loopback(host):
        raise OperatorError("usage", f"--dev has a well-known API key: it serves this machine only, not {host}.")
    most = raise_file_limit(settings.max_connections_per_app)
    share_the_interpreter()
    stopping = stop or asyncio.Event()
    async with AsyncExitStack() as stack:
        if stop is None:
            stack.enter_context(signals_set(stopping))
        listener = stack.enter_context(listen(HostPort(host, port)))
        admin_listener = None if admin is None else stack.enter_context(listen(parse_host_port(admin)))
        gateway = await open_gateway(settings, database, dev=dev)
        stack.push_async_callback(gateway.close)
        await gateway.start()
        protocol = websocket_protocol(gateway.acceptor.accept)
        api = server_for(
            gateway.front,
            protocol,
            shutdown_timeout=REQUESTS_END_SECONDS,
            most=most,
            http=gated_http(gateway.gate),
            lifespan="off",
            proxy_headers=False,
        )
        if stopping.is_set():
            return
        servers = [(api, listener)]
        if admin_listener is not None:
            servers.append((admin_server(gateway.admin), admin_listener))
        address = Address(address_of(listener), None if admin_listener is None else address_of(admin_listener))
        await _run(gateway, servers, stopping, lambda: ready(address) if ready else None, patient=not dev)


async def _run(
    gateway: Gateway,
    servers: list[tuple[GatewayServer, socket.socket]],
    stopping: asyncio.Event,
    ready: Callable[[], None],
    *,
    patient: bool,
) -> None:
    running = [asyncio.create_task(server.serve(sockets=[listener])) for server, listener in servers]
    for task, (server, _) in zip(running, servers, strict=True):
        gateway.background.add("server", _lasts(task))
        await server.listening.wait()
    gateway.phase = "ready"
    ready()
    ended = await gateway.background.until(stopping)
    if ended is None:
        await gateway.drain(patient=patient)
    gateway.phase = "draining"
    for server, _ in servers:
        server.should_exit = True
    served = await asyncio.gather(*running, return_exceptions=True)
    if ended is not None:
        raise OddswireError("internal", f"The {ended} has ended by itself; the log says why.")
    for fault in served:
        if isinstance(fault, BaseException):
            raise fault


async def _lasts(task: asyncio.Task[None]) -> None:
    """Wait for a server without ending it when the wait is cancelled."""
    await asyncio.shield(task)


def _caps(settings: Settings) -> Caps:
    return Caps(
        user=settings.max_connections_per_user,
        address=settings.max_anonymous_per_ip,
        app=settings.max_connections_per_app or None,
    )


def _limits(settings: Settings) -> Limits:
    failures = settings.failed_sign_ins_per_minute
    return Limits(
        orders=_a_second(settings.orders_per_second),
        reads=_a_second(settings.reads_per_second),
        sign_ins=_a_second(settings.sign_ins_per_second),
        failed_sign_ins=Allowance(failures / 60, failures),
        failed_tokens=Allowance(failures / 60, failures),
        refused=_a_second(settings.refused_per_second),
        app=_a_second(settings.calls_per_second_per_app) if settings.calls_per_second_per_app else None,
        address=_a_second(settings.calls_per_second_per_address) if settings.calls_per_second_per_address else None,
    )


def _a_second(most: int) -> Allowance:
    return Allowance(most, most)


def _ensure_demo(tx: Tx, now: int) -> None:
    """Make the app of `--dev`, whose key everybody knows, where it is missing."""
    tx.run("apps.insert", DEV_APP, msgspec.json.encode(DEV_ORIGINS).decode(), now)
    # not where it was revoked: a key that was ended stays so
    tx.run("api_keys.insert", apps.hash_secret(DEV_KEY), DEV_APP, "dev", now)
