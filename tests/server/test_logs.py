import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from oddswire.server import logs
from oddswire.server.logs import REDACTED

JWT = "eyJhbGciOiJFZDI1NTE5In0.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJlLXNpZ25hdHVyZQ"
API_KEY = "ow_dGhpcyBpcyBhbiBhcGkga2V5IG9mIHRoZSBhcHA"
REFRESH = "owr_dGhpcyBpcyBhIHJlZnJlc2ggdG9rZW4gb2YgYW4"
OPAQUE = "hunter2-hunter2-hunter2"
SIGNATURE = "0x" + "5b" * 65
SECRETS = (JWT, API_KEY, REFRESH, OPAQUE, SIGNATURE, SIGNATURE.upper())

SAID: list[tuple[str, dict[str, Any]]] = [
    (f"GET /ws?appId=demo&token={OPAQUE} HTTP/1.1", {}),
    (f"GET /ws?token={OPAQUE}&appId=demo", {}),
    (f"/ws%3FappId%3Ddemo%26token%3D{OPAQUE}", {}),
    (f"refused {JWT}", {}),
    (f"refused {JWT.rpartition('.')[0]}.", {}),
    (f"key {API_KEY}", {}),
    (f"Authorization: Bearer {OPAQUE}", {}),
    (f"authorization: bearer {JWT}", {}),
    ("x", {"token": OPAQUE}),
    ("x", {"access_token": OPAQUE}),
    ("x", {"accessToken": OPAQUE}),
    ("x", {"refreshToken": OPAQUE}),
    ("x", {"refresh_token": OPAQUE}),
    ("x", {"Authorization": f"Basic {OPAQUE}"}),
    ("x", {"apiKey": OPAQUE}),
    ("x", {"x-app-api-key": OPAQUE}),
    ("x", {"private_jwk": {"d": OPAQUE}}),
    ("x", {"headers": {"authorization": OPAQUE, "host": "demo"}}),
    ("x", {"headers": [("authorization", f"Bearer {OPAQUE}")]}),
    ("x", {"headers": [(b"Authorization", f"Bearer {OPAQUE}".encode())]}),
    ("x", {"frame": f'{{"action":"authenticate","token":"{OPAQUE}"}}'}),
    ("x", {"frame": f'{{"action":"authenticate","token": "{OPAQUE}"}}'.encode()}),
    ("x", {"body": json.dumps(json.dumps({"refreshToken": OPAQUE}))}),
    ("x", {"deep": {"er": [{"token": OPAQUE}, JWT, {JWT: 1}, {API_KEY}]}}),
    ("x", {"fault": ValueError(REFRESH)}),
    ("x", {"headers": [("x-app-api-key", OPAQUE), (b"authorization", OPAQUE.encode())]}),
    ("x", {"headers": {b"authorization": OPAQUE.encode()}}),
    (f"> x-app-api-key: {OPAQUE}", {}),
    (f"head\\r\\nAuthorization: Basic {OPAQUE}\\r\\n", {}),
    (f"SignedIn(access_token='{OPAQUE}', expires_in=3600)", {}),
    ("x", {"stack_info": f"Stack:\n  token={OPAQUE}"}),
    (f"signed {SIGNATURE}", {}),
    ("x", {"body": f'{{"sig":"{SIGNATURE.upper()}"}}'}),
]


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    names = ("oddswire", "uvicorn", "uvicorn.error", "uvicorn.access", "picows")
    loggers = [logging.getLogger(), *map(logging.getLogger, names)]
    kept = [
        (logger, logger.handlers[:], logger.filters[:], logger.level, logger.propagate, logger.disabled)
        for logger in loggers
    ]
    yield
    for logger, handlers, filters, level, propagate, disabled in kept:
        logger.handlers[:] = handlers
        logger.filters[:] = filters
        logger.disabled = disabled
        logger.setLevel(level)
        logger.propagate = propagate
    structlog.reset_defaults()


