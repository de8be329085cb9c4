"""The three rows of the answer (valid, changed, authorised), over all seals of ours in a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from verify.codes import Row
from verify.report import Answer, AuthorisedState, Change, Changed, Finding, Level, Report, Seal, SealKind

_VALID_ORDER = (Answer.NO, Answer.UNKNOWN, Answer.YES)
_LEVEL_ORDER: tuple[Level | None, ...] = (None, "B-B", "B-T", "B-LT", "B-LTA")
_AUTHORISED_ORDER = (AuthorisedState.NOT_AUTHORISED, AuthorisedState.UNDETERMINED, AuthorisedState.NOT_ASKED, AuthorisedState.AUTHORISED)


@dataclass(frozen=True)
class Summary:
    """The worst answer to each question, and what was found that explains it. ``level`` is the lowest; None where one has none."""

    valid: Answer
    changed: Changed
    authorised: AuthorisedState
    last: Seal
    findings: dict[Row, tuple[Finding, ...]]
    level: Level | None = None


def ours(seals: Sequence[Seal]) -> list[Seal]:
    """The seals of our office, oldest first."""
    return [seal for seal in seals if seal.kind is SealKind.SEAL]


def overall_change(seals: Sequence[Seal]) -> Changed:
    """What happened to the document since it was sealed; further seals of ours are counted among the seals, not among the changes."""
    own = ours(seals)
    for state in (Change.FORBIDDEN, Change.UNKNOWN):
        for seal in own:
            if seal.changed.state is state:
                return seal.changed
    permitted = [seal.changed for seal in own if seal.changed.state is Change.PERMITTED]
    # a further seal brings a new date and producer of the file with it
    quiet = {changed: {"seal", "document_information"} if "seal" in changed.kinds else {"seal"} for changed in permitted}
    kinds = {each: None for changed in permitted for each in changed.kinds if each not in quiet[changed]}
    if not kinds:
        return Changed(Change.NONE)
    additions = {each: None for changed in permitted for each in changed.additions if each.kind in kinds}
    names = {name: None for changed in permitted for name in changed.fields}
    return Changed(Change.PERMITTED, tuple(kinds), tuple(names), tuple(additions))


def summarise(report: Report) -> Summary | None:
    """The rows; None when the document carries no seal of ours."""
    own = ours(report.seals)
    if not own:
        return None
    findings: dict[Row, tuple[Finding, ...]] = {}
    for row in Row:
        findings[row] = tuple({each.code: each for seal in own for each in seal.findings if each.row is row}.values())
    changed = overall_change(own)
    if changed.state is Change.NONE:
        findings[Row.CHANGED] = ()  # that seals of ours followed each other stands with each of them
    return Summary(
        valid=min((seal.valid for seal in own), key=_VALID_ORDER.index),
        changed=changed,
        authorised=min((seal.authorised.state for seal in own), key=_AUTHORISED_ORDER.index),
        last=own[-1],
        findings=findings,
        level=min((seal.level for seal in own), key=_LEVEL_ORDER.index),
    )
