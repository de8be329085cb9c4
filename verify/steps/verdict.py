"""The verdict: the heaviest finding about our seals decides; signatures of others are reported and decide only when alone."""

from __future__ import annotations

from dataclasses import replace

from verify.codes import FindingCode, Weight, heaviest
from verify.opinion import Reading
from verify.report import Answer, AuthorisedState, Change, Finding, Seal, SealKind, Verdict, finding


def decide(reading: Reading) -> tuple[Verdict, Reading]:
    """The verdict, and the reading with what it adds to the findings about the document."""
    reading = replace(reading, findings=(*reading.findings, *_without_a_seal(reading)))
    weight = heaviest([each.weight for each in counted(reading)])
    ours = [seal for seal in reading.seals if seal.kind is SealKind.SEAL]
    if weight is Weight.NOTE and not (ours and all(map(_is_proven, ours))):
        return Verdict.UNDETERMINED, replace(reading, findings=(*reading.findings, finding(FindingCode.INCOMPLETE)))
    return (Verdict.VALID if weight is Weight.NOTE else Verdict(weight)), reading


def _is_proven(seal: Seal) -> bool:
    """Every answer is there: "valid" needs proof of each, not merely the absence of findings."""
    return (
        seal.valid is Answer.YES
        and seal.sealed_at is not None
        and seal.changed.state in (Change.NONE, Change.PERMITTED)
        and seal.authorised.state in (AuthorisedState.AUTHORISED, AuthorisedState.NOT_ASKED)
    )


def counted(reading: Reading) -> list[Finding]:
    """The findings that count: about the document, and about seals of ours."""
    return [*reading.findings, *(each for seal in reading.seals if seal.kind is SealKind.SEAL for each in seal.findings)]


def _without_a_seal(reading: Reading) -> tuple[Finding, ...]:
    """One finding when there are signatures, but no seal of ours."""
    kinds = {seal.kind for seal in reading.seals}
    if not kinds or SealKind.SEAL in kinds:
        return ()
    return (finding(FindingCode.FOREIGN_SEAL if SealKind.FOREIGN in kinds else FindingCode.NO_SEAL),)
