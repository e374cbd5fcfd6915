"""Apps and users that a command names, looked for in the database; where there is none, which there are is said."""

from collections.abc import Sequence
from typing import Final

from oddswire.auth import apps
from oddswire.errors import Missing
from oddswire.orders import users
from oddswire.store.base import Tx

_NAMED: Final = 3
"""How many other apps are named: more are a list, which has a command of its own."""


def must_be_app(tx: Tx, app: str) -> None:
    """Refuse an app that is none, and say which there are.

    Raises:
        Missing: there is no such app.
    """
    try:
        apps.get(tx, app)
    except Missing as fault:
        there = [other.app_id for other in apps.list_all(tx)]
        said = f"only {_listed(there)}: {_give(there)}" if there else "and no other"
        raise Missing(f"{fault.detail.rstrip('.')}, {said}.") from fault


def must_be_known(tx: Tx, app: str, user: str, now: int) -> None:
    """Refuse a user who was never signed in to the app, and say which other app has one of that name.

    Raises:
        Missing: there is no such app or user.
    """
    must_be_app(tx, app)
    try:
        users.must_be_known(tx, app, user, now)
    except Missing as fault:
        others = [other.app_id for other in apps.list_all(tx)]
        having = [other for other in others if _is_known(tx, other, user, now)]
        if not having:
            raise
        raise Missing(
            f"{fault.detail.rstrip('.')}, but {_listed(having)} has one: {_give(having)}.", path=fault.path
        ) from fault


def _is_known(tx: Tx, app: str, user: str, now: int) -> bool:
    try:
        users.must_be_known(tx, app, user, now)
    except Missing:
        return False
    return True


def _give(names: Sequence[str]) -> str:
    return f"give --app {names[0]}" if len(names) == 1 else "say which with --app"


def _listed(names: Sequence[str]) -> str:
    """Return `'a'`, or `'a', 'b', 'c' and 7 more`."""
    shown = ", ".join(repr(name) for name in names[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED:,} more"
