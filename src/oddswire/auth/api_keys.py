"""API keys: several an app, so that each backend has its own and one can be replaced while the others go on."""

import re
import secrets
from typing import NamedTuple

from oddswire.auth import apps
from oddswire.auth.apps import API_KEY_PREFIX, hash_secret
from oddswire.errors import Conflict, InvalidInput, Missing
from oddswire.store.base import Tx

USED_EVERY = 3600 * 1000
_ID_CHARS = 12
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class ApiKey(NamedTuple):
    """A key without itself: `key_id` begins the SHA-256 of it. Times in ms, `used_at` to the hour, None for never."""

    key_id: str
    name: str
    created_at: int
    revoked_at: int | None
    used_at: int | None


def _key(key_hash: str, name: str, created_at: int, revoked_at: int | None, used_at: int | None) -> ApiKey:
    return ApiKey(key_hash[:_ID_CHARS], name, created_at, revoked_at, used_at)


def add(tx: Tx, app_id: str, name: str, now: int) -> tuple[ApiKey, str]:
    """Make one more key for an app and return it with the key itself, which cannot be had again.

    Raises:
        InvalidInput: `invalid_parameter`: the name is none.
        Missing: there is no such app.
        Conflict: `key_exists`: a key of that name is live.
    """
    if not _NAME.fullmatch(name):
        wanted = "1 to 64 of A-Z, a-z, 0-9, _, . and -, beginning with a letter or digit"
        raise InvalidInput("invalid_parameter", f"A key's name is {wanted}; not {name[:100]!r}.", path="name")
    apps.get(tx, app_id)
    key = API_KEY_PREFIX + secrets.token_urlsafe(32)
    if not tx.run("api_keys.insert", hash_secret(key), app_id, name, now):
        raise Conflict("key_exists", f"App {app_id!r} has a live key {name!r} already.", path="name")
    return _key(hash_secret(key), name, now, None, None), key


def list_all(tx: Tx, app_id: str) -> list[ApiKey]:
    """Return every key an app has or had, the oldest first.

    Raises:
        Missing: there is no such app.
    """
    apps.get(tx, app_id)
    return tx.all(_key, "api_keys.of_app", app_id)


def revoke(tx: Tx, app_id: str, name: str, now: int) -> ApiKey:
    """End the live key of that name and return it: from this commit on nobody takes it.

    Raises:
        Missing: there is no such app, or no live key of that name.
    """
    found = [key for key in list_all(tx, app_id) if key.name == name and key.revoked_at is None]
    if not found:
        raise Missing(f"App {app_id!r} has no live key {name[:100]!r}.")
    tx.run("api_keys.revoke", app_id, name, now)
    return found[0]._replace(revoked_at=now)


def worth_noting(tx: Tx, key: str, now: int) -> bool:
    """Tell whether a use at `now` is to be written down with `use`: at most once an hour it is."""
    last = tx.one(int, "api_keys.last_use", hash_secret(key))
    return last is not None and now - last >= USED_EVERY


def use(tx: Tx, key: str, now: int) -> None:
    """Write down that a key was used."""
    tx.run("api_keys.use", hash_secret(key), now, now - USED_EVERY)
