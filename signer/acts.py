"""The signed acts that the register is the sum of, each carrying the evidence that allowed it. Pure.

An act is judged by the same code when it is first carried out and whenever the register is rebuilt from the acts, at the time
that it was carried out; so a register that no quorum made cannot be explained by any list of acts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sealcore.approvals import stop as stops
from sealcore.approvals.canonical import b64url, b64url_decode, canonical_json, strict_json
from sealcore.approvals.covers import ActCovers
from sealcore.approvals.token import parse
from sealcore.errors import Code, VermilionError
from sealcore.ledger.entry import Entry, EntryKind, jti_hash, people_value
from sealcore.ledger.store import Draft
from signer.changes import changed, restored, resumed, seeded, stopped
from signer.gate import Admission, admit_act
from signer.register import Register

LABEL = b"vermilion-act-v1"
MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class Act:
    """One change of the register with its evidence: the seed, a token, an officer's signed stop, or a restore.

    evidence    a JSON object with ``kind``; hashed in its RFC 8785 form behind ``vermilion-act-v1``
    time_us     when it was carried out, microseconds since 1970 UTC; the ledger entry carries the same time
    """

    evidence: Mapping[str, Any]
    time_us: int

    @property
    def sha256(self) -> bytes:
        """What the ledger knows the act by."""
        return hashlib.sha256(LABEL + self.encoded).digest()

    @property
    def encoded(self) -> bytes:
        """The evidence as stored."""
        return canonical_json(dict(self.evidence))

    @property
    def kind(self) -> str:
        """seed, perform, stop or restore."""
        return str(self.evidence["kind"])

    @property
    def time(self) -> datetime:
        """When it was carried out."""
        return datetime.fromtimestamp(self.time_us / MICROSECONDS, UTC)

    @classmethod
    def decode(cls, evidence: str, time_us: int) -> Act:
        """A stored act; raises REGISTER_INCONSISTENT when it is not in its one form."""
        value = strict_json(evidence.encode("utf-8"), Code.REGISTER_INCONSISTENT)
        if not isinstance(value, dict) or "kind" not in value:
            raise VermilionError(Code.REGISTER_INCONSISTENT, "a stored act is not an act")
        return cls(value, time_us)


def perform_act(jws: str, time_us: int) -> Act:
    """The act that an approval token orders."""
    return Act({"kind": "perform", "token": jws}, time_us)


def stop_act(stop: stops.StopStatement, signature: bytes, time_us: int) -> Act:
    """The act that an officer's stop orders."""
    return Act(
        {
            "kind": "stop",
            "subject_kind": stop.subject_kind,
            "subject": stop.subject,
            "officer": stop.officer,
            "reason": stop.reason,
            "time": stop.time,
            "signature": b64url(signature),
        },
        time_us,
    )


def restore_act(at: int, time_us: int) -> Act:
    """The record of a restore from a backup at ``at`` (NumericDate). Unsigned: it can only refuse more."""
    return Act({"kind": "restore", "at": at}, time_us)


@dataclass(frozen=True)
class Carried:
    """What came of an act: the register after it, and who and what form it rests on (for the ledger's commitments)."""

    register: Register
    people: tuple[str, ...] = ()
    admission: Admission | None = None


def carry_out(register: Register, act: Act, *, audience: str, peer: str | None = None) -> Carried:
    """The register after ``act``; raises what the gate or the change refuses.

    peer    who presents the token; None when acts are replayed, where the token's own subject stands in
    """
    evidence = act.evidence
    match act.kind:
        case "seed":
            if register.version:
                raise VermilionError(Code.CONFLICT, "the register is seeded once")
            return Carried(seeded(evidence))
        case "perform":
            carried = _perform(register, act, audience, peer)
        case "stop":
            carried = _stop(register, evidence)
        case "restore":
            carried = Carried(restored(register, int(evidence["at"])))
        case _:
            raise VermilionError(Code.REGISTER_INCONSISTENT, f"an act of the unknown kind {act.kind[:40]!r}")
    return replace(carried, register=replace(carried.register, version=register.version + 1))


def _perform(register: Register, act: Act, audience: str, peer: str | None) -> Carried:
    jws = str(act.evidence["token"])
    admission = admit_act(jws, peer=peer or _subject(jws), register=register, now=act.time, audience=audience)
    claims = admission.claims
    assert isinstance(claims.covers, ActCovers)  # the gate's step action_act
    if claims.action == "resume":
        named = claims.covers.parameters.get("seal", claims.seal)
        if named != claims.seal:
            raise VermilionError(Code.ACTION_MISMATCH, "the act's parameters name another seal than the token")
        after = resumed(register, claims.seal)
    else:
        after = changed(register, claims.covers.parameters)
    return Carried(after, admission.people, admission)


def _subject(jws: str) -> str:
    return parse(jws).claims.sub


def _stop(register: Register, evidence: Mapping[str, Any]) -> Carried:
    stop = stops.StopStatement(evidence["subject_kind"], evidence["subject"], evidence["officer"], evidence["reason"], evidence["time"])
    officer = register.person(stop.officer, "officer")
    stops.verify(stop, b64url_decode(evidence["signature"], Code.DECISION_INVALID), officer.key)
    return Carried(stopped(register, stop.subject_kind, stop.subject), (stop.officer,))


def replay(acts: Iterable[Act], *, audience: str, start: Register | None = None) -> Register:
    """The register that ``acts`` add up to; raises REGISTER_INCONSISTENT at the first that does not follow."""
    register = start or Register()
    for act in acts:
        try:
            register = carry_out(register, act, audience=audience).register
        except (VermilionError, LookupError, TypeError, ValueError) as fault:
            reason = fault.reason if isinstance(fault, VermilionError) else type(fault).__name__
            raise VermilionError(Code.REGISTER_INCONSISTENT, f"act {register.version} of the register does not hold: {reason}") from None
    return register


def draft(act: Act, carried: Carried) -> Draft:
    """The ledger entry of an act."""
    claims = carried.admission.claims if carried.admission else None
    values = {"people": people_value(carried.people)}
    if claims is not None:
        values |= {"form": claims.form, "policy": f"{claims.policy.id}/{claims.policy.version}"}
    entry = Entry(EntryKind.ACT, act.time_us, jti_hash=jti_hash(claims.jti) if claims else None, subject_sha256=act.sha256)
    return Draft.committing(entry, values, jti=claims.jti if claims else None)
