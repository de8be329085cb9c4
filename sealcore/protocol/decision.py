"""A decision: one person's signature over exactly this request (docs/protocol.md, "Decision").

The statement binds 13 fields; a decision moved to any other value of any of them does not verify.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from sealcore.errors import Code, VermilionError
from sealcore.protocol.actions import KINDS, Names
from sealcore.protocol.canonical import canonical_json, is_integer, is_text, is_urn, is_uuid7, require
from sealcore.protocol.covers import Covers, to_json
from sealcore.protocol.labels import DECISION_V1
from sealcore.protocol.p256 import low_s

MOST_PERSONS = 64  # of one quorum; bounds the work of one token

Verdict = Literal["apply", "approve", "reject"]
"""``apply`` is the applicant's own signature: by it the signer knows whom to refuse as approver."""

VERDICTS: frozenset[str] = frozenset(get_args(Verdict))
_FORM = re.compile(r"\w[\w-]{0,39}-[0-9]{4}-[0-9]{6,9}")
_SIGNATURE_BYTES = range(8, 73)  # an ECDSA-Sig-Value on P-256 in DER

Sign = Callable[[bytes], bytes]
"""Signs data with a P-256 key: ECDSA over its SHA-256, as DER ECDSA-Sig-Value (RFC 3279 §2.2.3)."""


@dataclass(frozen=True)
class Policy:
    """The approval policy that was applied. ``quorum`` may raise the register's least number of persons, never lower it."""

    id: str
    version: int
    quorum: int

    def __post_init__(self) -> None:
        require(is_text(self.id, 64), "a policy has an id of at most 64 characters")
        require(is_integer(self.version), "a policy has a version")
        require(is_integer(self.quorum, 0, MOST_PERSONS), f"a quorum is 0 to {MOST_PERSONS} persons")

    def as_json(self) -> dict[str, str | int]:
        """The JSON form that tokens and decisions carry."""
        return {"id": self.id, "version": self.version, "quorum": self.quorum}


@dataclass(frozen=True)
class DecisionContext:
    """The ten fields that all decisions on one request share. ``signed_as`` is the label of their version."""

    signed_as: ClassVar[bytes] = DECISION_V1

    jti: str
    form: str
    aud: str
    sub: str
    seal: str
    action: str
    covers: Covers
    policy: Policy
    nbf: int
    exp: int

    def __post_init__(self) -> None:
        require(is_uuid7(self.jti), "jti is a UUIDv7")
        require(isinstance(self.form, str) and _FORM.fullmatch(self.form) is not None, "form is a number UNIT-YEAR-000001")
        require(is_urn(self.aud), "aud is one URI")
        require(is_urn(self.sub), "sub is a SAN URI")
        require(isinstance(self.action, str) and self.action in KINDS, "action is not one of the protocol's")
        without_seal = KINDS[self.action].names is not Names.SEAL and self.seal == ""
        require(is_uuid7(self.seal) or without_seal, "seal is a UUIDv7; only an act that concerns no seal leaves it empty")
        require(is_integer(self.nbf) and is_integer(self.exp) and self.nbf < self.exp, "nbf and exp are NumericDates in order")

    def as_json(self) -> dict[str, Any]:
        """The fields as decisions sign them, and as they are stored and sent; ``json_objects.context_from_json`` is the inverse."""
        return {
            "jti": self.jti,
            "form": self.form,
            "aud": self.aud,
            "sub": self.sub,
            "seal": self.seal,
            "action": self.action,
            "covers": to_json(self.covers),
            "policy": self.policy.as_json(),
            "nbf": self.nbf,
            "exp": self.exp,
        }


@dataclass(frozen=True)
class Decision:
    """Who decided what when (NumericDate), and the signature: DER ECDSA-Sig-Value over SHA-256 of the statement."""

    person: str
    verdict: str
    time: int
    signature: bytes

    def __post_init__(self) -> None:
        _check(self.person, self.verdict, self.time)
        require(isinstance(self.signature, bytes) and len(self.signature) in _SIGNATURE_BYTES, "a decision is signed")


def _check(person: Any, verdict: Any, time: Any) -> None:
    require(is_uuid7(person), "a person's id is a UUIDv7")
    require(isinstance(verdict, str) and verdict in VERDICTS, "a verdict is apply, approve or reject")
    require(is_integer(time), "a decision has a time")


def statement(context: DecisionContext, person: str, verdict: str, time: int) -> bytes:
    """The label of the context's version ‖ RFC 8785 JSON of its fields with these three; its SHA-256 is what is signed.

    Version 1 binds 13 fields. A later version is a context of another type, with a label and fields of its own.
    """
    _check(person, verdict, time)
    # The label comes first: a signature for any other purpose begins with other bytes and can
    # never pass for a decision.
    return context.signed_as + canonical_json({**context.as_json(), "person": person, "verdict": verdict, "time": time})


def sign(context: DecisionContext, person: str, verdict: str, time: int, sign: Sign) -> Decision:
    """The decision of ``person``, signed with their key; with low s, whichever a token happens to make."""
    return Decision(person, verdict, time, low_s(sign(statement(context, person, verdict, time))))


def verify(decision: Decision, context: DecisionContext, public_key: Any) -> None:
    """Raises DECISION_INVALID unless the person's P-256 key signed exactly this decision on exactly this request."""
    verify_p256(decision.signature, statement(context, decision.person, decision.verdict, decision.time), public_key)


def verify_p256(signature: bytes, signed: bytes, public_key: Any) -> None:
    """Raises DECISION_INVALID unless ``signature`` (DER) over ``signed`` is by this P-256 key."""
    # Judged by the key that verifies, whatever the caller believes: on another curve the
    # signature would have another strength.
    if not isinstance(public_key, ec.EllipticCurvePublicKey) or not isinstance(public_key.curve, ec.SECP256R1):
        raise VermilionError(Code.DECISION_INVALID, "a person's key is on P-256")
    try:
        public_key.verify(signature, signed, ec.ECDSA(SHA256()))
    except InvalidSignature:
        raise VermilionError(Code.DECISION_INVALID, "the person's signature does not belong to this statement") from None
