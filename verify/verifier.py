"""Verification: the steps of reading (``verify.examine``), then the ledger, then the verdict.

1. The document is readable: a PDF, whole, open to everyone (``steps.reading``).
2. Its signatures are found; ours are those whose certificate our issuing CA signed (``steps.reading``).
3. The byte range leaves out the signature's hole and nothing else, the digest and the signature value hold (``steps.integrity``).
4. The timestamp over the signature is valid and by a unit under our root (``steps.timestamps``).
5. The sealer's certificate leads to our root, was in force and not revoked, at the time of the timestamp (``steps.chain``).
6. What was added after each seal is nothing, of a permitted kind, or forbidden (``steps.changes``, ``steps.drawing``).
7. The ledger holds an entry for the signature value under a cosigned checkpoint: authorised. All entries were searched and it is not
   there: not authorised. Anything else: undetermined (``steps.authorisation``).
8. The verdict: the heaviest finding about our seals decides; signatures of others are reported and decide only when alone
   (``steps.verdict``).

Reading meets a stranger's bytes and runs in a sandbox when the caller gives one (``verify.sandbox``); what follows sees only its
results. Nothing talks to the network but the ledger's step, and that only to our own ledger.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime

from sealcore.clock import Clock
from verify import catalogue
from verify.facts import plain
from verify.log_view import LedgerView
from verify.opinion import Reader, Reading
from verify.report import (
    Report,
    written,
)
from verify.steps.authorisation import look_up_entries
from verify.steps.verdict import counted, decide
from verify.trust import TrustMaterial


def verify(
    document: bytes,
    trust: TrustMaterial,
    ledger: LedgerView | None,
    *,
    clock: Clock,
    name: str = "",
    language: str = catalogue.DEFAULT_LANGUAGE,
    reader: Reader | None = None,
) -> Report:
    """The report on ``document``; never raises for anything that a document contains.

    trust     our roots, issuing CAs and current CRLs
    ledger    None leaves the ledger out, which the report says
    name      what to call the document in the report
    language  of the sentences: ``en`` or ``zh``
    reader    runs the steps of reading; in this process when none is given
    """
    now = clock.now()
    reading = (reader or _here)(document, trust, now)
    reading = look_up_entries(reading, ledger)
    # Last: only what all steps have found decides.
    verdict, reading = decide(reading)
    return Report(
        verdict=verdict,
        sentence=catalogue.answer(verdict, reading.seals, counted(reading), language),
        document=plain(name),
        sha256=hashlib.sha256(document).hexdigest(),
        size_bytes=len(document),
        verified_at=written(now.replace(microsecond=0)),
        seals=tuple(replace(seal, findings=catalogue.with_sentences(seal.findings, language, seal.kind)) for seal in reading.seals),
        findings=catalogue.with_sentences(reading.findings, language),
    )


def _here(document: bytes, trust: TrustMaterial, now: datetime) -> Reading:
    """In this process."""
    from verify.examine import read  # noqa: PLC0415  (a service reads in its sandbox, and needs none of the PDF libraries itself)

    return read(document, trust, now)
