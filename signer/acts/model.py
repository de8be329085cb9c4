"""The signed acts that the register follows from, each with the evidence that allowed it. Pure.

An act is judged by the same code when it is first carried out and whenever the register is rebuilt from the acts, at the time
that it was carried out; so a register that no quorum made cannot be explained by any list of acts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sealcore.errors import Code, VermilionError
from sealcore.platform.ledger.store import Draft
from sealcore.protocol import stop as stops
from sealcore.protocol.canonical import b64url, b64url_decode, canonical_json, require, strict_json
from sealcore.protocol.labels import ACT_V1
from sealcore.protocol.ledger_entry import Entry, EntryKind, jti_hash, people_value
from sealcore.protocol.p256 import require_low_s
from sealcore.protocol.token import parse
from signer.acts.changes import changed, restored, resumed, seeded, stopped
from signer.acts.fresh import what_differs
from signer.acts.narrowing import raised_where_narrower
from signer.gate import AdmittedAct, admit_act
from signer.register.model import RULES, Register

MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class Act:
    """One change of the register with its evidence: the seed, a token, an officer's signed stop, or a restore.

    evidence    a JSON object with ``kind`` and, once recorded, ``rules``; hashed in its RFC 8785 form behind ``vermilion-act-v1``
    time_us     when it was carried out, microseconds since 1970 UTC; the ledger entry carries the same time
    """

    evidence: Mapping[str, Any]
    time_us: int

    @property
    def sha256(self) -> bytes:
        """SHA-256 of the evidence, by which the ledger names the act."""
        return hashlib.sha256(ACT_V1 + self.encoded).digest()

    @property
    def encoded(self) -> bytes:
        """The evidence as stored."""
        return canonical_json(dict(self.evidence))

    @property
    def kind(self) -> str:
        """seed, perform, stop or restore."""
        return str(self.evidence["kind"])

    @property
    def rules(self) -> int:
        """The rules that it was accepted by (``signer.register.model.RULES``)."""
        return int(self.evidence.get("rules", 1))

    @property
    def identity(self) -> bytes:
        """SHA-256 of what is ordered, whatever its signature: of a stop's statement, which names the officer, or of a token's signing input."""
        evidence = self.evidence
        match self.kind:
            case "perform":
                signed = str(evidence["token"]).rpartition(".")[0].encode("utf-8")
            case "stop":
                signed = stops.statement(_statement(evidence))
            case _:
                signed = canonical_json({name: value for name, value in evidence.items() if name != "rules"})
        return hashlib.sha256(self.kind.encode("utf-8") + b"\x00" + signed).digest()

    def accepted(self) -> Act:
        """The act as it is recorded now, with the version of the rules. INVALID_ARGUMENT when its evidence names a version already."""
        require("rules" not in self.evidence, "an act does not choose its rules")
        return replace(self, evidence={**self.evidence, "rules": RULES})

    @property
    def time(self) -> datetime:
        """When it was carried out."""
        return datetime.fromtimestamp(self.time_us / MICROSECONDS, UTC)

    @classmethod
    def decode(cls, evidence: str, time_us: int) -> Act:
        """A stored act; raises REGISTER_INCONSISTENT when it is not in canonical form."""
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
    """The result of an act: the register after it, and the people and the token that it rests on (for the ledger's commitments)."""

    register: Register
    people: tuple[str, ...] = ()
    admission: AdmittedAct | None = None


def carry_out(register: Register, act: Act, *, audience: str, peer: str | None = None) -> Carried:
    """The register after ``act``; raises what the gate or the change refuses, CONFLICT for what was ordered before.

    peer    who presents the token; None when acts are replayed, where the token's own subject stands in
    """
    # Otherwise whoever can write the database could add an act under the older, laxer rules.
    if act.rules < register.rules or act.rules > RULES:
        raise VermilionError(
            Code.REGISTER_INCONSISTENT, f"an act by the rules {act.rules} does not follow one by the rules {register.rules}"
        )
    identity = act.identity
    # By what is ordered, not by its bytes: a stop that was lifted would come back under a
    # second signature of the same statement.
    if act.rules >= 2 and identity in register.orders:
        raise VermilionError(Code.CONFLICT, "this was ordered and carried out before")
    carried = _carried(register, act, audience, peer)
    # Derived from the difference, after any change: no kind of act can forget to end what it
    # narrows.
    after = raised_where_narrower(register, carried.register) if act.rules >= 2 else carried.register
    orders = {identity: register.version, **register.orders}
    touched = {**register.touched, **dict.fromkeys(what_differs(register, after), act.time_us)}
    return replace(carried, register=replace(after, version=register.version + 1, rules=act.rules, orders=orders, touched=touched))


def _carried(register: Register, act: Act, audience: str, peer: str | None) -> Carried:
    match act.kind:
        case "seed":
            if register.version:
                raise VermilionError(Code.CONFLICT, "the register is seeded once")
            return Carried(seeded({name: value for name, value in act.evidence.items() if name != "rules"}, act.rules))
        case "perform":
            return _perform(register, act, audience, peer)
        case "stop":
            return _stop(register, act)
        case "restore":
            return Carried(restored(register, int(act.evidence["at"])))
        case _:
            raise VermilionError(Code.REGISTER_INCONSISTENT, f"an act of the unknown kind {act.kind[:40]!r}")


def _perform(register: Register, act: Act, audience: str, peer: str | None) -> Carried:
    jws = str(act.evidence["token"])
    # At the act's own time: when replayed years later, its token has long expired and its
    # approvers may have left.
    admission = admit_act(jws, peer=peer or _subject(jws), register=register, now=act.time, audience=audience, rules=act.rules)
    claims = admission.claims
    after = ordered(register, claims.action, claims.seal, admission.parameters, act.rules)
    return Carried(after, admission.people, admission)


def ordered(register: Register, action: str, seal: str, parameters: Mapping[str, Any], rules: int = RULES) -> Register:
    """The register after the act that a token orders; raises what the change refuses."""
    if action != "resume":
        return changed(register, parameters, rules)
    # Approvers may have been shown the one and the gate judged by the other.
    if parameters.get("seal", seal) != seal:
        raise VermilionError(Code.ACTION_MISMATCH, "the act's parameters name another seal than the token")
    return resumed(register, seal)


def _subject(jws: str) -> str:
    return parse(jws).claims.sub


def _statement(evidence: Mapping[str, Any]) -> stops.StopStatement:
    return stops.StopStatement(evidence["subject_kind"], evidence["subject"], evidence["officer"], evidence["reason"], evidence["time"])


def _stop(register: Register, act: Act) -> Carried:
    stop, signature = _statement(act.evidence), b64url_decode(act.evidence["signature"], Code.DECISION_INVALID)
    officer = register.person(stop.officer, "officer")
    stops.verify(stop, signature, officer.key)
    if act.rules >= 2:
        require_low_s(signature, "the officer's")
    return Carried(stopped(register, stop.subject_kind, stop.subject), (stop.officer,))


def replay(acts: Iterable[Act], *, audience: str, start: Register | None = None) -> Register:
    """The register that follows from ``acts``; raises REGISTER_INCONSISTENT at the first that could not be carried out."""
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
