"""Several sources in a given order: fail-over, rest, recovery; without a right answer there is no timestamp."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import cms
from prometheus_client import CollectorRegistry

from sealcore.clock import SystemClock
from sealcore.errors import Code, VermilionError
from tests.timestamp.outside import Answer, OpensslCa, Tsa, Web, openssl_tsa, pyhanko_tsa
from timestamp.client.metrics import SourceMetrics
from timestamp.client.resting import Rest, Standing
from timestamp.client.source import OutsideTsa
from timestamp.client.sources import TimestampSources

COUNT = 20
DIGESTS = [hashlib.sha256(b"%d" % number).digest() for number in range(COUNT)]


def away(_query: bytes) -> Answer:
    """A TSA that is down behind its web server."""
    return Answer(b"", status=503)


class Skipping(SystemClock):
    """A clock whose monotonic part a test moves on."""

    def __init__(self) -> None:
        self.skipped_s = 0.0

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.skipped_s


class Bench:
    """Sources over web servers, with their metrics."""

    def __init__(self, ca: OpensslCa, opened: ExitStack) -> None:
        self.ca = ca
        self.clock = Skipping()
        self.registry = CollectorRegistry()
        self.metrics = SourceMetrics(self.registry)
        self._opened = opened

    def web(self, tsa: Tsa) -> Web:
        """A TSA behind HTTP."""
        return self._opened.enter_context(Web(tsa))

    def sources(self, *webs: Web, within_s: float = 20.0, **more: Any) -> TimestampSources:
        """In this order, named first, second …"""
        names = ("first", "second", "third")
        made = [OutsideTsa(web.source(self.ca, name, **more), self.clock, self.metrics) for name, web in zip(names, webs, strict=False)]
        sources = TimestampSources(made, within_s=within_s)
        self._opened.callback(sources.close)
        return sources

    def count(self, source: str, outcome: Code | str) -> float:
        """How many requests ended so."""
        return self.registry.get_sample_value("vermilion_tsa_requests_total", {"source": source, "outcome": str(outcome)}) or 0

    def value(self, metric: str, source: str) -> float | None:
        """A metric of a source."""
        return self.registry.get_sample_value(f"vermilion_tsa_{metric}", {"source": source})


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> OpensslCa:
    """The outside TSAs' CA."""
    return OpensslCa(tmp_path_factory.mktemp("outside-ca"))


@pytest.fixture
def bench(ca: OpensslCa) -> Iterator[Bench]:
    """Closed at the end."""
    with ExitStack() as opened:
        yield Bench(ca, opened)


def all_right(outcomes: Sequence[bytes | VermilionError], digests: Sequence[bytes] = DIGESTS) -> None:
    """Each token is over its own digest."""
    for outcome, digest in zip(outcomes, digests, strict=True):
        assert isinstance(outcome, bytes), outcome
        info = cms.ContentInfo.load(outcome)["content"]["encap_content_info"]["content"].parsed
        assert info["message_imprint"]["hashed_message"].native == digest


def test_a_batch_goes_to_the_first_that_answers_several_at_once(bench: Bench, tmp_path: Path) -> None:
    together, most, lock = [0], [0], threading.Lock()
    honest = pyhanko_tsa(bench.ca)
    meeting = threading.Barrier(4)

    def counting(query: bytes) -> Answer:
        with lock:
            together[0] += 1
            most[0] = max(most[0], together[0])
        meeting.wait(20)  # nobody is answered before four are there
        with lock:
            together[0] -= 1
        return honest(query)

    first, second = bench.web(counting), bench.web(openssl_tsa(bench.ca, tmp_path / "ts"))
    sources = bench.sources(first, second, at_once=4)
    all_right(sources.stamp_all(DIGESTS))
    assert (first.requests, second.requests, most[0]) == (COUNT, 0, 4)
    assert (bench.count("first", "ok"), bench.value("seconds_count", "first")) == (COUNT, COUNT)
    assert sources.largest_token_bytes == 8192


def test_what_the_first_cannot_the_second_does_and_the_first_rests(bench: Bench) -> None:
    first, second = bench.web(away), bench.web(pyhanko_tsa(bench.ca))
    sources = bench.sources(first, second, at_once=1)
    all_right(sources.stamp_all(DIGESTS))
    assert (first.requests, second.requests) == (3, COUNT)  # its patience is three
    assert (bench.count("first", Code.TSA_REFUSED), bench.count("first", Code.TSA_RESTS)) == (3, COUNT - 3)
    assert (bench.value("resting", "first"), bench.value("resting", "second")) == (1, 0)
    all_right([sources.stamp(DIGESTS[0])], DIGESTS[:1])
    assert first.requests == 3


