"""Whatever is sent to whichever operation: no 5xx, and no answer that the description does not know.

`FUZZ_MINUTES=10` goes on for so long with more calls of each kind, one seed after the other from `FUZZ_SEED`.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.acceptance.fuzzing import MINUTES, SEED, Document, Findings, fuzz, watched_gateway
from tests.acceptance.server import Server

EXAMPLES, MANY_EXAMPLES = 8, 100


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with watched_gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running


def described(gateway: Server) -> Document:
    document: Document = httpx.get(f"{gateway.url}/openapi.json").json()
    return document


def operations(document: Document) -> set[str]:
    return {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}


def proving(document: Document) -> set[str]:
    """The operations that are for those who prove who they are."""
    return {
        f"{method.upper()} {path}"
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if not all(set(one) <= {"appId"} for one in operation["security"])
    }


def assert_no_fault(found: Findings, seed: int) -> None:
    assert not found.faults, f"FUZZ_SEED={seed}: {len(found.faults)} faults\n\n" + "\n\n".join(found.faults[:20])


@pytest.mark.timeout(120 + MINUTES * 60 * 2)
def test_no_call_meets_a_fault_or_an_answer_that_is_not_described(gateway: Server) -> None:
    document, until, seed = described(gateway), time.monotonic() + MINUTES * 60, SEED
    while True:
        examples = MANY_EXAMPLES if MINUTES else EXAMPLES
        known = fuzz(gateway, document, seed=seed, examples=examples)
        assert_no_fault(known, seed)
        # no operation is left out: what the description names has been done
        assert known.reached() == operations(document)
        strange = fuzz(gateway, document, seed=seed, examples=examples, known=False)
        assert_no_fault(strange, seed)
        assert set(strange.statuses) == operations(document)
        assert strange.reached() & proving(document) == set()
        print(f"FUZZ_SEED={seed}: {known.calls} + {strange.calls} calls")  # noqa: T201 - a long run is watched
        if time.monotonic() > until:
            return
        seed += 1


def balance(document: Document) -> Any:
    return document["paths"]["/trading/balance"]["get"]["responses"]


def unnamed_status(document: Document) -> None:
    del balance(document)["200"]


def another_type(document: Document) -> None:
    balance(document)["200"]["content"] = {"text/plain": {}}


def another_shape(document: Document) -> None:
    balance(document)["200"]["content"]["application/json"]["schema"] = {"required": ["colour"]}


def missing_header(document: Document) -> None:
    balance(document)["200"]["headers"] = {"Colour": {"required": True, "schema": {"type": "string"}}}


def wider_input(document: Document) -> None:
    document["components"]["schemas"]["PlaceOrder"]["properties"]["side"] = {"type": "string"}


def narrower_input(document: Document) -> None:
    document["components"]["schemas"]["CancelAll"]["properties"]["venue"] = {"type": "string", "maxLength": 3}


def unnamed_method(document: Document) -> None:
    del document["paths"]["/trading/orders"]["get"]


def needless_token(document: Document) -> None:
    document["paths"]["/venues"]["get"]["security"] = [{"appId": [], "accessToken": []}]


@pytest.mark.parametrize(
    ("distort", "operation", "check"),
    [
        (unnamed_status, "GET /trading/balance", "status_code_conformance"),
        (another_type, "GET /trading/balance", "content_type_conformance"),
        (another_shape, "GET /trading/balance", "response_schema_conformance"),
        (missing_header, "GET /trading/balance", "response_headers_conformance"),
        (wider_input, "POST /trading/orders", "positive_data_acceptance"),
        (narrower_input, "POST /trading/orders/cancel-all", "negative_data_rejection"),
        (unnamed_method, "POST /trading/orders", "unsupported_method"),
        (needless_token, "GET /venues", "ignored_auth"),
    ],
)
def test_where_the_description_is_wrong_it_is_found(
    gateway: Server, distort: Callable[[Document], None], operation: str, check: str
) -> None:
    path, document = operation.split()[1], described(gateway)
    distort(document)
    document["paths"] = {path: document["paths"][path]}
    found = fuzz(gateway, document, seed=1, examples=4)
    assert [fault for fault in found.faults if fault.startswith(f"{operation}: {check}: ")], found
