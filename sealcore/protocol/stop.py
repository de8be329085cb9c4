"""A stop: one registered officer's signature, given straight to the signer, that suspends a seal or withdraws a grant at once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sealcore.protocol.canonical import canonical_json, is_text, is_uuid7, require
from sealcore.protocol.decision import Sign, verify_p256
from sealcore.protocol.labels import STOP_V1
from sealcore.protocol.p256 import low_s

SUBJECT_KINDS = frozenset({"seal", "grant"})
_RFC3339_UTC = re.compile(r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9](\.[0-9]{1,6})?Z", re.ASCII)


@dataclass(frozen=True)
class StopStatement:
    """What the officer states: which seal (id) or grant (jti), why, and when (RFC 3339, UTC, ``Z``)."""

    subject_kind: str
    subject: str
    officer: str
    reason: str
    time: str

    def __post_init__(self) -> None:
        require(self.subject_kind in SUBJECT_KINDS, "a stop concerns a seal or a grant")
        require(is_uuid7(self.subject), "the stopped seal or grant is named by its UUIDv7")
        require(is_uuid7(self.officer), "the officer is named by a UUIDv7")
        require(is_text(self.reason), "a stop has a reason")
        require(isinstance(self.time, str) and _is_time(self.time), "a stop has an RFC 3339 time in UTC")


def _is_time(text: str) -> bool:
    """Whether it is written as one, and the calendar has it."""
    if _RFC3339_UTC.fullmatch(text) is None:
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def statement(stop: StopStatement) -> bytes:
    """``vermilion-stop-v1`` ‖ RFC 8785 JSON of the five fields; its SHA-256 is what is signed."""
    return STOP_V1 + canonical_json(
        {
            "subject_kind": stop.subject_kind,
            "subject": stop.subject,
            "officer": stop.officer,
            "reason": stop.reason,
            "time": stop.time,
        }
    )


def sign(stop: StopStatement, sign: Sign) -> bytes:
    """The officer's signature (DER ECDSA-Sig-Value, low s)."""
    return low_s(sign(statement(stop)))


def verify(stop: StopStatement, signature: bytes, public_key: Any) -> None:
    """Raises DECISION_INVALID unless the officer's P-256 key signed exactly this stop."""
    verify_p256(signature, statement(stop), public_key)