def test_after_its_rest_one_request_tries_it_and_it_takes_its_place_again(bench: Bench) -> None:
    first, second = bench.web(away), bench.web(pyhanko_tsa(bench.ca))
    sources = bench.sources(first, second)
    all_right(sources.stamp_all(DIGESTS))
    asked = first.requests
    bench.clock.skipped_s += 31
    all_right(sources.stamp_all(DIGESTS))
    assert (first.requests, bench.value("resting", "first")) == (asked + 1, 1)  # one request found that it is still away
    first.tsa = pyhanko_tsa(bench.ca)
    bench.clock.skipped_s += 31
    before = second.requests
    all_right(sources.stamp_all(DIGESTS))
    assert (first.requests, second.requests, bench.value("resting", "first")) == (asked + 1 + COUNT, before, 0)


def test_a_liar_rests_longer_at_once_and_is_counted(bench: Bench) -> None:
    def old(info: dict[str, Any]) -> None:
        info["nonce"] = 1

    first, second = bench.web(pyhanko_tsa(bench.ca, change=old)), bench.web(pyhanko_tsa(bench.ca))
    sources = bench.sources(first, second, at_once=1)
    all_right(sources.stamp_all(DIGESTS))
    assert (first.requests, bench.value("untrue_answers_total", "first"), bench.value("untrue_answers_total", "second")) == (1, 1, 0)
    bench.clock.skipped_s += 3500
    all_right(sources.stamp_all(DIGESTS))
    assert first.requests == 1
    bench.clock.skipped_s += 200
    all_right(sources.stamp_all(DIGESTS))
    assert first.requests == 2


def test_when_none_answers_rightly_there_is_no_timestamp_and_each_is_named(bench: Bench, tmp_path: Path) -> None:
    def other(info: dict[str, Any]) -> None:
        info["message_imprint"] = {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": bytes(32)}

    stranger = OpensslCa(tmp_path / "stranger", "Stranger")
    webs = (bench.web(away), bench.web(pyhanko_tsa(bench.ca, change=other)), bench.web(pyhanko_tsa(stranger)))
    sources = bench.sources(*webs)
    outcomes = sources.stamp_all(DIGESTS)
    assert {outcome.code for outcome in outcomes if isinstance(outcome, VermilionError)} == {Code.TIMESTAMP_UNAVAILABLE}
    assert not any(isinstance(outcome, bytes) for outcome in outcomes)
    first = outcomes[0]
    assert isinstance(first, VermilionError)
    for said in ("first: TSA_REFUSED: the TSA answers with HTTP 503", "second: TSA_WRONG_IMPRINT", "third: TSA_UNTRUSTED"):
        assert said in first.reason
    with pytest.raises(VermilionError) as refused:
        sources.stamp(DIGESTS[0])
    assert refused.value.code is Code.TIMESTAMP_UNAVAILABLE


def test_one_that_answers_some_is_helped_out_for_the_others_alone(bench: Bench) -> None:
    honest, number, lock = pyhanko_tsa(bench.ca), [0], threading.Lock()

    def every_other(query: bytes) -> Answer:
        with lock:
            number[0] += 1
            return honest(query) if number[0] % 2 else away(query)

    first, second = bench.web(every_other), bench.web(honest)
    all_right(bench.sources(first, second, at_once=1).stamp_all(DIGESTS))
    assert (first.requests, second.requests) == (COUNT, COUNT // 2)  # never three failures in a row


def test_a_slow_one_leaves_the_others_their_share_of_the_time(bench: Bench) -> None:
    gate = threading.Event()

    def stuck(_query: bytes) -> Answer:
        gate.wait(60)
        return away(_query)

    first, second = bench.web(stuck), bench.web(pyhanko_tsa(bench.ca))
    sources = bench.sources(first, second, within_s=12, at_once=2, total_s=30, read_s=30, patience=1000)
    all_right(sources.stamp_all(DIGESTS[:6]), DIGESTS[:6])
    gate.set()
    assert bench.count("first", Code.TSA_SLOW) == 6
    assert first.requests == 2  # the others were not begun: the first's share of the time was up


@pytest.mark.parametrize("code", [Code.TSA_WRONG_NONCE, Code.TSA_WRONG_IMPRINT, Code.TSA_SIGNATURE_INVALID, Code.TSA_UNTRUSTED])
def test_a_success_of_an_earlier_request_does_not_end_the_rest_of_a_liar(code: Code) -> None:
    rest = Rest(Skipping(), patience=3, rest_s=30, distrust_s=3600)
    rest.failed(code)
    rest.succeeded()
    rest.failed(Code.TSA_SLOW)
    assert rest.standing is Standing.RESTS
    assert str(code) in rest.why


def test_an_order_has_at_least_one_source_and_each_its_own_name(bench: Bench) -> None:
    web = bench.web(away)
    twins = [OutsideTsa(web.source(bench.ca, "twin"), bench.clock, bench.metrics) for _ in range(2)]
    for wrong in ([], twins):
        with pytest.raises(VermilionError) as refused:
            TimestampSources(wrong, within_s=1)
        assert refused.value.code is Code.CONFIGURATION_INVALID
    for twin in twins:
        twin.close()
