"""Logs: one JSON line an event, on standard error, with no address and no token in it (checklist A16)."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
import time
from typing import Any

import structlog
from flask import Flask, current_app, has_app_context
from structlog.tracebacks import ExceptionDictTransformer

# What our own events never hold, but an exception's text may.
_ADDRESS = re.compile(r"[^\s<>\"]+@[^\s<>\"]+")
_TOKEN = re.compile(r"/(confirm|unsubscribe|welcome|browser|manage|new-address|not-me)/[^\s\"'>]+")


_LEVEL = "newsletter.log_level"


def configure(app: Flask, level: str) -> None:
    """Send our own events and those of the libraries to standard error, as JSON lines. Each application in a
    process has a `level` of its own; what belongs to none follows the one that was made last."""
    number = app.extensions[_LEVEL] = logging.getLevelNamesMapping()[level.upper()]
    limit = _LevelLimit(number)
    structlog.configure(
        processors=[limit, *_steps(), structlog.processors.JSONRenderer(ensure_ascii=False)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
        logger_factory=lambda *_: _Lines(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(json_formatter())
    handler.addFilter(limit)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)


class _LevelLimit(logging.Filter):
    """Drops what is below the level of the current application: as a processor of structlog, and as a filter
    of the standard library."""

    def __init__(self, outside: int) -> None:
        super().__init__()
        self._outside = outside

    def __call__(self, _logger: Any, method: str, event: Any) -> Any:
        if structlog.processors.NAME_TO_LEVEL[method] < self._least():
            raise structlog.DropEvent
        return event

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= self._least()

    def _least(self) -> int:
        level = current_app.extensions.get(_LEVEL) if has_app_context() else None
        return level if isinstance(level, int) else self._outside


class _Lines:
    """Writes to standard error as it is now. A line that cannot be written, because the disk under it is full
    or nobody reads it any more, is dropped: nothing that the service does may fail for want of its line."""

    def msg(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # ValueError: it was closed
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()

    debug = info = warning = error = exception = critical = msg


def _steps() -> list[Any]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # Without local variables: they hold what visitors typed, and tokens.
        structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
        _redact,
    ]


class Seldom:
    """Warns of something when it begins, not of each time that it happens."""

    _PAUSE = 60.0  # seconds without it, after which it begins anew

    def __init__(self, event: str) -> None:
        self._event = event
        self._last = float("-inf")

    def warn(self, **values: Any) -> None:
        """It happens."""
        last, self._last = self._last, time.monotonic()
        if self._last - last > self._PAUSE:
            structlog.get_logger().warning(self._event, **values)


def json_formatter() -> logging.Formatter:
    """Renders a library's log record as we render our own events."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_steps(),
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
    )


def redact(text: str) -> str:
    """The text without addresses and tokens."""
    return _TOKEN.sub(r"/\1/[token]", _ADDRESS.sub("[address]", text))


def _redact(_logger: Any, _method: str, event: Any) -> Any:
    return _clean(event)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: _clean(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(item) for item in value]
    return value
