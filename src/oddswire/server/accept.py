"""Deciding upgrades: who may open a socket (PROTOCOL 2.3)."""

from collections.abc import Callable
from typing import Final

import structlog

from oddswire.auth.apps import App, AppDirectory
from oddswire.auth.origins import origin_allowed
from oddswire.errors import Refused
from oddswire.server.websocket import Conversation, Refusal, Upgrade
from oddswire.streams.connection import Connection, Node, RefusedConnection
from oddswire.wire.codes import ORIGIN_NOT_ALLOWED, UNKNOWN_APP
from oddswire.wire.frames import LONGEST_ABSENCE
from oddswire.wire.session import NOTHING_ASKED, Asked

NO_APP: Final = "No active app has this id."
NO_ORIGIN: Final = "The page's origin is not one of the app's."
_SINCE_DIGITS: Final = 16
_access = structlog.get_logger("oddswire.access")


class Acceptor:
    """Answers every upgrade.

    `node` is what all connections share, `draining` says that the node takes nobody new;
    `refused` is told each address that may not connect.
    """

    def __init__(
        self,
        node: Node,
        apps: AppDirectory,
        draining: Callable[[], bool],
        refused: Callable[[str], None],
    ) -> None:
        self._node = node
        self._apps = apps
        self._draining = draining
        self._refused = refused

    async def accept(self, upgrade: Upgrade) -> Refusal | Conversation:
        """Return the conversation, or why there is none.

        Who sends an `Origin` is a page, which cannot read a status: it is told on the socket instead.
        """
        verdict = self._decide(upgrade)
        status = verdict.status if isinstance(verdict, Refusal) else 101
        if status in (400, 403) or isinstance(verdict, RefusedConnection):
            self._refused(upgrade.client)
        _access.info("request", method="GET", path=upgrade.path, status=status, client=upgrade.client)
        return verdict

    def _decide(self, upgrade: Upgrade) -> Refusal | Conversation:
        if self._draining():
            return Refusal(503, "draining", "The server is going down.", (("Retry-After", "1"),))
        app_id = upgrade.query.get("appId")
        if not app_id:
            return Refusal(400, "app_id_missing", "The query parameter `appId` is missing.")
        since = upgrade.query.get("since")
        if since is not None and not _is_number(since, _SINCE_DIGITS):
            return Refusal(400, "invalid_parameter", "`since` is the number of an event.")
        armed = upgrade.query.get("cancelOnDisconnect")
        if armed is not None and not (_is_number(armed, 3) and int(armed) <= LONGEST_ABSENCE):
            detail = f"`cancelOnDisconnect` is seconds, 0 to {LONGEST_ABSENCE}."
            return Refusal(400, "invalid_parameter", detail)
        app = self._app(app_id)
        origin = upgrade.headers.get("origin")
        if app is None:
            return _refused("unknown_app", NO_APP, UNKNOWN_APP, origin)
        if origin is not None and not origin_allowed(app.origins, origin):
            return _refused("origin_not_allowed", NO_ORIGIN, ORIGIN_NOT_ALLOWED, origin)
        return Connection(
            self._node,
            app_id=app.app_id,
            address=upgrade.client,
            token=_token(upgrade),
            asked=_asked(since, upgrade.query.get("epoch"), armed),
        )

    def _app(self, app_id: str) -> App | None:
        try:
            return self._apps.get(app_id)
        except Refused:
            return None


def _is_number(text: str, digits: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= digits


def _asked(since: str | None, epoch: str | None, armed: str | None) -> Asked:
    if since is None and epoch is None and armed is None:
        return NOTHING_ASKED
    return Asked(None if since is None else int(since), epoch, None if armed is None else int(armed))


def _refused(code: str, detail: str, close_code: int, origin: str | None) -> Refusal | Conversation:
    return Refusal(403, code, detail) if origin is None else RefusedConnection(code, detail, close_code)


def _token(upgrade: Upgrade) -> str | None:
    """Return the token a client brought: in `Authorization` rather than in the query; an empty one is none."""
    scheme, _, token = upgrade.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return upgrade.query.get("token") or None
