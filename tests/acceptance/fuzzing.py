"""Every operation of an OpenAPI document called with what it allows and what it forbids, and what was wrong then."""

import contextlib
import copy
import os
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import AcceptedNegativeData, Failure
from schemathesis.engine import events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder
from schemathesis.openapi.checks import RejectedPositiveData
from schemathesis.specs.openapi.schemas import OpenApiSchema

from tests.acceptance.server import UNLIMITED, Server, an_order, command, running_server
from tests.auth.wallets import Wallet

MINUTES: Final = float(os.environ.get("FUZZ_MINUTES", "0"))
SEED: Final = int(os.environ.get("FUZZ_SEED", "1"))
UNSTOPPED: Final = {
    **UNLIMITED,
    "ODDSWIRE_FAILED_SIGN_INS_PER_MINUTE": "100000",
    "ODDSWIRE_REFUSED_PER_SECOND": "100000",
    "ODDSWIRE_CALLS_PER_SECOND_PER_APP": "0",
    "ODDSWIRE_CALLS_PER_SECOND_PER_ADDRESS": "0",
    "ODDSWIRE_DRAIN_SECONDS": "0",
}
Document = dict[str, Any]
Case = schemathesis.Case[Any]
MEANT: Final = {
    ("GET /markets", "venue"): "which venues there are is told by `GET /venues`",
    ("GET /markets", "cursor"): "a cursor is one of a page before",
    ("GET /trading/orders", "cursor"): "a cursor is one of a page before",
    ("GET /trading/fills", "cursor"): "a cursor is one of a page before",
    ("GET /trading/events/stream", None): "a `Last-Event-ID` ends with a number below 2^53, which no pattern says",
    ("POST /auth/start", "$.address"): "the capitals of EIP-55 are a checksum",
}
"""What is refused as wrong although its schema allows it, and why no schema could say so."""
MISREAD: Final = frozenset({"invalid_json", "invalid_body", "invalid_parameter", "invalid_amount"})
"""Codes that say a thing is of the wrong shape: what the schema allows must not be told one of them."""
_UNDERSTOOD: Final = ["2xx", "401", "403", "404", "409", "410", "422"]
_REFUSED: Final = ["400", "401", "403", "404", "405", "413", "422"]
_APP: Final = "x-app-id"
_WALLET: Final = Wallet(b"\x07" * 32)


@contextlib.contextmanager
def watched_gateway(folder: Path) -> Iterator[Server]:
    """Run a gateway that stops nobody and takes wallets; look at its database and its log when all is over."""
    with running_server(folder, **UNSTOPPED) as running:
        taken = command("app", "wallet", "on", running.app, "--database", str(running.database))
        assert taken.returncode == 0, taken.stderr
        yield running
        assert running.terminate() == 0
        checked = command("check", "--database", str(running.database))
        assert checked.returncode == 0, checked.stdout
        told = [line for line in running.log().splitlines() if "_failed" in line or "Traceback" in line]
        assert not told, "\n".join(told[:5])


@dataclass
class Findings:
    """What a run saw: `faults` is what was wrong, in words; `statuses` what each operation has answered with."""

    faults: list[str] = field(default_factory=list)
    statuses: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    calls: int = 0

    def take(self, recorder: ScenarioRecorder) -> None:
        """Add what one scenario has seen."""
        for case_id, interaction in recorder.interactions.items():
            self.calls += 1
            operation = recorder.cases[case_id].value.operation
            if interaction.response is None:
                self.faults.append(f"{operation.label}: no answer at all")
            elif interaction.request.method == operation.method.upper():
                self.statuses[operation.label].add(interaction.response.status_code)
        for case_id, checks in recorder.checks.items():
            for check in checks:
                if check.failure_info is not None:
                    found = check.failure_info.failure
                    self.faults.append(
                        f"{recorder.cases[case_id].value.operation.label}: {check.name}: {found.title}\n"
                        f"{found.message}\n{check.failure_info.code_sample}"
                    )

    def reached(self) -> set[str]:
        """The operations that have been carried out at least once."""
        return {name for name, seen in self.statuses.items() if any(200 <= status < 300 for status in seen)}


def credentials(server: Server, trader: str) -> type[schemathesis.AuthProvider[dict[str, str]]]:
    """Return what fills in what an operation's `security` asks for.

    `trader` is the access token of calls that trade. Calls of `/auth` end sessions, so each is made with a session of
    its own, by a user who does not trade.
    """

    class Credentials:
        def get(self, case: Case, _: schemathesis.AuthContext) -> dict[str, str]:
            needed = {name for one in case.operation.definition.raw["security"] for name in one}
            headers = {}
            if "apiKey" in needed:
                headers["x-app-api-key"] = server.api_key
            if "accessToken" in needed:
                ends = case.operation.path.startswith("/auth")
                headers["authorization"] = f"Bearer {server.sign_in('guest')['accessToken'] if ends else trader}"
            return headers

        def set(self, case: Case, data: dict[str, str], _: schemathesis.AuthContext) -> None:
            case.headers.update(data)

    return Credentials


