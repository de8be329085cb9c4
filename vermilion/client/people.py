"""People's side: signing decisions and stops with the key in a person's token."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from sealcore.protocol import decision as decisions
from sealcore.protocol import stop as stops
from sealcore.protocol.decision import Decision, DecisionContext, Verdict
from sealcore.protocol.stop import StopStatement


class SigningKey(Protocol):
    """A P-256 key that signs: ``sealcore.hsm``'s TokenKey is one. The answer is DER ECDSA-Sig-Value."""

    def sign(self, data: bytes) -> bytes: ...


def decide(context: DecisionContext, person: str, verdict: Verdict, key: SigningKey, *, now: datetime) -> Decision:
    """What a person says about exactly this request, signed. Hand it in with ``Office.decide``."""
    return decisions.sign(context, person, verdict, int(now.timestamp()), key.sign)


def stop(subject_kind: str, subject: str, officer: str, reason: str, *, key: SigningKey, now: datetime) -> tuple[StopStatement, bytes]:
    """An officer's order to stop a seal or a grant (by its jti), and its signature. It goes to the signer or through the workflow."""
    statement = StopStatement(subject_kind, subject, officer, reason, now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    return statement, stops.sign(statement, key.sign)
