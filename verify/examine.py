"""Steps 1 to 6 in their order: everything that reads a stranger's bytes. Needs neither network nor ledger, so a sandbox can run it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from pyhanko.pdf_utils.misc import PdfDecodeLimitError, PdfError

from verify.case import Case
from verify.chain import step_5_chain
from verify.changes import step_6_changes
from verify.changes.signing import end_of
from verify.codes import FindingCode
from verify.facts import fact
from verify.integrity import step_3_integrity
from verify.levels import note_levels
from verify.looks import Compare, Comparison, compare
from verify.reading import UnreadableError, step_1_readable, step_2_signatures
from verify.report import Change, Finding, Seal, finding
from verify.timestamps import step_4_timestamp
from verify.trust import TrustMaterial

READING: tuple[Callable[[Case], None], ...] = (
    step_1_readable,
    step_2_signatures,
    step_3_integrity,
    note_levels,  # of what is whole; decides nothing
    step_4_timestamp,
    step_5_chain,
    step_6_changes,
)


@dataclass(frozen=True)
class Reading:
    """The outcome of steps 1 to 6. ``comparisons`` are still to be drawn, by ``second_opinion``."""

    seals: tuple[Seal, ...] = ()
    findings: tuple[Finding, ...] = ()
    comparisons: tuple[Comparison, ...] = ()


Reader = Callable[[bytes, TrustMaterial, datetime], Reading]
"""Runs steps 1 to 6 over (document, trust, now), here or in a sandbox."""


def read(document: bytes, trust: TrustMaterial, now: datetime) -> Reading:
    """Steps 1 to 6 in this process."""
    return second_opinion(document, first_opinion(document, trust, now), compare)


def second_opinion(document: bytes, reading: Reading, compare: Compare) -> Reading:
    """The reading with what the drawn pages say of what was added after our seals; it can only become worse."""
    if not reading.comparisons:
        return reading
    seals = list(reading.seals)
    for each, doubt in zip(reading.comparisons, compare(document, reading.comparisons), strict=True):
        if doubt is not None:
            seal, code = seals[each.seal], doubt[0]
            state = Change.FORBIDDEN if code is FindingCode.LOOKS_CHANGED else Change.UNKNOWN
            changed = replace(seal.changed, state=state)
            seals[each.seal] = replace(seal, changed=changed, findings=(*seal.findings, finding(code, doubt[1])))
    return replace(reading, seals=tuple(seals), comparisons=())


def first_opinion(document: bytes, trust: TrustMaterial, now: datetime) -> Reading:
    """Steps 1 to 6 but for drawing, to the letter of the standard first, then leniently with a note."""
    try:
        return _run(Case(document, trust, now))
    except UnreadableError as end:
        return Reading(findings=(end.finding,))
    except (MemoryError, RecursionError, PdfDecodeLimitError):
        return Reading(findings=(finding(FindingCode.TOO_COMPLEX),))
    except Exception:  # noqa: BLE001  (a hostile file may raise anything; the lenient reading below decides)
        return _read_leniently(document, trust, now)


def _read_leniently(document: bytes, trust: TrustMaterial, now: datetime) -> Reading:
    try:
        return _run(Case(document, trust, now, strict=False, findings=[finding(FindingCode.READ_LENIENTLY)]))
    except UnreadableError as end:
        return Reading(findings=(end.finding,))
    except (MemoryError, RecursionError, PdfDecodeLimitError):
        return Reading(findings=(finding(FindingCode.TOO_COMPLEX),))
    except PdfError as fault:
        return Reading(findings=(finding(FindingCode.DAMAGED, fact("technical", name=type(fault).__name__)),))
    except Exception as fault:  # noqa: BLE001  (as above: whatever it is, the file cannot be read)
        return Reading(findings=(finding(FindingCode.DAMAGED, fact("technical", name=type(fault).__name__)),))


def _run(case: Case) -> Reading:
    for step in READING:
        step(case)
    comparisons = tuple(
        Comparison(number, end_of(signature), signature.spots)
        for number, signature in enumerate(case.signatures)
        if signature.is_ours and signature.spots is not None
    )
    return Reading(tuple(signature.freeze() for signature in case.signatures), tuple(case.findings), comparisons)
