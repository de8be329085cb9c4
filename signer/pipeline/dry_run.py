"""Whether a document could be sealed: it is prepared in a sandbox as for sealing, and the update thrown away. Nothing is written or counted.

Small documents share a child as long as the lean writer understands them. Every other document gets a child of its own, as in sealing,
and so does every document of a child that did not finish.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from sealcore.errors import VermilionError
from sealcore.hashes import hash_state
from sealcore.platform.sandbox import PARTS_LIMIT, PRELOAD, TELLABLE, ForkServer, Job, damaged, refusal, understood
from sealcore.text import shown
from signer.pdf.plan import Plan, Prepared
from signer.pdf.readback.accounted import account_for
from signer.pdf.readback.quick_account import KnownLooks
from signer.pipeline.sandbox import LIMITS, plan_of, request_parts

PARTS_EACH: Final = 3
MOST_TOGETHER: Final = PARTS_LIMIT // PARTS_EACH
ANSWER_BYTES: Final = 4 * 1024 * 1024
JOB: Final = Job(
    "signer.pipeline.dry_run:work",
    (*PRELOAD, "signer.pdf.prepare", "signer.pdf.lean"),
    replace(LIMITS, nice=10, answer_bytes=ANSWER_BYTES),
)
"""Sealing goes first."""


@dataclass(frozen=True)
class Candidate:
    """A document, and the plan that it would be sealed by."""

    document: bytes
    plan: Plan


@dataclass(frozen=True)
class Judgement:
    """``refusal`` is what sealing would raise; without one the document would be sealed, with these warnings."""

    warnings: tuple[str, ...] = ()
    refusal: VermilionError | None = None


class DryRun:
    """Prepares candidates in a sandbox, which starts with the first of them. Thread-safe."""

    def __init__(self, service: Path | None = None) -> None:
        self._server = ForkServer(JOB, service=service)

    def check(self) -> None:
        """SERVICE_UNAVAILABLE while documents cannot be read."""
        self._server.check()

    def close(self) -> None:
        """Ends the sandbox."""
        self._server.close()

    def together(self, candidates: Sequence[Candidate]) -> list[Judgement | None]:
        """A judgement for each of at most ``MOST_TOGETHER`` candidates, in one child; None for those that need a child of their own.

        A failure that is no document's fault is raised, here and by ``alone``.
        """
        if len(candidates) == 1:
            return [None]
        try:
            entries = self._prepare(candidates)
        except VermilionError as fault:
            if fault.code not in TELLABLE:
                raise
            # Any of them may have ended the child. Each goes into a child of its own, so that only
            # the culprit pays.
            return [None] * len(candidates)
        return [_judgement(one) if one is not None else None for one in entries]

    def alone(self, candidate: Candidate) -> Judgement:
        """The judgement on one candidate, in a child of its own."""
        try:
            (entry,) = self._prepare([candidate])
        except VermilionError as fault:
            if fault.code not in TELLABLE:
                raise
            return Judgement(refusal=fault)
        return _judgement(entry or {})

    def _prepare(self, candidates: Sequence[Candidate]) -> list[dict[str, Any] | None]:
        """A hostile document may have written the answer: one that makes no sense counts as a damaged document."""
        parts = [part for one in candidates for part in request_parts(one.document, one.plan, "sha256")]
        answer = self._server.call(*parts)
        entries = understood(lambda: _entries(*answer))
        if len(entries) != len(candidates):
            raise damaged()
        return entries


def _entries(answer: bytes) -> list[dict[str, Any] | None]:
    entries = json.loads(answer)
    if not isinstance(entries, list) or not all(one is None or isinstance(one, dict) for one in entries):
        raise ValueError("no list of findings")
    return entries


def _judgement(entry: dict[str, Any]) -> Judgement:
    # The child may have been taken over by its document: lengths and numbers are cut here,
    # before a person or a log sees them.
    try:
        if "code" in entry:
            return Judgement(refusal=understood(lambda: refusal(entry)))
        warnings = entry.get("warnings")
        return Judgement(understood(lambda: tuple(shown(str(each)[:300]) for each in warnings[:32])) if isinstance(warnings, list) else ())
    except VermilionError as nonsense:
        return Judgement(refusal=nonsense)


def work(parts: list[bytes]) -> Sequence[bytes]:
    """Runs in the child: takes three parts a document, returns one answer for all; None for a document that needs a child of its own."""
    alone = len(parts) == PARTS_EACH
    triples = zip(parts[::PARTS_EACH], parts[1::PARTS_EACH], parts[2::PARTS_EACH], strict=True)
    return [
        json.dumps([_examined(document, plan_of(json.loads(head), pictures), alone=alone) for head, document, pictures in triples]).encode()
    ]


def _examined(document: bytes, plan: Plan, *, alone: bool) -> dict[str, Any] | None:
    from signer.pdf.prepare import prepare  # noqa: PLC0415  (only the zygote loads pyHanko and PDFium, never the signer itself)

    try:
        prepared = _lean(document, plan)
        if prepared is None and not alone:
            return None
        prepared = prepared or prepare(document, plan)
        account_for(document, hash_state("sha256", document), prepared, plan, KnownLooks())
    except VermilionError as refusal:
        return {"code": str(refusal.code), "reason": refusal.reason, "rule": refusal.rule}
    return {"warnings": prepared.warnings}


def _lean(document: bytes, plan: Plan) -> Prepared | None:
    from signer.pdf.lean import prepare_lean  # noqa: PLC0415  (the child alone)

    try:
        return prepare_lean(document, plan, hash_state("sha256", document))
    except VermilionError:
        raise
    except Exception:  # noqa: BLE001  (where the lean writer fails, pyHanko may succeed, as in sealing)
        return None
