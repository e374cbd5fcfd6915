"""CORS: which pages may read what the API answers.

A page's origin is checked twice: here for what the browser shows to the page, and by the guard of the call for what is
done at all. Cookies are never used, so credentials are never allowed.
"""

from collections.abc import Mapping
from typing import Final

from oddswire.auth.apps import AppDirectory
from oddswire.auth.origins import origin_allowed
from oddswire.server.callers import API_KEY, APP_ID

PREFIXES: Final = ("/auth/", "/trading/")
PATHS: Final = ("/venues", "/markets")
PREFLIGHT_SECONDS: Final = 600
_ALLOWED: Final = {
    "access-control-allow-methods": "GET, POST, DELETE",
    "access-control-allow-headers": "authorization, content-type, last-event-id, x-app-id",
    "access-control-max-age": str(PREFLIGHT_SECONDS),
}
_EXPOSED: Final = (
    "idempotent-replay, ratelimit-limit, ratelimit-remaining, ratelimit-reset, retry-after, www-authenticate"
)


class Cors:
    """The rules, by the apps as they are now."""

    def __init__(self, apps: AppDirectory) -> None:
        self._apps = apps

    def covers(self, path: str) -> bool:
        """Tell whether pages may use this path at all."""
        return path.startswith(PREFIXES) or path in PATHS

    def preflight(self, origin: str) -> dict[str, str] | None:
        """Return the headers that allow a call from this origin, None where it is no app's.

        A preflight names no app, so any active app's origin will do: the call itself is checked against its own.
        """
        if not self._known(origin):
            return None
        return {"access-control-allow-origin": origin, "vary": "origin", **_ALLOWED}

    def answer(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return what goes with the answer to a call that came with these headers; errors too, so that pages see them.

        An answer to a call with an API key is never for a page.
        """
        origin = headers.get("origin")
        if origin is None or API_KEY in headers or not self._may_read(origin, headers.get(APP_ID)):
            return {"vary": "origin"}
        return {"access-control-allow-origin": origin, "vary": "origin", "access-control-expose-headers": _EXPOSED}

    def of_call(self, path: str, headers: Mapping[str, str]) -> dict[str, str]:
        """Return `answer` where pages may use the path, else nothing."""
        return self.answer(headers) if self.covers(path) else {}

    def _may_read(self, origin: str, app_id: str | None) -> bool:
        for app in self._apps.active():
            if app.app_id == app_id:
                return origin_allowed(app.origins, origin)
        return self._known(origin)

    def _known(self, origin: str) -> bool:
        return any(origin_allowed(app.origins, origin) for app in self._apps.active())