def stream_of(as_json: bool, level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    logs.set_up(level, as_json, stream)
    return stream


def no_secret(text: str) -> bool:
    return not any(secret in text for secret in SECRETS)


@pytest.mark.parametrize("as_json", [True, False], ids=["json", "console"])
@pytest.mark.parametrize(("event", "fields"), SAID)
def test_no_line_holds_a_secret(as_json: bool, event: str, fields: dict[str, Any]) -> None:
    stream = stream_of(as_json)
    structlog.get_logger("oddswire.test").info(event, **fields)
    logging.getLogger("oddswire.plain").info("%s %s", event, fields)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert all(REDACTED in line for line in lines)
    assert all(no_secret(line) for line in lines)


@pytest.mark.parametrize("as_json", [True, False], ids=["json", "console"])
def test_an_exception_is_told_without_the_secrets_in_it(as_json: bool) -> None:
    stream = stream_of(as_json)
    try:
        raise ValueError(f"no such thing: ?token={OPAQUE} {JWT}")
    except ValueError:
        structlog.get_logger("oddswire.test").exception("broke")
        logging.getLogger("elsewhere").exception("broke")
    text = stream.getvalue()
    assert text.count("ValueError: no such thing") == 2
    assert no_secret(text)
    assert not as_json or len(text.splitlines()) == 2


def test_an_event_is_one_line_of_json_with_its_fields_as_they_are() -> None:
    stream = stream_of(as_json=True)
    fields = {"app": "demo", "user": "ann", "seq": 7, "took": 0.5, "tokens": 3, "ok": True, "none": None}
    structlog.get_logger("oddswire.test").info("connected", **fields)
    line = json.loads(stream.getvalue())
    assert {key: line[key] for key in fields} == fields
    assert (line["event"], line["level"], line["logger"]) == ("connected", "info", "oddswire.test")
    assert line["ts"].endswith("Z")


@pytest.mark.parametrize(
    "text",
    [
        "window_update_of_slow_reader",
        "0x" + "ab" * 32,
        "broker_token_bucket",
        "oddswire.streams.connection",
        "the token is missing",
        "ow_x",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    stream = stream_of(as_json=True)
    structlog.get_logger("oddswire.test").info(text)
    assert json.loads(stream.getvalue())["event"] == text


@pytest.mark.parametrize("as_json", [True, False], ids=["json", "console"])
def test_nobody_forges_a_line(as_json: bool) -> None:
    stream = stream_of(as_json)
    structlog.get_logger("oddswire.test").info("hello", user="ann\n2027-01-01 [info] forged\x1b[31m\u2028\r")
    text = stream.getvalue()
    assert len(text.splitlines()) == 1
    assert "\x1b[31m" not in text


def test_levels() -> None:
    stream = stream_of(as_json=True, level="warning")
    structlog.get_logger("oddswire.test").info("unheard")
    structlog.get_logger("oddswire.test").warning("heard")
    logging.getLogger("elsewhere").info("unheard")
    logging.getLogger("elsewhere").warning("heard, too")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["heard", "heard, too"]


def test_setting_up_again_moves_everything_and_doubles_nothing() -> None:
    first = stream_of(as_json=True)
    logger = structlog.get_logger("oddswire.test")
    logger.info("one")
    second = stream_of(as_json=True)
    logger.info("two")
    assert json.loads(first.getvalue())["event"] == "one"
    assert json.loads(second.getvalue())["event"] == "two"


@pytest.mark.parametrize("name", ["uvicorn.access", "picows", "picows.server", "picows.transport"])
def test_loggers_that_print_requests_are_silent(name: str) -> None:
    stream = stream_of(as_json=True, level="debug")
    logging.getLogger(name).critical("GET /ws?appId=demo")
    logging.getLogger("uvicorn.error").warning("heard")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["heard"]


class Unprintable:
    def __repr__(self) -> str:
        raise ValueError(REFRESH)


def test_a_line_that_cannot_be_made_is_told_of_without_what_was_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    stream = stream_of(as_json=True)
    logging.getLogger("elsewhere").warning("%d", API_KEY)
    structlog.get_logger("oddswire.test").warning("x", key=API_KEY, what=Unprintable())
    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["event"], line["of"], line["fault"]) for line in told] == [
        ("log_line_failed", "elsewhere", "TypeError"),
        ("log_line_failed", "oddswire.test", "ValueError"),
    ]
    assert all(line["where"].startswith("test_logs:") for line in told)
    assert no_secret(stream.getvalue())
    assert capsys.readouterr() == ("", "")


def test_what_holds_itself_is_a_line() -> None:
    stream = stream_of(as_json=True)
    round_and_round: list[object] = [REFRESH]
    round_and_round.append(round_and_round)
    structlog.get_logger("oddswire.test").info("x", value=round_and_round)
    assert json.loads(stream.getvalue())["event"] == "x"
    assert no_secret(stream.getvalue())


def test_a_stream_that_is_gone_breaks_nothing() -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    logs.set_up("info", True, Full())
    structlog.get_logger("oddswire.test").info("x")
