"""What sealing would say of a document for its own sake: the same preparation, in a sandbox, thrown away. Nothing is written or counted.

Several small documents share a child, as far as the lean writer understands them; each of the others, and every document of a child that
did not come to its end, gets a child of its own, as in sealing.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sealcore.errors import Code, Kind, VermilionError
from sealcore.platform.sandbox import PARTS_LIMIT, ForkServer
from signer.pdf.plan import Plan, Prepared
from signer.pdf.readback.objects import require_accounted
from signer.pipeline.sandbox import limits, plan_of, request_parts

PARTS_EACH: Final = 3
MOST_TOGETHER: Final = PARTS_LIMIT // PARTS_EACH
_PATIENT: Final = 10  # nice: sealing goes first


@dataclass(frozen=True)
class Question:
    """A document, and the plan that it would be sealed by."""

    document: bytes
    plan: Plan


@dataclass(frozen=True)
class Judgement:
    """``refusal`` is what sealing would raise; without one the document would be sealed, with these warnings."""

    warnings: tuple[str, ...] = ()
    refusal: VermilionError | None = None


class Examining:
    """Asks the sandbox. Thread-safe; it starts with the first question."""

    def __init__(self) -> None:
        self._server = ForkServer("signer.pipeline.dry_run:work", preload=["signer.pdf.full.prepare"], limits=limits())

    def close(self) -> None:
        """Ends the sandbox."""
        self._server.close()

    def together(self, questions: Sequence[Question]) -> list[Judgement | None]:
        """One judgement a question, of which there are at most ``MOST_TOGETHER``; None for those to be asked alone.

        Raises what is no document's fault, as ``alone`` does.
        """
        if len(questions) == 1:
            return [None]
        try:
            told = self._ask(questions)
        except VermilionError as fault:
            if fault.kind is not Kind.DOCUMENT:
                raise
            return [None] * len(questions)
        return [_judgement(one) if one is not None else None for one in told]

    def alone(self, question: Question) -> Judgement:
        """The judgement on a document that has a child of its own."""
        try:
            (told,) = self._ask([question])
        except VermilionError as fault:
            if fault.kind is not Kind.DOCUMENT:
                raise
            return Judgement(refusal=fault)
        return _judgement(told or {})

    def _ask(self, questions: Sequence[Question]) -> list[dict[str, Any] | None]:
        """A hostile document may have written the answer: what is none counts as damaged."""
        parts = [part for one in questions for part in request_parts(one.document, one.plan, "sha256")]
        try:
            (answer,) = self._server.call(*parts)
            told = json.loads(answer)
        except ValueError:
            told = None
        if not isinstance(told, list) or len(told) != len(questions) or not all(one is None or isinstance(one, dict) for one in told):
            raise VermilionError(Code.DOCUMENT_DAMAGED, "the document cannot be read")
        return told


def _judgement(told: dict[str, Any]) -> Judgement:
    if "code" not in told:
        warnings = told.get("warnings")
        return Judgement(tuple(str(each)[:300] for each in warnings[:32]) if isinstance(warnings, list) else ())
    code = Code(told["code"]) if told["code"] in Code.__members__ else Code.DOCUMENT_DAMAGED
    return Judgement(refusal=VermilionError(code, str(told.get("reason"))[:1000], rule=str(told.get("rule") or "")[:300] or None))


def work(parts: list[bytes]) -> Sequence[bytes]:
    """Runs in the child: three parts a document in, one answer for all out; None for a document that needs a child of its own."""
    os.nice(_PATIENT)
    alone = len(parts) == PARTS_EACH
    triples = zip(parts[::PARTS_EACH], parts[1::PARTS_EACH], parts[2::PARTS_EACH], strict=True)
    return [
        json.dumps([_examined(document, plan_of(json.loads(head), pictures), alone=alone) for head, document, pictures in triples]).encode()
    ]


def _examined(document: bytes, plan: Plan, *, alone: bool) -> dict[str, Any] | None:
    from signer.pdf.full.prepare import prepare  # noqa: PLC0415  (only the zygote loads pyHanko and PDFium, never the signer itself)

    try:
        prepared = _lean(document, plan)
        if prepared is None and not alone:
            return None
        prepared = prepared or prepare(document, plan)
        require_accounted(document, prepared.suffix, plan, prepared.field_name)
    except VermilionError as refusal:
        return {"code": str(refusal.code), "reason": refusal.reason, "rule": refusal.rule}
    return {"warnings": prepared.warnings}


def _lean(document: bytes, plan: Plan) -> Prepared | None:
    from signer.pdf.lean.prepare import prepare_lean  # noqa: PLC0415  (the child alone)

    try:
        return prepare_lean(document, plan, hashlib.sha256(document))
    except VermilionError:
        raise
    except Exception:  # noqa: BLE001  (what the lean writer trips over, pyHanko may judge, as in sealing)
        return None
