"""Structured logs: one JSON object a line on standard error, with service name and request id, never a secret."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_SECRET_WORDS = ("pin", "password", "secret", "private_key", "token_jws", "authorization")


def _redact(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Last line of defence: a field whose name says that it is secret is blanked, whatever its value."""
    for name in event:
        if any(word == name.lower() or name.lower().endswith("_" + word) for word in _SECRET_WORDS):
            event[name] = "[redacted]"
    return event


def configure(service: str, level: str = "INFO") -> None:
    """Sets up logging for this process; called once by each service's ``__main__``."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format='{"level": "%(levelname)s", "logger": "%(name)s", "event": "%(message)s"}'
    )


def get(component: str) -> Any:
    """A logger that names its component."""
    return structlog.get_logger().bind(component=component)
