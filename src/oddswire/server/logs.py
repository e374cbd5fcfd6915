"""Logs: one event a line, for people or as JSON, on standard error, with no secret in any of them.

Whoever logs leaves secrets out; `redact` is the net below, for what a library or an exception repeats.
"""

import logging
import math
import re
import sys
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

REDACTED = "[redacted]"
_SECRET_KEYS = {"token", "accesstoken", "refreshtoken", "authorization", "apikey", "xappapikey", "cookie", "setcookie"}
_SECRET_KEYS |= {"password", "secret", "privatejwk", "privatekey", "signature"}
_NAMES = r"(?:access_?token|refresh_?token|token|x-app-api-key|api_?key|authorization)"
_QUOTE = r"\\*[\"']"
_MASKS = (
    (re.compile(r"(?:eyJ|eyA|ewo)[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)+"), REDACTED),
    (re.compile(r"owr?_[A-Za-z0-9_-]{16,}"), REDACTED),
    (re.compile(r"(\bbearer(?:\s|%20)+)[^\s\"',;]{8,}", re.IGNORECASE), rf"\1{REDACTED}"),
    (re.compile(rf"({_NAMES}(?:=|%3D))[^&\s\"'#;]+", re.IGNORECASE), rf"\1{REDACTED}"),
    (re.compile(rf"({_NAMES}{_QUOTE}\s*[:,]\s*b?{_QUOTE})[^\"'\\]+", re.IGNORECASE), rf"\1{REDACTED}"),
    (re.compile(rf"({_QUOTE}d{_QUOTE}\s*:\s*{_QUOTE})[A-Za-z0-9_-]{{20,}}"), rf"\1{REDACTED}"),
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SILENT = ("uvicorn.access", "picows")


def set_up(level: str, as_json: bool, stream: TextIO | None = None) -> None:
    """Log events of ours from `level` up, and warnings of everybody else, to `stream` (standard error).

    Loggers that print raw requests, and with them tokens, are silent at any level.
    """
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(as_json, stream.isatty()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("oddswire").setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
        logging.getLogger(name).setLevel(logging.NOTSET)
        # a filter, because uvicorn sets its loggers' levels again when it starts
        logging.getLogger(name).filters[:] = [_warns]
    for name in _SILENT:
        logging.getLogger(name).handlers[:] = [logging.NullHandler()]
        logging.getLogger(name).propagate = False
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_common(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def take_over() -> None:
    """Log what Python itself would write to standard error, so that all of it is events: for the process of `serve`.

    Warnings, and exceptions that nobody catches: of the main thread (the exit code stays), of others, of finalizers.
    """
    logger = structlog.get_logger("oddswire.process")

    def uncaught(kind: type[BaseException], fault: BaseException, trace: TracebackType | None) -> None:
        logger.critical("uncaught", exc_info=(kind, fault, trace))

    def in_thread(ended: threading.ExceptHookArgs) -> None:
        name = ended.thread.name if ended.thread else None
        logger.critical("uncaught", thread=name, exc_info=(ended.exc_type, ended.exc_value, ended.exc_traceback))

    def unraisable(found: "sys.UnraisableHookArgs") -> None:
        logger.error("unraisable", where=repr(found.object), exc_info=(type(found.exc_value), found.exc_value, None))

    logging.captureWarnings(True)
    sys.excepthook, threading.excepthook, sys.unraisablehook = uncaught, in_thread, unraisable


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Return the event with secrets replaced, by the name they go under and by what they look like."""
    return {key: _clean(key, value) for key, value in event.items()}


def _warns(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING


def _common() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
    ]


def _formatter(as_json: bool, colors: bool) -> logging.Formatter:
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(
            colors=colors, timestamp_key="ts", exception_formatter=structlog.dev.plain_traceback
        )
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_common(),
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            redact,
            renderer,
        ],
    )


def _clean(key: str, value: object) -> object:
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if re.sub(r"[^a-z]", "", key.lower()) in _SECRET_KEYS:
        return REDACTED
    if isinstance(value, Mapping):
        return {_mask(str(name)): _clean(str(name), inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean("", inner) for inner in value]
    text = _mask(value if isinstance(value, str) else repr(value))
    # A traceback keeps its lines; anything else that could begin a line of its own would forge one.
    return text if key == "exception" else _CONTROL.sub(_escape, text)


def _mask(text: str) -> str:
    for pattern, replacement in _MASKS:
        text = pattern.sub(replacement, text)
    return text


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()
