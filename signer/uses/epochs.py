"""Epochs: counters that every stop raises. What was admitted under one epoch does not commit under another."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from sealcore.errors import Code, VermilionError
from signer.gate import Admission
from signer.register.model import EpochKind, Epochs
from signer.tables import AnyRow
from signer.uses.statements import EPOCHS, EPOCHS_HELD, EpochKey


def seen_epochs(admissions: Iterable[Admission]) -> Epochs:
    """The epochs that any of them depends on. Where two saw different values, a stop came between; each is judged by its own."""
    return {key: epoch for admission in admissions for key, epoch in admission.epochs.items()}


def present_epochs(connection: Connection, keys: Iterable[tuple[EpochKind, str]]) -> Epochs:
    """The epochs as they are, without a lock."""
    return _epochs_of(EPOCHS.read(connection, _keys(keys)))


def held_epochs(connection: Connection, keys: Iterable[tuple[EpochKind, str]]) -> Epochs:
    """The epochs as they are, locked until the transaction ends."""
    return _epochs_of(EPOCHS_HELD.read(connection, _keys(keys)))


def _keys(keys: Iterable[tuple[EpochKind, str]]) -> list[EpochKey]:
    return sorted(EpochKey(kind, subject) for kind, subject in keys)


def _epochs_of(rows: Iterable[AnyRow]) -> Epochs:
    return {(row.kind, row.subject): row.epoch for row in rows}


def stop_refusal(seen: Epochs, present: Epochs) -> VermilionError | None:
    """The refusal to give when a stop has come since the gate; None when none has."""
    kinds = {kind: subject for (kind, subject), epoch in seen.items() if present.get((kind, subject)) != epoch}
    if "seal" in kinds:
        return VermilionError(Code.SEAL_SUSPENDED, f"the seal {kinds['seal']} was stopped, or its rules were tightened, meanwhile")
    if "grant" in kinds:
        return VermilionError(Code.GRANT_WITHDRAWN, f"the grant {kinds['grant']} was withdrawn meanwhile")
    if "client" in kinds:
        return VermilionError(Code.PERMISSION_DENIED, f"{kinds['client']} was shut out meanwhile")
    if "issuer" in kinds:
        return VermilionError(
            Code.ISSUER_NOT_PINNED, "the token's issuer was removed from the register, or a restore was recorded, meanwhile"
        )
    if "template" in kinds:
        return VermilionError(Code.TEMPLATE_MISMATCH, "the grant's template was changed or removed from the register meanwhile")
    if "person" in kinds:
        return VermilionError(Code.APPROVER_UNKNOWN, f"the approver {kinds['person']} has left the register meanwhile")
    return None