class Sense:
    """Writes the calls that keep to the schema: numbers as they are to be written, and every other so that it works.

    To JSON Schema `1.0` is a whole number and `1e-05` an amount. What is said beside the schemas forbids both.
    """

    def __init__(self, server: Server, trader: str, seed: int) -> None:
        self._server = server
        self._headers = {_APP: server.app, "authorization": f"Bearer {trader}"}
        self._chance = random.Random(seed)
        self._count: Counter[str] = Counter()
        self._bodies: dict[str, Callable[[], dict[str, Any]]] = {
            "POST /trading/orders": self._order,
            "POST /auth/token/refresh": self._refresh,
            "POST /auth/verify": self._wallet,
        }
        self._paths: dict[str, Callable[[], dict[str, Any]]] = {
            "GET /trading/orders/{orderId}": self._placed,
            "POST /trading/orders/{orderId}/cancel": self._placed,
            "DELETE /auth/sessions/{sessionId}": self._session,
        }

    def map_case(self, _: schemathesis.HookContext, case: Case) -> Case:
        """Return the call that is made."""
        label = case.operation.label
        if case.meta is None or not case.meta.generation.mode.is_positive:
            return case
        self._count[label] += 1
        makes_sense = self._count[label] % 2 == 1
        if isinstance(case.body, dict):
            case.body = {name: _plain(value) for name, value in case.body.items()}
            if makes_sense and label in self._bodies:
                case.body |= self._bodies[label]()
        if makes_sense and label in self._paths:
            case.path_parameters = self._paths[label]()
        return case

    def _placed(self) -> dict[str, Any]:
        order = an_order(size=1)
        answer = httpx.post(f"{self._server.url}/trading/orders", headers=self._headers, json=order)
        return {"orderId": answer.json()["orderId"]}

    def _session(self) -> dict[str, Any]:
        headers = {_APP: self._server.app, "authorization": f"Bearer {self._server.sign_in('guest')['accessToken']}"}
        found = httpx.get(f"{self._server.url}/auth/sessions", headers=headers).json()["sessions"]
        return {"sessionId": next(session["sessionId"] for session in found if session["current"])}

    def _order(self) -> dict[str, Any]:
        market, tick = self._chance.choice([("fed-cut-dec", 0.01), ("cpi-above-3-nov", 0.01)])
        return {
            "venue": "paper",
            "marketId": market,
            "outcomeId": self._chance.choice(["yes", "no"]),
            "price": round(tick * self._chance.randint(1, 99), 2),
            "size": self._chance.randint(1, 3),
            **self._chance.choice([{"timeInForce": "gtc", "expiresAt": None}, {}]),
        }

    def _refresh(self) -> dict[str, Any]:
        return {"refreshToken": self._server.sign_in("guest")["refreshToken"]}

    def _wallet(self) -> dict[str, Any]:
        answer = httpx.post(
            f"{self._server.url}/auth/start", headers={_APP: self._server.app}, json={"address": _WALLET.address}
        )
        message = answer.json()["message"]
        return {"message": message, "signature": _WALLET.sign(message)}


def _plain(value: Any) -> Any:
    """Return a number without the point of a whole one, and 0 for one that would be written with an exponent."""
    if not isinstance(value, float):
        return value
    return int(value) if value.is_integer() else 0 if "e" in repr(value) else value


def fuzz(server: Server, document: Document, *, seed: int, examples: int, known: bool = True) -> Findings:
    """Call every operation of a document, and follow what it answers to other operations; return what was found.

    `examples` is how many calls of each kind are drawn beside those for every bound of every value. `known`: with the
    credentials that the document asks for, and in the checks without them and with wrong ones; else only so.
    """
    schema = _schema(server, document, seed, examples)
    if known:
        trader: str = server.sign_in(f"trader {seed}")["accessToken"]
        schema.auth(refresh_interval=None)(credentials(server, trader))
        schema.hooks.register_hook_with_name(Sense(server, trader, seed).map_case, "map_case")
    schema.hooks.register_hook_with_name(_is_fault, "filter_failure")
    found = Findings()
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            found.take(event.recorder)
        elif isinstance(event, events.NonFatalError):
            found.faults.append(f"{event.label}: {event.value!r}")
        elif isinstance(event, events.FatalError):
            raise event.exception
    return found


def _schema(server: Server, document: Document, seed: int, examples: int) -> OpenApiSchema:
    config = SchemathesisConfig.from_dict(
        {
            "seed": seed,
            "base-url": server.url,
            "continue-on-failure": True,
            "request-timeout": 10,
            # a stream is told from its head and its first event: it has no end
            "max-stream-events": 1,
            "generation": {"max-examples": examples, "no-shrink": True},
            "phases": {"examples": {"enabled": False}},
            "checks": {
                "positive_data_acceptance": {"expected-statuses": _UNDERSTOOD},
                "negative_data_rejection": {"expected-statuses": _REFUSED},
            },
        }
    )
    return schemathesis.openapi.from_dict(_naming_app(document, server.app), config=config)


def _naming_app(document: Document, app: str) -> Document:
    """Return the document with the app's id as a parameter: it says what is called, and proves nobody.

    Without it a call is not refused as one of a stranger, 401, but as one that lacks something, 400.
    """
    made = copy.deepcopy(document)
    parameter = {"name": _APP, "in": "header", "required": True, "schema": {"type": "string", "enum": [app]}}
    for item in made["paths"].values():
        for operation in item.values():
            schemes = [dict(one) for one in operation["security"]]
            if any(one.pop("appId", None) is not None for one in schemes):
                operation.setdefault("parameters", []).append(parameter)
            operation["security"] = schemes
    return made


def _is_fault(_: schemathesis.HookContext, failure: Failure, case: Case, response: schemathesis.Response) -> bool:
    """Tell a fault from what schemathesis cannot know.

    What the schema allows may be refused once it has been understood; and HTTP lets everybody send more headers.
    """
    match failure:
        case RejectedPositiveData(status_code=400):
            problem = response.json()
            return problem["code"] in MISREAD and (case.operation.label, problem.get("path")) not in MEANT
        case AcceptedNegativeData(message=message):
            return "in header - object with unexpected properties" not in message
        case _:
            return True
