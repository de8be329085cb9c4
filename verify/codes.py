"""What verification can find, each with a stable code, the row of the answer that it belongs to, and its weight for the verdict.

The plain sentences are in ``messages/``, English and Chinese under the same keys; ``sentence`` reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Weight(StrEnum):
    """What a finding does to the verdict; the heaviest one decides, in this order."""

    NOTE = "note"  # worth knowing, decides nothing
    UNDETERMINED = "undetermined"  # we cannot say "valid"
    UNREADABLE = "unreadable"  # there is nothing that could be judged
    INVALID = "invalid"  # this is not what was sealed, or not by whom it seems


class Row(StrEnum):
    """The question that a finding answers."""

    DOCUMENT = "document"
    VALID = "valid"
    CHANGED = "changed"
    AUTHORISED = "authorised"


class FindingCode(StrEnum):
    """Stable codes of findings."""

    # --- the document
    EMPTY = "EMPTY"
    NOT_A_PDF = "NOT_A_PDF"
    DAMAGED = "DAMAGED"
    ENCRYPTED = "ENCRYPTED"
    TOO_COMPLEX = "TOO_COMPLEX"
    NO_SEAL = "NO_SEAL"
    FOREIGN_SEAL = "FOREIGN_SEAL"
    SIGNATURE_UNREADABLE = "SIGNATURE_UNREADABLE"
    READ_LENIENTLY = "READ_LENIENTLY"
    INCOMPLETE = "INCOMPLETE"
    # --- valid: the seal itself
    NOT_INTACT = "NOT_INTACT"
    SIGNATURE_INVALID = "SIGNATURE_INVALID"
    BYTE_RANGE = "BYTE_RANGE"
    HIDDEN_DATA = "HIDDEN_DATA"
    CERTIFICATE_UNREADABLE = "CERTIFICATE_UNREADABLE"
    CERTIFICATE_UNTRUSTED = "CERTIFICATE_UNTRUSTED"
    CERTIFICATE_NOT_IN_FORCE = "CERTIFICATE_NOT_IN_FORCE"
    CERTIFICATE_PURPOSE = "CERTIFICATE_PURPOSE"
    CERTIFICATE_REVOKED = "CERTIFICATE_REVOKED"
    REVOKED_LATER = "REVOKED_LATER"
    REVOCATION_UNKNOWN = "REVOCATION_UNKNOWN"
    WEAK_ALGORITHM = "WEAK_ALGORITHM"
    NO_TIMESTAMP = "NO_TIMESTAMP"
    TIMESTAMP_INVALID = "TIMESTAMP_INVALID"
    TIMESTAMP_UNTRUSTED = "TIMESTAMP_UNTRUSTED"
    TIMESTAMP_EXPIRED = "TIMESTAMP_EXPIRED"
    # --- changed: after sealing
    SIGNED_LATER = "SIGNED_LATER"
    FORM_FILLED_LATER = "FORM_FILLED_LATER"
    VALUE_REPLACED_LATER = "VALUE_REPLACED_LATER"
    FILLING_UNPROVEN = "FILLING_UNPROVEN"
    TIMESTAMPED_LATER = "TIMESTAMPED_LATER"
    VALIDATION_DATA_LATER = "VALIDATION_DATA_LATER"
    INFORMATION_LATER = "INFORMATION_LATER"
    SIGNER_UNKNOWN_LATER = "SIGNER_UNKNOWN_LATER"
    COVERED_LATER = "COVERED_LATER"
    LOOKS_NOT_COMPARED = "LOOKS_NOT_COMPARED"
    LOOKS_CHANGED = "LOOKS_CHANGED"
    CHANGED_AFTER_SEALING = "CHANGED_AFTER_SEALING"
    CHANGES_UNKNOWN = "CHANGES_UNKNOWN"
    READERS_MAY_DIFFER = "READERS_MAY_DIFFER"
    # --- authorised: the ledger
    LEDGER_NOT_ASKED = "LEDGER_NOT_ASKED"
    LEDGER_UNREACHABLE = "LEDGER_UNREACHABLE"
    LEDGER_UNTRUSTED = "LEDGER_UNTRUSTED"
    LEDGER_BEHIND = "LEDGER_BEHIND"
    LEDGER_MISMATCH = "LEDGER_MISMATCH"
    NOT_AUTHORISED = "NOT_AUTHORISED"
    TIMESTAMP_REPLACED = "TIMESTAMP_REPLACED"
    SIGNATURE_RESPELLED = "SIGNATURE_RESPELLED"


@dataclass(frozen=True)
class CodeRow:
    """Row and weight of a code."""

    row: Row
    weight: Weight


def _rows(row: Row, **weights: Weight) -> dict[FindingCode, CodeRow]:
    return {FindingCode(name): CodeRow(row, weight) for name, weight in weights.items()}


_N, _U, _R, _I = Weight.NOTE, Weight.UNDETERMINED, Weight.UNREADABLE, Weight.INVALID

REGISTRY: dict[FindingCode, CodeRow] = {
    **_rows(
        Row.DOCUMENT,
        EMPTY=_R,
        NOT_A_PDF=_R,
        DAMAGED=_R,
        ENCRYPTED=_R,
        TOO_COMPLEX=_U,
        NO_SEAL=_U,
        FOREIGN_SEAL=_U,
        SIGNATURE_UNREADABLE=_U,
        READ_LENIENTLY=_N,
        INCOMPLETE=_U,
    ),
    **_rows(
        Row.VALID,
        NOT_INTACT=_I,
        SIGNATURE_INVALID=_I,
        BYTE_RANGE=_I,
        HIDDEN_DATA=_I,
        CERTIFICATE_UNREADABLE=_U,
        CERTIFICATE_UNTRUSTED=_I,
        CERTIFICATE_NOT_IN_FORCE=_I,
        CERTIFICATE_PURPOSE=_I,
        CERTIFICATE_REVOKED=_I,
        REVOKED_LATER=_N,
        REVOCATION_UNKNOWN=_U,
        WEAK_ALGORITHM=_I,
        NO_TIMESTAMP=_U,
        TIMESTAMP_INVALID=_I,
        TIMESTAMP_UNTRUSTED=_U,
        TIMESTAMP_EXPIRED=_U,
    ),
    **_rows(
        Row.CHANGED,
        SIGNED_LATER=_N,
        FORM_FILLED_LATER=_N,
        VALUE_REPLACED_LATER=_N,
        FILLING_UNPROVEN=_U,
        TIMESTAMPED_LATER=_N,
        VALIDATION_DATA_LATER=_N,
        INFORMATION_LATER=_N,
        SIGNER_UNKNOWN_LATER=_U,
        COVERED_LATER=_U,
        LOOKS_NOT_COMPARED=_U,
        LOOKS_CHANGED=_I,
        CHANGED_AFTER_SEALING=_I,
        CHANGES_UNKNOWN=_U,
        READERS_MAY_DIFFER=_U,
    ),
    **_rows(
        Row.AUTHORISED,
        LEDGER_NOT_ASKED=_N,
        LEDGER_UNREACHABLE=_U,
        LEDGER_UNTRUSTED=_U,
        LEDGER_BEHIND=_U,
        LEDGER_MISMATCH=_I,
        NOT_AUTHORISED=_I,
        TIMESTAMP_REPLACED=_N,
        SIGNATURE_RESPELLED=_U,
    ),
}

_ORDER = list(Weight)


def heaviest(weights: list[Weight]) -> Weight:
    """The heaviest of ``weights``; of none, a note."""
    return max(weights, key=_ORDER.index, default=Weight.NOTE)


assert set(REGISTRY) == set(FindingCode), "a code without its row"
