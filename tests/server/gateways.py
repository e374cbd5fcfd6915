"""What tests of the HTTP side share: an order's body, and answers checked against the description."""

from typing import Any

import httpx

ORDER: dict[str, Any] = {
    **{"venue": "paper", "marketId": "fed-cut-dec", "outcomeId": "yes"},
    **{"side": "buy", "price": 0.01, "size": 10},
}


def an_order(**other: Any) -> dict[str, Any]:
    return {**ORDER, **other}


def code_of(answer: httpx.Response) -> tuple[int, str]:
    """Return status and code of a problem, having looked at everything a problem must be."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["message"] == problem["detail"]
    assert {"type", "title", "status", "detail", "code", "message", "action"} <= set(problem)
    return answer.status_code, problem["code"]
