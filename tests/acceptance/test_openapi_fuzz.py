"""Every call of the OpenAPI document, with whatever it may be sent: no server error, no answer that is not described.

`FUZZ_EXAMPLES=500 FUZZ_SEED=7` asks for more, and for others.
"""

import os
import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import CheckFunction
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks as described

from tests.acceptance.server import NO_LIMITS, ORIGIN, Server, command, running_server

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "12"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
ENDLESS = {"GET /trading/events/stream": "its answer ends with the token; tests/server/test_event_stream.py reads it"}
"""What is not asked here, and why."""
CHECKS: list[CheckFunction] = [
    schemathesis.checks.not_a_server_error,
    described.status_code_conformance,
    described.content_type_conformance,
    described.response_headers_conformance,
    described.response_schema_conformance,
    described.unsupported_method,
]
Proof = Callable[[Server, dict[str, Any]], dict[str, str]]
WHO: dict[str, Proof] = {
    "its user": lambda server, signed: {"authorization": f"Bearer {signed['accessToken']}"},
    "its backend": lambda server, signed: {"x-app-api-key": server.api_key},
    "nobody": lambda server, signed: {},
    "somebody wrong": lambda server, signed: {"authorization": "Bearer x.y.z", "x-app-api-key": "ow_wrong"},
    "a page": lambda server, signed: {"authorization": f"Bearer {signed['accessToken']}", "origin": ORIGIN},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("fuzz")
    with running_server(folder, **NO_LIMITS) as server:
        on = command("app", "wallet", "on", server.app, "--database", str(server.database))
        assert on.returncode == 0, on.stderr
        yield server


def operations(server: Server) -> dict[str, Any]:
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    found: list[Any] = [result.ok() for result in schema.get_all_operations()]  # type: ignore[union-attr]  # an error raises
    return {f"{operation.method.upper()} {operation.path}": operation for operation in found}


class Asking:
    """Somebody who calls, with what they prove themselves by; signs in anew once a call has signed them out."""

    def __init__(self, server: Server, who: str) -> None:
        self._server = server
        self._who = who
        self._user = f"user-{random.Random(who).randrange(10**6)}"
        self._signed = server.sign_in(self._user)
        self.statuses: set[int] = set()

    def call(self, case: Any) -> None:
        headers = {"x-app-id": self._server.app, **WHO[self._who](self._server, self._signed)}
        answer = case.call(base_url=self._server.url, headers=headers, timeout=20)
        self.statuses.add(answer.status_code)
        case.validate_response(answer, checks=CHECKS)
        if answer.status_code == 401 and self._who in ("its user", "a page"):
            self._signed = self._server.sign_in(self._user)


def fuzz(operation: Any, mode: GenerationMode, call: Callable[[Any], None], examples: int) -> None:
    @seed(SEED)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Any) -> None:
        call(case)

    run()


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("who", WHO)
def test_no_answer_is_undescribed_and_none_a_server_error(server: Server, who: str) -> None:
    found = operations(server)
    assert set(found) >= set(ENDLESS)
    wrong: list[str] = []
    for name, operation in found.items():
        if name in ENDLESS:
            continue
        asking = Asking(server, who)
        modes = [GenerationMode.POSITIVE]
        if list(operation.iter_parameters()) or len(operation.body):
            # where nothing is taken nothing can be wrong
            modes.append(GenerationMode.NEGATIVE)
        for mode in modes:
            try:
                fuzz(operation, mode, asking.call, EXAMPLES)
            except BaseExceptionGroup as faults:
                wrong += [f"{name}, {mode.value}: {type(fault).__name__}: {fault}" for fault in faults.exceptions]
            except Exception as fault:
                wrong.append(f"{name}, {mode.value}: {type(fault).__name__}: {fault}")
        assert asking.statuses, name
    assert not wrong, "\n\n".join(wrong)


def test_the_books_are_whole_and_nothing_was_at_fault(server: Server) -> None:
    # runs last: the tests of a module run in their order
    checked = command("check", "--database", str(server.database))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    log = server.log()
    for fault in ("request_failed", "dispatch_failed", "reconcile_failed", "Traceback"):
        assert fault not in log, log[-4000:]


def test_an_answer_that_is_not_described_is_found(server: Server) -> None:
    operation = operations(server)["GET /trading/balance"]
    signed = server.sign_in("ann")
    headers = {"x-app-id": server.app, "authorization": f"Bearer {signed['accessToken']}"}
    teapot = httpx.Response(418, json={}, request=httpx.Request("GET", f"{server.url}/trading/balance"))
    teapot.elapsed = timedelta(0)

    def call(case: Any) -> None:
        assert case.call(base_url=server.url, headers=headers).status_code
        case.validate_response(teapot, checks=CHECKS)

    with pytest.raises(BaseException, match="418"):
        fuzz(operation, GenerationMode.POSITIVE, call, 1)
