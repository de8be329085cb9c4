"""Verification in eight numbered steps. Nothing here talks to the network but step 7, and that only to our own ledger.

 1. The document is readable: a PDF, whole, open to everyone.
 2. Its signatures are found; ours are those whose certificate our issuing CA signed.
 3. Integrity: the byte range leaves out the signature's hole and nothing else, the digest and the signature value hold.
 4. The timestamp over the signature is valid and by a unit under our root.
 5. The sealer's certificate leads to our root, was in force and not revoked, at the time of the timestamp.
 6. What was added after each seal is nothing, of a permitted kind, or forbidden.
 7. The ledger holds an entry for the signature value under a cosigned checkpoint: authorised. All entries were searched and
    it is not there: not authorised. Anything else: undetermined.
 8. The verdict: the heaviest finding about our seals decides; signatures of others are reported and decide only when alone.

Steps 1 to 6 read a stranger's bytes and run in a sandbox when the caller gives one (``verify.sandbox``); 7 and 8 see only their results.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

from sealcore.clock import Clock
from sealcore.errors import VermilionError
from sealcore.platform.log_reader import TrustedCheckpoint
from sealcore.protocol.ledger_entry import EntryKind
from verify import catalogue
from verify.codes import FindingCode, Weight, heaviest
from verify.examine import Reader, Reading, read
from verify.facts import Fact, fact, plain
from verify.ledger import Absent, Found, LedgerView, is_doubt
from verify.report import (
    Answer,
    Authorised,
    AuthorisedState,
    Change,
    Checkpoint,
    Finding,
    Report,
    Seal,
    SealKind,
    Verdict,
    finding,
    written,
)
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
    ledger    None leaves step 7 out, which the report says
    name      what to call the document in the report
    language  of the sentences: ``en`` or ``zh``
    reader    runs steps 1 to 6; in this process when none is given
    """
    now = clock.now()
    reading = (reader or read)(document, trust, now)
    reading = step_7_ledger(reading, ledger)
    verdict, reading = step_8_verdict(reading)
    return Report(
        verdict=verdict,
        sentence=catalogue.answer(verdict, reading.seals, _counted(reading), language),
        document=plain(name),
        sha256=hashlib.sha256(document).hexdigest(),
        size_bytes=len(document),
        verified_at=written(now.replace(microsecond=0)),
        seals=tuple(replace(seal, findings=catalogue.with_sentences(seal.findings, language, seal.kind)) for seal in reading.seals),
        findings=catalogue.with_sentences(reading.findings, language),
    )


def step_7_ledger(reading: Reading, ledger: LedgerView | None) -> Reading:
    """For each sound seal of ours: its entry in the ledger."""
    return replace(reading, seals=tuple(_authorise(seal, ledger) if seal.kind is SealKind.SEAL else seal for seal in reading.seals))


def _authorise(seal: Seal, ledger: LedgerView | None) -> Seal:
    if seal.valid is Answer.NO or seal.signature_hash is None:
        return seal  # there is nothing that could be authorised: it is not the seal that it claims to be
    if ledger is None:
        return _with(seal, Authorised(AuthorisedState.NOT_ASKED), FindingCode.LEDGER_NOT_ASKED)
    sealed_at = datetime.fromisoformat(seal.sealed_at) if seal.sealed_at else None
    try:
        found = ledger.look_up(bytes.fromhex(seal.signature_hash), sealed_at)
        twin = ledger.look_up(bytes.fromhex(seal.twin_hash), sealed_at) if isinstance(found, Absent) and seal.twin_hash else None
    except VermilionError as fault:
        code = FindingCode.LEDGER_UNTRUSTED if is_doubt(fault) else FindingCode.LEDGER_UNREACHABLE
        return _with(seal, Authorised(AuthorisedState.UNDETERMINED), code, fact("error_code", code=fault.code))
    if isinstance(twin, Found):  # authentic and counted; but these are not the bytes that were released
        seal = _judge_entry(seal, twin)
        return _with(seal, seal.authorised, FindingCode.SIGNATURE_RESPELLED)
    if isinstance(found, Absent):
        state = AuthorisedState.NOT_AUTHORISED if found.is_final else AuthorisedState.UNDETERMINED
        code = FindingCode.NOT_AUTHORISED if found.is_final else FindingCode.LEDGER_BEHIND
        return _with(seal, Authorised(state, checkpoint=_checkpoint(found.checkpoint)), code)
    return _judge_entry(seal, found)


def _judge_entry(seal: Seal, found: Found) -> Seal:
    entry, checkpoint = found.entry, _checkpoint(found.checkpoint)
    refused = Authorised(AuthorisedState.NOT_AUTHORISED, found.index, checkpoint=checkpoint)
    if entry.kind != EntryKind.SEAL:
        return _with(seal, refused, FindingCode.NOT_AUTHORISED, fact("entry_kind", kind=entry.kind))
    if entry.spki_sha256 is not None and entry.spki_sha256.hex() != seal.spki_sha256:
        return _with(seal, refused, FindingCode.LEDGER_MISMATCH)
    authorised = Authorised(AuthorisedState.AUTHORISED, found.index, found.form, checkpoint, tuple(map(plain, entry.warnings)))
    if entry.timestamp_hash is not None and (seal.timestamp is None or entry.timestamp_hash.hex() != seal.timestamp.token_hash):
        return _with(seal, authorised, FindingCode.TIMESTAMP_REPLACED)
    return replace(seal, authorised=authorised)


def _with(seal: Seal, authorised: Authorised, code: FindingCode, *facts: Fact) -> Seal:
    return replace(seal, authorised=authorised, findings=(*seal.findings, finding(code, *facts)))


def _checkpoint(trusted: TrustedCheckpoint) -> Checkpoint:
    at = trusted.cosigned_at_s
    checkpoint = trusted.checkpoint
    return Checkpoint(checkpoint.origin, checkpoint.size, checkpoint.root.hex(), written(datetime.fromtimestamp(at, UTC)) if at else None)


def step_8_verdict(reading: Reading) -> tuple[Verdict, Reading]:
    """The verdict, and the reading with what it adds to the findings about the document."""
    reading = replace(reading, findings=(*reading.findings, *_without_a_seal(reading)))
    weight = heaviest([each.weight for each in _counted(reading)])
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


def _counted(reading: Reading) -> list[Finding]:
    """The findings that count: about the document, and about seals of ours."""
    return [*reading.findings, *(each for seal in reading.seals if seal.kind is SealKind.SEAL for each in seal.findings)]


def _without_a_seal(reading: Reading) -> tuple[Finding, ...]:
    """One finding when there are signatures, but no seal of ours."""
    kinds = {seal.kind for seal in reading.seals}
    if not kinds or SealKind.SEAL in kinds:
        return ()
    return (finding(FindingCode.FOREIGN_SEAL if SealKind.FOREIGN in kinds else FindingCode.NO_SEAL),)
