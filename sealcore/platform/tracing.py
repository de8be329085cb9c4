"""Traces over OTLP/HTTP, for who wants them: off unless the settings name an endpoint, and then without cost.

``span`` is called where work is done. Its parent is the span around it, or the one that a caller in another process sent along as a W3C
``traceparent``. Needs the packages of the extra ``tracing``; they are imported only when tracing is on.
"""

from __future__ import annotations

from contextlib import suppress
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Final, Protocol, Self

from pydantic import Field

from sealcore.errors import Code, VermilionError
from sealcore.platform import log
from sealcore.platform.config import Block

TRACEPARENT: Final = "traceparent"
_MOST_ANSWER_BYTES: Final = 64 * 1024
_TAKEN: Final = range(200, 300)
_EXPORT_TIMEOUT_S: Final = 3.0  # a collector that is away must not hold up a service that stops

Value = str | int | float | bool


class TracingSettings(Block):
    """Where spans go: the address that takes OTLP over HTTP, such as ``http://127.0.0.1:4318/v1/traces``; ``share`` of the traces."""

    endpoint: str = Field(pattern=r"^https?://[^\s]+$")
    share: float = Field(default=1.0, ge=0, le=1)


class Span(Protocol):
    """A piece of work that is measured; a context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None: ...

    def set(self, **attributes: Value) -> None:
        """Adds attributes; never a secret, never a document's name."""


class _Off:
    """The one span while tracing is off."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        return None

    def set(self, **attributes: Value) -> None:
        return None


class _On:
    __slots__ = ("_attributes", "_before", "_name", "_parent", "_span", "_tracing")

    def __init__(self, tracing: _Tracing, name: str, parent: str | None, attributes: dict[str, Value]) -> None:
        self._tracing, self._name, self._parent, self._attributes = tracing, name, parent, attributes
        self._before: Token[Any] | None = None

    def __enter__(self) -> Self:
        self._span = self._tracing.begin(self._name, self._parent, self._attributes)
        self._before = _CURRENT.set(self._span)
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        if self._before is not None:
            with suppress(ValueError):  # a generator that another task closes
                _CURRENT.reset(self._before)
        self._tracing.end(self._span, fault)

    def set(self, **attributes: Value) -> None:
        self._span.set_attributes(attributes)


class _Exporter:
    """Hands spans to the collector (OTLP/HTTP: protobuf, POST) by our own client; the exporter of OpenTelemetry heeds proxies and .netrc."""

    def __init__(self, endpoint: str, encode: Any, result: Any) -> None:
        from sealcore.platform.http_client import HttpClient  # noqa: PLC0415  (which sends along what is traced here)

        self._encode, self._result = encode, result
        self._endpoint, self._http = endpoint, HttpClient(within_s=_EXPORT_TIMEOUT_S)

    def export(self, spans: Any) -> Any:
        """Spans that cannot be handed over are dropped."""
        body = self._encode(spans).SerializeToString()
        headers = {"Content-Type": "application/x-protobuf"}
        try:
            answer = self._http.ask("POST", self._endpoint, body=body, headers=headers, most_bytes=_MOST_ANSWER_BYTES)
        except VermilionError:
            return self._result.FAILURE
        return self._result.SUCCESS if answer.status in _TAKEN else self._result.FAILURE

    def shutdown(self) -> None:
        """Closes the connection."""
        self._http.close()

    def force_flush(self, _timeout_ms: int = 0) -> bool:
        """Nothing is held back here."""
        return True


class _Tracing:
    """OpenTelemetry, set up."""

    def __init__(self, service: str, settings: TracingSettings, fields: dict[str, str]) -> None:
        try:
            from opentelemetry import trace  # noqa: PLC0415  (an extra: imported only where it is wanted)
            from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans  # noqa: PLC0415
            from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
            from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
            from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult  # noqa: PLC0415
            from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased  # noqa: PLC0415
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415
        except ImportError as fault:
            reason = (
                f"[tracing] needs the packages of the extra `tracing` ({fault.name} is not installed): pip install 'vermilion[tracing]'"
            )
            raise VermilionError(Code.CONFIGURATION_INVALID, reason) from None
        self._trace, self._propagator = trace, TraceContextTextMapPropagator()
        resource = Resource.create({"service.name": f"vermilion-{service}", **fields})
        self._provider = TracerProvider(resource=resource, sampler=ParentBased(TraceIdRatioBased(settings.share)), shutdown_on_exit=False)
        exporter: Any = _Exporter(settings.endpoint, encode_spans, SpanExportResult)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("vermilion")

    def begin(self, name: str, parent: str | None, attributes: dict[str, Value]) -> Any:
        around = _CURRENT.get()
        if around is not None:
            context = self._trace.set_span_in_context(around)
        else:
            context = self._propagator.extract({TRACEPARENT: parent} if parent else {})
        request_id = log.request_id()
        return self._tracer.start_span(name, context, attributes={**attributes, "request_id": request_id} if request_id else attributes)

    def end(self, span: Any, fault: BaseException | None) -> None:
        if isinstance(fault, VermilionError):
            span.set_attributes({"code": str(fault.code)})
        if isinstance(fault, Exception):
            span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, type(fault).__name__))
        span.end()

    def carried(self, span: Any) -> str:
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, self._trace.set_span_in_context(span))
        return carrier.get(TRACEPARENT, "")

    def stop(self) -> None:
        self._provider.shutdown()


_OFF: Final = _Off()
_CURRENT: ContextVar[Any] = ContextVar("span", default=None)
_tracing: _Tracing | None = None  # of the process, as logging is


def start(service: str, settings: TracingSettings | None, **fields: str) -> None:
    """Begins to trace when there are settings; called once by each ``__main__``. CONFIGURATION_INVALID without the packages."""
    global _tracing  # noqa: PLW0603
    if settings is not None:
        _tracing = _Tracing(service, settings, fields)


def stop() -> None:
    """Sends what is left and ends tracing."""
    global _tracing
    ending, _tracing = _tracing, None
    if ending is not None:
        ending.stop()


def span(name: str, *, parent: str | None = None, **attributes: Value) -> Span:
    """Measures a piece of work as a span of this name. ``parent`` is the traceparent of a caller in another process."""
    if _tracing is None:
        return _OFF
    return _On(_tracing, name, parent, attributes)


def traceparent() -> str:
    """The present span as a caller sends it along; empty when there is none."""
    around = _CURRENT.get()
    return _tracing.carried(around) if _tracing is not None and around is not None else ""
