"""The steps of reading in processes of their own for each document, so that a hostile file costs bounded processes and no more.

One process reads. Where something was added after a seal of ours, another one draws: what takes over a library that draws pages learns
and changes nothing of what was read.
"""

from __future__ import annotations

import json
import math
import resource
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import TypeAdapter

from sealcore.errors import Code, VermilionError
from sealcore.platform.sandbox import PRELOAD, TELLABLE, ForkServer, Job, Limits, understood
from verify.catalogue import known_facts
from verify.codes import FindingCode
from verify.facts import fact, plain
from verify.opinion import DOUBTS, MOST_SECONDS, Comparison, Doubt, Reading, second_opinion
from verify.report import Authorised, Finding, Seal, finding
from verify.trust import TrustMaterial

LIMITS: Final = Limits(cpu_s=20, wall_s=40.0, memory_bytes=768 * 1024 * 1024, answer_bytes=4 * 1024 * 1024)
JOB: Final = Job("verify.sandbox:work", (*PRELOAD, "verify.examine"), LIMITS)
DRAWING_S = int(MOST_SECONDS) + 1
"""Seconds of processor time after which the process that draws is ended."""
_UNTOLD = fact("drawing_failed")
_READING = TypeAdapter(Reading)
_COMPARISONS = TypeAdapter(tuple[Comparison, ...])
_DOUBTS = TypeAdapter(list[Doubt | None])
_FINDINGS = {Code.DOCUMENT_TOO_COMPLEX: FindingCode.TOO_COMPLEX}
_CERTIFICATES = (  # of the trust, in the order in which they are sent
    *("roots", "issuers", "timestamp_anchors", "timestamp_issuers"),
    *("signer_anchors", "signer_issuers"),
)


class Sandbox:
    """A ``Reader`` (verify.opinion) that has a bounded child forked for each document. Thread-safe.

    service  socket of the service that reads documents; None forks them from a process of one's own
    """

    def __init__(self, limits: Limits = LIMITS, service: Path | None = None) -> None:
        self._server = ForkServer(replace(JOB, limits=limits), service=service)

    def start(self) -> None:
        """Makes the first document as quick as the others."""
        self._server.start()

    def close(self) -> None:
        """Ends the sandbox."""
        self._server.close()

    def check(self) -> None:
        """SERVICE_UNAVAILABLE while documents cannot be read."""
        self._server.check()

    def read(self, document: bytes, trust: TrustMaterial, now: datetime) -> Reading:
        """The outcome of the reading; raises SERVICE_UNAVAILABLE when the sandbox itself cannot run."""
        try:
            answer = self._server.call(*_pack(document, trust, now))
            reading, seals = understood(lambda: _read(*answer))
        except VermilionError as fault:
            if fault.code not in TELLABLE:
                raise
            return Reading(findings=(finding(_FINDINGS.get(fault.code, FindingCode.DAMAGED)),))
        comparisons = tuple(each for each in reading.comparisons if 0 <= each.seal < len(seals))
        return second_opinion(document, Reading(seals, _known(reading.findings), comparisons), self._compare)

    def _compare(self, document: bytes, comparisons: Sequence[Comparison]) -> list[Doubt | None]:
        """``verify.steps.drawing.compare`` in a process of its own."""
        try:
            answer = self._server.call(b"", document, _COMPARISONS.dump_json(tuple(comparisons)))
            doubts = understood(lambda: _doubts(*answer))
        except VermilionError as fault:
            if fault.code not in TELLABLE:
                raise
            doubts = []
        if len(doubts) != len(comparisons) or any(each is not None and each[0] not in DOUBTS for each in doubts):
            return [(FindingCode.LOOKS_NOT_COMPARED, _UNTOLD)] * len(comparisons)
        return [None if each is None else (each[0], next(iter(known_facts([each[1]])), _UNTOLD)) for each in doubts]


def work(parts: list[bytes]) -> Sequence[bytes]:
    """What the child runs; the inverse of ``_pack``, then the first opinion; or, where there is no header, the second."""
    from verify.examine import first_opinion  # noqa: PLC0415  (pyHanko and PDFium are for the sandbox alone)
    from verify.steps.drawing import compare  # noqa: PLC0415

    header, document, *rest = parts
    if not header:
        _, most = resource.getrlimit(resource.RLIMIT_CPU)
        soon = DRAWING_S if most == resource.RLIM_INFINITY else min(DRAWING_S, most)
        resource.setrlimit(resource.RLIMIT_CPU, (soon, most))  # one drawing may take longer than it looks at the clock
        return [_DOUBTS.dump_json(compare(document, _COMPARISONS.validate_json(rest[0])))]
    facts = json.loads(header)
    certificates = {}
    for name in _CERTIFICATES:
        taken, rest = rest[: facts[name]], rest[facts[name] :]
        certificates[name] = tuple(x509.load_der_x509_certificate(each) for each in taken)
    trust = TrustMaterial(**certificates, crls=tuple(x509.load_der_x509_crl(each) for each in rest))
    return [_READING.dump_json(first_opinion(document, trust, datetime.fromisoformat(facts["now"])))]


def _pack(document: bytes, trust: TrustMaterial, now: datetime) -> list[bytes]:
    header = {"now": now.isoformat()} | {name: len(getattr(trust, name)) for name in _CERTIFICATES}
    authorities = [each.public_bytes(Encoding.DER) for name in _CERTIFICATES for each in getattr(trust, name)]
    return [json.dumps(header).encode(), document, *authorities, *(crl.public_bytes(Encoding.DER) for crl in trust.crls)]


def _read(answer: bytes) -> tuple[Reading, tuple[Seal, ...]]:
    reading = _READING.validate_json(answer)
    return reading, tuple(map(_fit_seal, reading.seals))


def _doubts(answer: bytes) -> list[Doubt | None]:
    return _DOUBTS.validate_json(answer)


def _fit_seal(seal: Seal) -> Seal:
    """What the child says of a seal, fit to be shown and looked up; what the ledger says is not for the child to tell.

    Raises ValueError where a time, a hash or a number is none, OverflowError for a time that is outside of the calendar in UTC.
    """
    times = [seal.sealed_at, seal.timestamp.time if seal.timestamp else None]
    moments = [datetime.fromisoformat(each) for each in times if each]
    if any(each.tzinfo is None for each in moments):
        raise ValueError("a time without its zone")
    for moment in moments:
        moment.astimezone(UTC)
    for each in (seal.signature_hash, seal.twin_hash, seal.spki_sha256):
        bytes.fromhex(each or "")
    if not all(map(math.isfinite, (each for addition in seal.changed.additions for each in addition.rectangle or ()))):
        raise ValueError("a place that is none")
    fit: Seal = _fit(replace(seal, authorised=Authorised(), findings=()))
    return replace(fit, findings=_known(seal.findings))


def _fit(value: Any) -> Any:
    """All texts in it made fit to be shown."""
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{each.name: _fit(getattr(value, each.name)) for each in fields(value)})
    if isinstance(value, tuple):
        return tuple(map(_fit, value))
    return plain(value) if isinstance(value, str) and not isinstance(value, Enum) else value


def _known(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The child's findings with the weights that we give, whatever it said."""
    return tuple(finding(each.code, *known_facts(each.facts)) for each in findings)
