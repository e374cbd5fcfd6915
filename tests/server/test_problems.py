from typing import Any

import msgspec
import pytest
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException, ValidationException

from oddswire.errors import (
    CODES,
    Conflict,
    Denied,
    InvalidInput,
    Limited,
    Missing,
    OddswireError,
    OperatorError,
    Refused,
    Unavailable,
)
from oddswire.server.body_faults import unreadable
from oddswire.server.problems import answer_of
from oddswire.wire.bodies import PlaceOrder, RefreshRequest, SignInRequest, StartWallet

TABLE: list[tuple[Exception, int, str, dict[str, str]]] = [
    (InvalidInput("invalid_amount", "no", path="$.price"), 400, "invalid_amount", {}),
    (Denied("insufficient_funds", "no"), 422, "insufficient_funds", {}),
    (Missing("no"), 404, "not_found", {}),
    (Refused("token_missing", "no"), 401, "token_missing", {"www-authenticate": "Bearer"}),
    (Refused("token_expired", "no"), 401, "token_expired", {"www-authenticate": 'Bearer error="invalid_token"'}),
    (Limited("rate_limited", "no", retry_after=0.02), 429, "rate_limited", {"retry-after": "1"}),
    (Limited("rate_limited", "no", retry_after=2.01), 429, "rate_limited", {"retry-after": "3"}),
    (Unavailable("store_unavailable", "no"), 503, "store_unavailable", {"retry-after": "1"}),
    (NotFoundException(), 404, "not_found", {}),
    (MethodNotAllowedException(headers={"allow": "GET"}), 405, "method_not_allowed", {"allow": "GET"}),
    (HTTPException(status_code=413), 413, "body_too_large", {"connection": "close"}),
    (HTTPException(status_code=415), 415, "invalid_parameter", {}),
]


@pytest.mark.parametrize(("fault", "status", "code", "headers"), TABLE)
def test_every_foreseen_fault_is_told_by_its_code(
    fault: Exception, status: int, code: str, headers: dict[str, str]
) -> None:
    answer = answer_of(fault)
    assert (answer.problem.status, answer.problem.code, answer.headers) == (status, code, headers)
    assert answer.problem.message == answer.problem.detail
    assert answer.problem.title == CODES[code].title


@pytest.mark.parametrize(
    "fault",
    [
        RuntimeError("the password is hunter2"),
        HTTPException(status_code=500, detail="the password is hunter2"),
        OddswireError("internal", "the password is hunter2"),
        OperatorError("database_unusable", "the password is hunter2"),
    ],
)
def test_of_a_fault_of_ours_nothing_is_told(fault: Exception) -> None:
    answer = answer_of(fault)
    assert (answer.problem.status, answer.problem.code) == (500, "internal")
    assert b"hunter2" not in msgspec.json.encode(answer.problem)


def test_a_conflict_without_an_order_has_none() -> None:
    assert answer_of(Conflict("order_conflict", "no", path="$.size")).problem.order is None


def test_a_wrong_parameter_is_named_as_it_was_written() -> None:
    fault = ValidationException(extra=[{"message": "Expected `int` >= 1", "key": "client_order_id", "source": "query"}])
    problem = answer_of(fault).problem
    assert (problem.code, problem.path, problem.detail) == (
        "invalid_parameter",
        "clientOrderId",
        "Expected `int` >= 1.",
    )


HALVES = [
    *(rb"\ud800", rb"\uDBFF.", rb"\udc00", rb"\ud800\u0041", rb"\ud800\n\udc00", rb"\udc00\ud800"),
    *(rb"\ud83d\ude00\ud800", rb"\\\ud800", rb"\ud800\\udc00"),
]
BODIES: list[tuple[Any, bytes, str, str | None]] = [
    (PlaceOrder, b"{", "invalid_json", None),
    (PlaceOrder, b"{} {}", "invalid_json", None),
    (RefreshRequest, b'{"refreshToken":1}', "invalid_body", "$.refreshToken"),
    (RefreshRequest, b"{}", "invalid_body", "$.refreshToken"),
    (RefreshRequest, b'{"refreshToken":"\xff"}', "invalid_json", None),
    *((RefreshRequest, b'{"refreshToken":"' + text + b'"}', "invalid_json", None) for text in HALVES),
    (RefreshRequest, b'{"a":' + b"[" * 50_000, "invalid_json", None),
    (dict[str, list[RefreshRequest]], b'{"a":[{"refreshToken":1}]}', "invalid_body", "$[...][0].refreshToken"),
    (dict[str, list[RefreshRequest]], b'{"a":[{}]}', "invalid_body", "$[...][0].refreshToken"),
]


@pytest.mark.parametrize(("kind", "body", "code", "path"), BODIES)
def test_an_unreadable_body_is_told_with_its_path(kind: Any, body: bytes, code: str, path: str | None) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError, RecursionError)) as caught:
        msgspec.json.decode(body, type=kind)
    told = unreadable(caught.value, body)
    assert (told.code, told.path) == (code, path)
    assert len(told.detail) < 300


@pytest.mark.parametrize("text", HALVES)
def test_half_a_character_is_called_so(text: bytes) -> None:
    body = b'{"refreshToken":"' + text + b'"}'
    with pytest.raises(msgspec.DecodeError) as caught:
        msgspec.json.decode(body)
    assert "surrogate pair" in unreadable(caught.value, body).detail


@pytest.mark.parametrize("text", [rb"\ud83d\ude00", rb"\\ud800", rb"\n", b"x"])
def test_what_else_is_wrong_is_not_put_down_to_whole_characters(text: bytes) -> None:
    body = b'{"refreshToken":"' + text + b'"'
    with pytest.raises(msgspec.DecodeError) as caught:
        msgspec.json.decode(body)
    assert "surrogate" not in unreadable(caught.value, body).detail


@pytest.mark.parametrize(
    ("kind", "body", "path"),
    [
        (SignInRequest, {"userId": "wallet:0x1"}, "$.userId"),
        (SignInRequest, {"userId": "a\u0000b"}, "$.userId"),
        (SignInRequest, {"userId": "a", "label": "\u0007"}, "$.label"),
        (StartWallet, {"address": "0x12"}, "$.address"),
        (PlaceOrder, {"clientOrderId": "a b"}, "$.clientOrderId"),
    ],
)
def test_every_shape_is_told_in_words_and_not_as_a_regular_expression(
    kind: type[msgspec.Struct], body: dict[str, str], path: str
) -> None:
    whole = {"venue": "paper", "marketId": "m", "outcomeId": "y", "side": "buy", "size": 1, "price": 0.5}
    sent = msgspec.json.encode(whole | body if kind is PlaceOrder else body)
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(sent, type=kind)
    told = unreadable(caught.value, sent)
    assert (told.path, told.detail.startswith("Expected "), "regex" in told.detail) == (path, True, False)
