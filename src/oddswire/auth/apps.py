"""Apps: what a developer registers, with the origins of its pages and the key of its backend."""

import hashlib
import re
import secrets
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from oddswire.auth import revocations
from oddswire.auth.origins import parse_origin
from oddswire.errors import Conflict, InvalidInput, Missing, Refused
from oddswire.store.base import Tx

API_KEY_PREFIX = "ow_"
IDLE_LIFE = 30 * 24 * 3600 * 1000
"""How long (ms) a session lives on after it was last used."""
_APP_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


class App(NamedTuple):
    """A registered app; `origins` in the form a browser sends, `created_at` in ms, `wallet` if it takes wallets."""

    app_id: str
    origins: tuple[str, ...]
    active: bool
    created_at: int
    wallet: bool = False


def _app(app_id: str, origins: str, active: int, created_at: int, wallet: int) -> App:
    listed = tuple(msgspec.json.decode(origins, type=list[str]))
    return App(app_id, listed, bool(active), created_at, bool(wallet))


def hash_secret(secret: str) -> str:
    """Return what is kept of an API key or refresh token; plain SHA-256 is enough for 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def create(
    tx: Tx, app_id: str, origins: Sequence[str], key_name: str, now: int, known_key: str | None = None
) -> tuple[App, str]:
    """Register an app and return it with its API key, which cannot be had again.

    The key is made here; `known_key` is for a demo alone, whose key is printed in the documentation.

    Raises:
        InvalidInput: `invalid_parameter`: the id or an origin is not one.
        Conflict: `app_exists`.
    """
    if not _APP_ID.fullmatch(app_id):
        wanted = "1 to 64 of a-z, 0-9, _ and -, beginning with a letter or digit"
        raise InvalidInput("invalid_parameter", f"An app's id is {wanted}; not {app_id[:100]!r}.", path="id")
    listed = tuple(dict.fromkeys(str(parse_origin(origin)) for origin in origins))
    if not tx.run("apps.insert", app_id, msgspec.json.encode(listed).decode(), now):
        raise Conflict("app_exists", f"There is an app {app_id!r} already.", path="id")
    key = known_key or API_KEY_PREFIX + secrets.token_urlsafe(32)
    tx.run("apps.insert_key", hash_secret(key), app_id, key_name, now)
    return App(app_id, listed, True, now), key


def get(tx: Tx, app_id: str) -> App:
    """Return an app, active or not.

    Raises:
        Missing: there is none of that id.
    """
    app = tx.one(_app, "apps.find", app_id)
    if app is None:
        raise Missing(f"There is no app {app_id[:100]!r}.")
    return app


def list_all(tx: Tx) -> list[App]:
    """Return every app, by id."""
    return tx.all(_app, "apps.all")


def set_origins(tx: Tx, app_id: str, origins: Sequence[str]) -> App:
    """Put other origins in the place of an app's, and return the app as it is then.

    Raises:
        Missing: there is none of that id.
        InvalidInput: `invalid_parameter`: an origin is not one.
    """
    app = get(tx, app_id)
    listed = tuple(dict.fromkeys(str(parse_origin(origin)) for origin in origins))
    tx.run("apps.set_origins", app_id, msgspec.json.encode(listed).decode())
    return app._replace(origins=listed)


def disable(tx: Tx, app_id: str, now: int) -> bool:
    """Switch an app off: from this commit none of its tokens, refresh tokens and keys is taken.

    Tokens and refresh tokens stay dead when it is switched on again. Return whether it was on.

    Raises:
        Missing: there is none of that id.
    """
    get(tx, app_id)
    if not tx.run("apps.disable", app_id):
        return False
    # a session may have begun by a clock that is ahead of this one: then it ends later than any begun now would
    ahead = tx.one(int, "sessions.newest_ahead", app_id, now + IDLE_LIFE) or 0
    revocations.add(tx, "app", app_id, "", max(now, ahead))
    return True


def take_wallets(tx: Tx, app_id: str, wanted: bool) -> App:
    """Let an app's users sign in by wallet, or not any more; return the app. Who is signed in stays so.

    Raises:
        Missing: there is none of that id.
    """
    tx.run("apps.take_wallets", app_id, int(wanted))
    return get(tx, app_id)


def by_key(tx: Tx, app_id: str | None, key: str) -> App:
    """Return the active app whose API key this is; `app_id` is the one the caller claims, if any.

    The key is looked up by its hash: the time that takes tells nothing of 256 random bits.

    Raises:
        Refused: `api_key_invalid`: no key, another app's, or its app is switched off.
    """
    app = tx.one(_app, "apps.app_of_key", hash_secret(key))
    if app is None or not app.active or app_id not in (None, app.app_id):
        raise Refused("api_key_invalid", "That is not an API key of this app.")
    return app


class AppDirectory:
    """The apps as last read from the store, so that who accepts a connection can decide without waiting."""

    def __init__(self, apps: Sequence[App]) -> None:
        self.replace(apps)

    def replace(self, apps: Sequence[App]) -> None:
        """Take what has been read anew."""
        self._apps = {app.app_id: app for app in apps}

    def get(self, app_id: str) -> App:
        """Return an active app.

        Raises:
            Refused: `unknown_app`: unknown or switched off; the two look the same from outside.
        """
        app = self._apps.get(app_id)
        if app is None or not app.active:
            raise Refused("unknown_app", "No active app has this id.")
        return app

    def is_active(self, app_id: str) -> bool:
        """Tell whether there is such an app, switched on."""
        app = self._apps.get(app_id)
        return app is not None and app.active

    def active(self) -> list[App]:
        """Return every active app."""
        return [app for app in self._apps.values() if app.active]
