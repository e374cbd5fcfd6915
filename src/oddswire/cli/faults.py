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
}
"""Where it is in what was sent, as the command line calls it."""
_BEGIN: Final = "Without --since and --epoch it begins with the oldest that is kept."
_ADVICE: Final = {
    "invalid_parameter": "See the command's --help.",
    "invalid_body": "See the command's --help.",
    "invalid_amount": "Write it without a sign or an exponent.",
    "not_found": "Check the id.",
    "token_missing": "Give --user NAME, or a token in ODDSWIRE_TOKEN.",
    "token_invalid": "`oddswire token NAME` prints a good one.",
    "token_expired": "`oddswire token NAME` prints a new one.",
    "session_revoked": "`oddswire token NAME` signs in anew.",
    "api_key_invalid": "Give one that `oddswire app key list APP` shows as live, in ODDSWIRE_API_KEY.",
    "unknown_venue": "Give another --venue, or leave it out.",
    "unknown_market": "`oddswire markets` lists them.",
    "unknown_outcome": "`oddswire markets` lists each market's outcomes.",
    "market_closed": "`oddswire markets` shows which are open.",
    "price_off_tick": "`oddswire markets` shows each market's tick.",
    "size_too_small": "Take more.",
    "size_too_large": "Take fewer.",
    "size_off_step": "Take a multiple of it.",
    "insufficient_holdings": "`oddswire holdings` shows how many are available.",
    "rejected_by_venue": "`oddswire order list --json` shows it, with the venue's reason.",
    "expiry_invalid": "--tif gtd wants --expires, such as 15m; the others take none.",
    "post_only_invalid": "--post-only goes with --tif gtc and gtd only.",
    "order_conflict": "Use a new --client-order-id.",
    "order_finished": "There is nothing to cancel: `oddswire order list` shows how it ended.",
    "rate_limited": "Wait a moment.",
    "history_expired": _BEGIN,
    "epoch_changed": _BEGIN,
    "ahead": _BEGIN,
}
"""What to do next, where that is another thing than for a program."""
_MISSING: Final = {
    "$.userId": "`oddswire user list` shows them; `oddswire token NAME` signs a new one in.",
    "$.orderId": "`oddswire order list` shows them.",
}
"""What to do next where there is none of that name."""
_SHAPES: Final = (
    (re.compile(r"Expected `str` of length >= \d+"), "It must not be empty"),
    (re.compile(r"Expected `str` of length <= (\d+)"), r"It has more than \1 characters"),
    (re.compile(r"Expected `\w+` <= (\d+)"), r"It is more than \1"),
    (re.compile(r"Expected `str` matching regex .*'"), "It is not formed as it must be"),
)
"""What the gateway's reader says of a value, and how a person says it."""


def usage(detail: str) -> OperatorError:
    """Return the error for a command that makes no sense as it was given."""
    return OperatorError("usage", detail)


def one_line(fault: OddswireError) -> str:
    """Return what happened and what to do next, in one line."""
    said = " ".join(fault.detail.split())
    for shape, words in _SHAPES:
        said = shape.sub(words, said)
    for path, word in _WORDS.items():
        if path.startswith("$."):
            said = said.replace(f"`{path.removeprefix('$.')}`", word)
    # what is missing is quoted already
    if fault.path and fault.code != "not_found":
        said = f"{said.rstrip('.')} (at {_WORDS.get(fault.path, fault.path)})"
    if not said.endswith((".", "!", "?")):
        said += "."
    advice = _MISSING.get(fault.path or "") if fault.code == "not_found" else None
    return f"error: {said} {advice or _ADVICE.get(fault.code, fault.meaning.action)}"


def exit_code(fault: OddswireError) -> int:
    """Return 2 for a fault of the call or of this machine, 1 where somebody said no."""
    mendable = isinstance(fault, OperatorError | InvalidInput) or fault.code == UNREACHABLE
    return 2 if mendable else 1
