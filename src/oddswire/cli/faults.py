"""How a fault becomes one line and an exit code: 2 for what the operator can mend, 1 for a refusal.

Errors speak of what is sent over the wire; here that is said in the words of a command line.
"""

import re
from typing import Final

from oddswire.errors import InvalidInput, OddswireError, OperatorError

UNREACHABLE = "server_unreachable"

_WORDS: Final = {
    "$.venue": "--venue",
    "$.marketId": "MARKET",
    "$.outcomeId": "OUTCOME",
    "$.side": "SIDE",
    "$.size": "SIZE",
    "$.price": "PRICE",
    "$.timeInForce": "--tif",
    "$.expiresAt": "--expires",
    "$.postOnly": "--post-only",
    "$.clientOrderId": "--client-order-id",
    "$.orderId": "ORDER_ID",
    "$.userId": "USER",
    "venue": "--venue",
    "market": "--market",
    "marketId": "--market",
    "status": "--status",
    "orderId": "--order",
    "clientOrderId": "--client-order-id",
    "since": "--since",
    "epoch": "--epoch",
    "limit": "--limit",
    "id": "APP_ID",
    "name": "--name",
    "issuer": "--issuer",
    "jwks-url": "--jwks-url",
    "shared-secret": "--shared-secret",
    "audience": "--audience",
    "claim": "--claim",
}
"""Where it is in what was sent, as the command line calls it."""
_BEGIN: Final = "Without --since and --epoch it begins with the oldest that is kept."
_ADVICE: Final = {
    "invalid_amount": "Write it without a sign or an exponent.",
    "not_found": "Check the id.",
    "token_missing": "Give --user NAME, or a token in ODDSWIRE_TOKEN.",
    "token_invalid": "`oddswire token NAME` prints a good one.",
    "token_expired": "`oddswire token NAME` prints a new one.",
    "session_revoked": "`oddswire token NAME` signs in anew.",
    "refresh_token_invalid": "`oddswire token NAME` signs in anew.",
    "api_key_invalid": "Give a live one in ODDSWIRE_API_KEY; `oddswire app key add APP_ID --name NAME` makes one.",
    "unknown_app": "`oddswire app list` shows which are active; --app names one.",
    "insufficient_funds": "Place a smaller order, or give more paper money with `oddswire paper deposit`.",
    "insufficient_holdings": "`oddswire holdings` shows how many are available.",
    "unknown_venue": "Give another --venue, or leave it out.",
    "unknown_market": "`oddswire markets` lists them.",
    "unknown_outcome": "`oddswire markets` lists each market's outcomes.",
    "market_closed": "`oddswire markets` shows which are open.",
    "price_out_of_range": "Write it in dollars a contract, such as 0.55.",
    "price_off_tick": "`oddswire markets` shows each market's tick.",
    "size_too_small": "Take more.",
    "size_too_large": "Take fewer.",
    "size_off_step": "Take a multiple of it.",
    "venue_correction": "Wait until `oddswire balance` shows nothing below 0.",
    "rejected_by_venue": "`oddswire order list --json` shows it, with the venue's reason.",
    "expiry_invalid": "--tif gtd wants --expires, such as 15m; the others take none.",
    "post_only_invalid": "--post-only goes with --tif gtc and gtd only.",
    "order_conflict": "Use a new --client-order-id.",
    "order_finished": "There is nothing to cancel: `oddswire order list` shows how it ended.",
    "rate_limited": "Wait a moment, then try again.",
    "too_many_connections": "End another `oddswire watch` first.",
    "draining": "Try again in a moment.",
    "history_expired": _BEGIN,
    "epoch_changed": _BEGIN,
    "ahead": _BEGIN,
    "internal": "Look into the gateway's log.",
    "database_unusable": "Check that its folder is there, who may write there, and the space on the disk.",
    "config_invalid": "Change it or unset it; `docs/reference/settings.md` says what it may be.",
    "key_exists": "Choose another --name, or end that one with `oddswire app key revoke APP_ID NAME` first.",
    "refused_by_server": "Check --url, and what stands in front of the gateway.",
    "misbehaving_client": "Use the `oddswire` of the gateway's own version.",
}
"""What to do next, where that is another thing than for a program."""
_SEE_HELP: Final = frozenset({"usage", "invalid_body", "invalid_parameter"})
NONE_SUCH: Final = (
    (re.compile(r"There is no app .*, and no other"), "`oddswire app create APP_ID` makes one."),
    (re.compile("There is no app "), "`oddswire app list` shows them."),
    (re.compile("has no user "), "`oddswire user list` shows them; `oddswire token NAME` signs a new one in."),
    (re.compile("has no account yet"), "`oddswire token NAME` signs a user in."),
    (re.compile("There is no market "), "`oddswire markets` lists them."),
    (re.compile("(There is|has) no order "), "`oddswire order list` shows them."),
    (re.compile("^No session "), "`oddswire session list USER` shows a user's."),
    (re.compile("has no live key "), "`oddswire app key list APP_ID` shows its keys."),
    (re.compile("There is no key "), "`oddswire keys list` shows them."),
    (re.compile("has no identity provider"), "`oddswire app provider set` names one."),
)
"""What to do next where there is none of that name, by what is said of it."""
_SHAPES: Final = (
    (re.compile(r"Expected `str` of length >= \d+"), "It must not be empty"),
    (re.compile(r"Expected `str` of length <= (\d+)"), r"It has more than \1 characters"),
    (re.compile(r"Expected `\w+` <= (\d+)"), r"It is more than \1"),
    (re.compile(r": it says (\d+) to [A-Z]+ \S+"), r": it answers with \1"),
)
"""What the gateway's reader says of a value, and how a person says it."""


def usage(detail: str) -> OperatorError:
    """Return the error for a command that makes no sense as it was given."""
    return OperatorError("usage", detail)


def one_line(fault: OddswireError, command: str = "oddswire") -> str:
    """Return what happened and what to do next, in one line; `command` is the one that was called."""
    said = " ".join(fault.detail.split())
    for shape, words in _SHAPES:
        said = shape.sub(words, said)
    for path, word in _WORDS.items():
        if path.startswith("$."):
            said = said.replace(f"`{path.removeprefix('$.')}`", word)
    where = _where(fault)
    if where and where not in said:
        said = f"{said.rstrip('.')} (at {where})"
    if not said.endswith((".", "!", "?")):
        said += "."
    return f"error: {said} {_next(fault, command)}"


def _where(fault: OddswireError) -> str | None:
    """Return which of the words given it is about; what is missing is quoted already."""
    if fault.path is None or fault.code == "not_found":
        return None
    # what else has a place is a setting; a name of the wire says nothing to who wrote a command line
    return _WORDS.get(fault.path, fault.path if fault.path.isupper() else None)


def _next(fault: OddswireError, command: str) -> str:
    """Return what to do next."""
    if fault.code == "not_found" or fault.code in _SEE_HELP:
        for none_such, advice in NONE_SUCH:
            if none_such.search(fault.detail):
                return advice
    if fault.code in _SEE_HELP:
        return f"See: {command} --help"
    return _ADVICE.get(fault.code, fault.meaning.action)


def exit_code(fault: OddswireError) -> int:
    """Return 2 for a fault of the call or of this machine, 1 where somebody said no."""
    mendable = isinstance(fault, OperatorError | InvalidInput) or fault.code == UNREACHABLE
    return 2 if mendable else 1
