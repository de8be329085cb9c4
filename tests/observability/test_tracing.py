"""Traces through the real exporter into a collector of our own; off by default, and then without cost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from sealcore.errors import Code, VermilionError
from sealcore.platform import log, tracing
from sealcore.platform.tracing import TracingSettings
from tests.observability.collector import Collector, collecting


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as one:
        tracing.start("signer", TracingSettings(endpoint=one.endpoint), worker="bulk-0")
        try:
            yield one
        finally:
            tracing.stop()


def test_spans_nest_and_carry_the_request_id(collector: Collector) -> None:
    with log.request("an-id"), tracing.span("batch", documents=64), tracing.span("sign") as inner:
        inner.set(calls=64)
    tracing.stop()
    batch, sign = collector.named("batch"), collector.named("sign")
    assert (batch.service, batch.parent) == ("vermilion-signer", "")
    assert (sign.parent, sign.trace) == (batch.id, batch.trace)
    assert batch.attributes == {"documents": 64, "request_id": "an-id"}
    assert sign.attributes == {"calls": 64, "request_id": "an-id"}


def test_a_span_of_another_process_is_the_parent(collector: Collector) -> None:
    with tracing.span("call"):
        sent = tracing.traceparent()
    assert tracing.traceparent() == ""
    with tracing.span("batch", parent=sent):
        pass
    tracing.stop()
    assert (collector.named("batch").trace, collector.named("batch").parent) == (collector.named("call").trace, collector.named("call").id)


def test_a_refusal_marks_its_span_with_the_code_and_nothing_of_its_text(collector: Collector) -> None:
    with pytest.raises(VermilionError), tracing.span("gate"):
        raise VermilionError(Code.TOKEN_EXPIRED, "a text with a name in it")
    tracing.stop()
    span = collector.named("gate")
    assert span.failed
    assert span.attributes == {"code": "TOKEN_EXPIRED"}
    assert "with a name" not in str(span)


@pytest.mark.parametrize("garbage", ["x", "00-zz-zz-01", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "\x00" * 55])
def test_a_traceparent_that_is_none_begins_a_new_trace(collector: Collector, garbage: str) -> None:
    with tracing.span("call", parent=garbage):
        pass
    tracing.stop()
    assert collector.named("call").parent == ""


def test_a_share_of_nothing_sends_nothing() -> None:
    with collecting() as one:
        tracing.start("signer", TracingSettings(endpoint=one.endpoint, share=0))
        with tracing.span("batch"):
            pass
        tracing.stop()
        assert one.spans == []


def test_off_it_is_one_and_the_same_empty_span() -> None:
    assert tracing.span("a") is tracing.span("b", documents=3)
    with tracing.span("a") as span:
        span.set(x=1)
        assert tracing.traceparent() == ""


def test_nothing_of_it_is_loaded_while_it_is_off() -> None:
    program = (
        "import sys; from sealcore.platform import tracing; tracing.start('x', None)\n"
        "with tracing.span('a'): pass\n"
        "sys.exit(any(name.startswith('opentelemetry.sdk') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_without_the_packages_the_error_says_what_to_install() -> None:
    program = """
import sys
sys.modules["opentelemetry.sdk.trace"] = None  # as if it were not installed
from sealcore.platform import tracing
tracing.start("x", tracing.TracingSettings(endpoint="http://127.0.0.1:9/v1/traces"))
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert "CONFIGURATION_INVALID" in done.stderr
    assert "pip install 'vermilion[tracing]'" in done.stderr


def test_a_collector_that_is_away_does_not_hold_up_the_end() -> None:
    program = """
from sealcore.platform import tracing
tracing.start("x", tracing.TracingSettings(endpoint="http://127.0.0.1:9/v1/traces"))
for _ in range(100):
    with tracing.span("a"): pass
tracing.stop()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, timeout=14
    )  # a launcher waits 15 s, then kills
    assert done.returncode == 0, done.stderr


def test_an_endpoint_is_an_address() -> None:
    with pytest.raises(ValidationError):
        TracingSettings(endpoint="127.0.0.1:4318")
