"""Logs: one event a line, for people or as JSON, on standard error, with no secret in any of them.

Whoever logs leaves secrets out; `redact` is the net below, for what a library or an exception repeats.
"""

import logging
import math
import re
import sys
import threading
from collections.abc import Mapping
from functools import lru_cache
from types import TracebackType
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

REDACTED = "[secret]"
_SECRET_KEYS = {"token", "accesstoken", "refreshtoken", "authorization", "apikey", "xappapikey", "cookie", "setcookie"}
_SECRET_KEYS |= {"password", "secret", "privatejwk", "privatekey", "signature"}
_NAMES = r"(?:access_?token|refresh_?token|token|x-app-api-key|api_?key|authorization)"
_QUOTE = r"\\*[\"']"
_MASKS = (
    (re.compile(r"(?:eyJ|eyA|ewo)[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)+"), REDACTED),
    (re.compile(r"owr?_[A-Za-z0-9_-]{24,}"), REDACTED),
    (re.compile(r"0[xX][0-9a-fA-F]{128,}"), REDACTED),
    (re.compile(r"(bearer(?:\s|%20|\+)+)[^\s\"',;]{8,}", re.IGNORECASE), rf"\1{REDACTED}"),
    (re.compile(r"((?:authorization|x-app-api-key)\s*:\s*)[^\s\"'\\][^\r\n\"'\\]*", re.IGNORECASE), rf"\1{REDACTED}"),
    (re.compile(rf"({_NAMES}(?:=|%3D))[^&\s\"'#;]+", re.IGNORECASE), rf"\1{REDACTED}"),
    (re.compile(rf"({_NAMES}{_QUOTE}?\s*[:,=]\s*b?{_QUOTE})[^\"'\\]+", re.IGNORECASE), rf"\1{REDACTED}"),
    (re.compile(rf"({_QUOTE}d{_QUOTE}\s*:\s*{_QUOTE})[A-Za-z0-9_-]{{20,}}"), rf"\1{REDACTED}"),
)
_SHORTEST = 8
_HINTS = ("token", "ow_", "owr_", "eyj", "eya", "ewo", "0x", "bearer", "key", "authorization", 'd"', "d'", "d\\")
"""What no secret is without, in lower case: most texts have none of it, and looking for a word costs least."""
_DEEPEST = 16
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SILENT = ("uvicorn.access", "picows")
_logger_name = "oddswire.logs"
_logger = structlog.get_logger(_logger_name)


def set_up(level: str, as_json: bool, stream: TextIO | None = None) -> None:
    """Log events of ours from `level` up, and warnings of everybody else, to `stream` (standard error).

    Loggers that print raw requests, and with them tokens, are silent at any level.
    """
    stream = stream or sys.stderr
    handler = _Handler(stream)
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
    """Log what Python itself would write to standard error, so that all of it is events without secrets, for `serve`.

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


class _Handler(logging.StreamHandler[TextIO]):
    """Writes lines; one that cannot be made is told of, where Python would print all that was to be in it."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Say in a line of our own that a line is missing, and where it was to come from."""
        fault = sys.exc_info()[1]
        # the stream itself may be what fails
        if record.name != _logger_name and not isinstance(fault, OSError):
            where = f"{record.module}:{record.lineno}"
            _logger.error("log_line_failed", of=record.name, where=where, fault=type(fault).__name__)


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


def _clean(key: str, value: object, depth: int = 0) -> object:
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if _is_secret(key):
        return REDACTED
    if isinstance(value, str):
        text = _mask(value)
    elif isinstance(value, Mapping) and depth < _DEEPEST:
        return {_mask(_name(name)): _clean(_name(name), inner, depth + 1) for name, inner in value.items()}
    elif isinstance(value, list | tuple | set | frozenset) and depth < _DEEPEST:
        if isinstance(value, list | tuple) and len(value) == 2 and _is_secret(_name(value[0])):
            # a header, as most libraries keep them
            return [_name(value[0]), REDACTED]
        return [_clean("", inner, depth + 1) for inner in value]
    else:
        text = _mask(repr(value))
    # A traceback keeps its lines; anything else that could begin a line of its own would forge one.
    return text if key == "exception" or text.isprintable() else _CONTROL.sub(_escape, text)


def _name(key: object) -> str:
    return key.decode("latin-1") if isinstance(key, bytes) else key if isinstance(key, str) else repr(key)


@lru_cache(1024)
def _is_secret(key: str) -> bool:
    """Tell whether a name is one that secrets go under; there are few names, each of which comes again and again."""
    return re.sub(r"[^a-z]", "", key.lower()) in _SECRET_KEYS


def _mask(text: str) -> str:
    if len(text) < _SHORTEST:
        return text
    low = text.lower()
    for hint in _HINTS:
        if hint in low:
            for pattern, replacement in _MASKS:
                text = pattern.sub(replacement, text)
            return text
    return text


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()
