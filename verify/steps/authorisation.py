"""Whether the ledger holds an entry for a seal's signature value, under a cosigned checkpoint: then people approved it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from sealcore.errors import VermilionError
from sealcore.platform.ledger.reader import TrustedCheckpoint
from sealcore.protocol.ledger_entry import EntryKind
from verify.codes import FindingCode
from verify.facts import Fact, fact, plain
from verify.log_view import Absent, Found, LedgerView, is_doubt
from verify.opinion import Reading
from verify.report import Answer, Authorised, AuthorisedState, Checkpoint, Seal, SealKind, finding, written


def look_up_entries(reading: Reading, ledger: LedgerView | None) -> Reading:
    """For each sound seal of ours: its entry in the ledger."""
    return replace(reading, seals=tuple(_authorise(seal, ledger) if seal.kind is SealKind.SEAL else seal for seal in reading.seals))


def _authorise(seal: Seal, ledger: LedgerView | None) -> Seal:
    if seal.valid is Answer.NO:
        return seal  # there is nothing that could be authorised: it is not the seal that it claims to be
    if ledger is None:
        return _with(seal, Authorised(AuthorisedState.NOT_ASKED), FindingCode.LEDGER_NOT_ASKED)
    if seal.signature_hash is None:
        return replace(seal, authorised=Authorised(AuthorisedState.UNDETERMINED))  # there is nothing that could be asked for
    sealed_at = datetime.fromisoformat(seal.sealed_at) if seal.sealed_at else None
    try:
        found = ledger.look_up(bytes.fromhex(seal.signature_hash), sealed_at)
        # Asked only where the signature itself is not there: nearly every seal costs one look-up.
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
    # Only the entry of a sealed use says that people approved it.
    if entry.kind != EntryKind.SEAL:
        return _with(seal, refused, FindingCode.NOT_AUTHORISED, fact("entry_kind", kind=entry.kind))
    # An entry of another key, under which somebody has made a signature of the same value,
    # authorises nothing here.
    if entry.spki_sha256 is not None and entry.spki_sha256.hex() != seal.spki_sha256:
        return _with(seal, refused, FindingCode.LEDGER_MISMATCH)
    authorised = Authorised(AuthorisedState.AUTHORISED, found.index, found.form, checkpoint, tuple(map(plain, entry.warnings)))
    # The timestamp is an unsigned attribute: anybody can put a later one in its place. The seal
    # stays authorised, with a note.
    if entry.timestamp_hash is not None and (seal.timestamp is None or entry.timestamp_hash.hex() != seal.timestamp.token_hash):
        return _with(seal, authorised, FindingCode.TIMESTAMP_REPLACED)
    return replace(seal, authorised=authorised)


def _with(seal: Seal, authorised: Authorised, code: FindingCode, *facts: Fact) -> Seal:
    return replace(seal, authorised=authorised, findings=(*seal.findings, finding(code, *facts)))


def _checkpoint(trusted: TrustedCheckpoint) -> Checkpoint:
    at = trusted.cosigned_at_s
    checkpoint = trusted.checkpoint
    return Checkpoint(checkpoint.origin, checkpoint.size, checkpoint.root.hex(), written(datetime.fromtimestamp(at, UTC)) if at else None)
