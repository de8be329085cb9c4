"""The steps of reading in their order: everything that reads a stranger's bytes. Needs neither network nor ledger, so a sandbox can run it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from pyhanko.pdf_utils.misc import PdfDecodeLimitError, PdfError

from verify.codes import FindingCode
from verify.facts import fact
from verify.opinion import Comparison, Reading, second_opinion
from verify.report import finding
from verify.steps.case import Case
from verify.steps.chain import check_chain
from verify.steps.changes import check_changes
from verify.steps.changes.signing import end_of
from verify.steps.drawing import compare
from verify.steps.integrity import check_integrity
from verify.steps.levels import note_levels
from verify.steps.reading import UnreadableError, find_signatures, read_document
from verify.steps.timestamps import check_timestamp
from verify.trust import TrustMaterial

READING: tuple[Callable[[Case], None], ...] = (
    read_document,
    find_signatures,
    check_integrity,
    note_levels,  # of what is whole; decides nothing
    check_timestamp,
    check_chain,
    check_changes,
)


def read(document: bytes, trust: TrustMaterial, now: datetime) -> Reading:
    """The steps of reading in this process."""
    return second_opinion(document, first_opinion(document, trust, now), compare)


def first_opinion(document: bytes, trust: TrustMaterial, now: datetime) -> Reading:
    """The steps of reading but for drawing, to the letter of the standard first, then leniently with a note."""
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
    # Only for seals of ours, and only where the first opinion found something permitted:
    # drawing costs more than all other steps.
    comparisons = tuple(
        Comparison(number, end_of(signature), signature.spots)
        for number, signature in enumerate(case.signatures)
        if signature.is_ours and signature.spots is not None
    )
    return Reading(tuple(signature.freeze() for signature in case.signatures), tuple(case.findings), comparisons)
