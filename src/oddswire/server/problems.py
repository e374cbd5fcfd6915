"""Every error over HTTP as a problem document (RFC 9457), whoever raised it.

Details say what was wrong with what was sent, never what a header held; of a fault of ours they say nothing.
"""

import math
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import structlog
from litestar import Request
from litestar.exceptions import HTTPException, ValidationException
from litestar.response import Response

from oddswire.errors import CODES, Conflict, Limited, OddswireError, Rejected
from oddswire.server.body_faults import field_named
from oddswire.server.echoes import without_secrets
from oddswire.wire import bodies

PROBLEM_JSON: Final = "application/problem+json"
RETRY_SOON: Final = 1
"""Seconds to wait where nobody knows better."""
_BY_STATUS: Final = {
    404: ("not_found", "There is nothing at this path."),
    405: ("method_not_allowed", "This path does not take this method."),
    413: ("body_too_large", "The body is over 64 KiB."),
}
_OURS: Final = "Something went wrong on our side."
_logger = structlog.get_logger("oddswire.http")


@dataclass(frozen=True, slots=True)
class Answer:
    """An error on its way out: the document, and the headers that go with it."""

    problem: bodies.Problem
    headers: dict[str, str] = field(default_factory=dict)


def problem(
    code: str, detail: str, *, path: str | None = None, status: int | None = None, order: bodies.Order | None = None
) -> bodies.Problem:
    """Return the document of a code; `status` where it is another than the code's own.

    `detail` and `path` may quote what was sent: what looks like a secret in them is left out.
    """
    meaning, detail = CODES[code], without_secrets(detail)
    return bodies.Problem(
        type="about:blank",
        title=meaning.title,
        status=status or meaning.status,
        detail=detail,
        code=code,
        message=detail,
        path=None if path is None else without_secrets(path),
        action=meaning.action,
        order=order,
    )


def answer_of(fault: Exception) -> Answer:
    """Return what is told of a fault; one that nobody foresaw is logged with its traceback and told as `internal`."""
    match fault:
        case OddswireError() if fault.meaning.status not in (0, 500):
            return _foreseen(fault)
        case ValidationException():
            return Answer(_of_validation(fault))
        case HTTPException(status_code=status) if status in _BY_STATUS:
            code, detail = _BY_STATUS[status]
            # the rest of a body that is too large is not read, so the connection cannot be used again
            headers = {"connection": "close"} if status == 413 else dict(fault.headers or {})
            return Answer(problem(code, detail), headers)
        case HTTPException(status_code=status) if status < 500:
            return Answer(problem("invalid_parameter", f"{HTTPStatus(status).phrase}.", status=status))
        case _:
            _logger.error("request_failed", exc_info=fault)
            return Answer(problem("internal", _OURS))


def answer_fault(_: Request[Any, Any, Any], fault: Exception) -> Response[bytes]:
    """Answer a fault: Litestar's exception handler for everything."""
    answer = answer_of(fault)
    return Response(
        bodies.encode(answer.problem),
        status_code=answer.problem.status,
        headers=answer.headers,
        media_type=PROBLEM_JSON,
    )


def _foreseen(fault: OddswireError) -> Answer:
    order = fault.order if isinstance(fault, Conflict | Rejected) else None
    document = problem(
        fault.code, fault.detail, path=fault.path, order=order if isinstance(order, bodies.Order) else None
    )
    match fault.meaning.status:
        case 401:
            # RFC 6750: no error is named where no token was sent
            challenge = "Bearer" if fault.code == "token_missing" else 'Bearer error="invalid_token"'
            return Answer(document, {"www-authenticate": challenge})
        case 429 | 503:
            seconds = math.ceil(fault.retry_after) if isinstance(fault, Limited) else RETRY_SOON
            return Answer(document, {"retry-after": str(max(RETRY_SOON, seconds))})
        case _:
            return Answer(document)


def _of_validation(fault: ValidationException) -> bodies.Problem:
    """Return what Litestar found wrong in a parameter, or that there is no body."""
    first = fault.extra[0] if isinstance(fault.extra, list) and fault.extra else {}
    said = str(first.get("message", "The parameter is wrong"))
    name = str(first.get("key", "")) or field_named(said) or ""
    if name == "data":
        return problem("invalid_json", "The body is empty.")
    return problem("invalid_parameter", f"{said[:200]}.", path=_camel(name) or None)


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.title() for word in rest)
