"""Structured logs: one JSON object a line on standard error, with service name and request id, never a secret.

The request id follows a document through all services: whatever starts a piece of work binds one with ``request``, calls carry it on
(``sealcore.platform.rpc.client``, ``sealcore.platform.rpc``, ``sealcore.platform.http``), and each service binds what it was sent. It lives in a context variable: work that is handed
to another thread takes it along by ``contextvars.copy_context``.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

from sealcore.ids import uuid7
from sealcore.platform.log_stream import LogStream, Lost
from sealcore.platform.terminal_free import without_terminal
from sealcore.platform.throttle import ThrottleFilter

with without_terminal():
    import structlog

_SECRET_WORDS = ("pin", "password", "secret", "private_key", "token_jws", "authorization")
_STREAM = LogStream()  # of this process: standard error
_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", re.ASCII)


def _redact(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Last line of defence: a field whose name says that it is secret is blanked, whatever its value."""
    for name in event:
        if any(word == name.lower() or name.lower().endswith("_" + word) for word in _SECRET_WORDS):
            event[name] = "[redacted]"
    return event


def configure(service: str, level: str = "INFO", **fields: str) -> None:
    """Sets up logging for this process; called once by each ``__main__``. Every line names the service and ``fields`` (``worker=…``)."""

    def named(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for name, value in (("service", service), *fields.items()):  # not a context variable: threads begin without those
            event.setdefault(name, value)
        return event

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        named,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=_harmless(logging.getLevelNamesMapping()[level]),
        logger_factory=_Line,
        cache_logger_on_first_use=True,
    )
    handler = _Handler(_STREAM)  # what libraries say, in the same form
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer()],
        )
    )
    handler.addFilter(ThrottleFilter())  # strangers decide how often some of it is said
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # warns of each request that is no HTTP: a stranger could fill the disk


def lost() -> Lost | None:
    """What this process has not been able to log, if anything."""
    return _STREAM.lost


def _harmless(level: int) -> type[Any]:
    """structlog's logger of this level, whose calls never raise: a line that cannot be made is dropped and counted as one that cannot be written."""
    base: Any = structlog.make_filtering_bound_logger(level)

    class Harmless(base):  # type: ignore[misc]
        def _proxy_to_logger(self, *arguments: Any, **fields: Any) -> Any:
            try:
                return super()._proxy_to_logger(*arguments, **fields)
            except Exception as fault:  # noqa: BLE001  (whatever it is: work must not fail because of what is said about it)
                _STREAM.drop(fault)

    return Harmless


class _Line:
    """What structlog hands a finished line to, whatever its level."""

    def __init__(self, *_arguments: Any) -> None:
        pass

    def msg(self, line: str) -> None:
        _STREAM.write(f"{line}\n")

    debug = info = warning = error = critical = msg


class _Handler(logging.StreamHandler[LogStream]):
    """For what libraries say."""

    def handleError(self, _record: logging.LogRecord) -> None:  # noqa: N802  (logging's own name)
        """Counts the line that could not be made; ``logging`` would write about it to standard error, which may block."""
        if (fault := sys.exc_info()[1]) is not None:
            _STREAM.drop(fault)


def get(component: str) -> Any:
    """A logger that names its component. It takes its form when it is first used: one may be made before ``configure``, at an import."""
    return structlog.get_logger(component=component)


def request_id() -> str | None:
    """The id of the request that this thread or task works on, if any."""
    bound: str | None = structlog.contextvars.get_contextvars().get("request_id")
    return bound


def bind(request_id: str) -> None:
    """From here to the end of this task or thread, what is logged and called carries this request id."""
    structlog.contextvars.bind_contextvars(request_id=request_id)


def accepted(given: str | None) -> str:
    """The id that a caller sent, when it is one (64 characters of ``A-Za-z0-9._:-``), else a new one."""
    return given if given and _REQUEST_ID.fullmatch(given) else uuid7()


@contextmanager
def request(given: str | None = None) -> Iterator[str]:
    """What is logged and called inside carries this request id: ``given``, else the one that is bound already, else a new one."""
    chosen = accepted(given or request_id())
    with structlog.contextvars.bound_contextvars(request_id=chosen):
        yield chosen
