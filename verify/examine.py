"""Steps 1 to 6 in their order: everything that reads a stranger's bytes. Needs neither network nor ledger, so a sandbox can run it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from pyhanko.pdf_utils.misc import PdfDecodeLimitError, PdfError

from verify.case import Case, plain
from verify.chain import step_5_chain
from verify.changes import step_6_changes
from verify.codes import FindingCode
from verify.integrity import step_3_integrity
from verify.levels import note_levels
from verify.reading import UnreadableError, step_1_readable, step_2_signatures
from verify.report import Finding, Seal, finding
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
    """The outcome of steps 1 to 6."""

    seals: tuple[Seal, ...] = ()
    findings: tuple[Finding, ...] = ()


Reader = Callable[[bytes, TrustMaterial, datetime], Reading]
"""Runs steps 1 to 6 over (document, trust, now), here or in a sandbox."""


def read(document: bytes, trust: TrustMaterial, now: datetime) -> Reading:
    """Steps 1 to 6, to the letter of the standard first, then leniently with a note."""
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
        return Reading(findings=(finding(FindingCode.DAMAGED, plain(fault.msg)),))
    except Exception as fault:  # noqa: BLE001  (as above: whatever it is, the file cannot be read)
        return Reading(findings=(finding(FindingCode.DAMAGED, type(fault).__name__),))


def _run(case: Case) -> Reading:
    for step in READING:
        step(case)
    return Reading(tuple(signature.freeze() for signature in case.signatures), tuple(case.findings))
