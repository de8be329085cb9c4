"""Forms, and the moves that a form may make. No database, no network."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

from sealcore.errors import Code, VermilionError
from sealcore.protocol.covers import ActCovers, GrantCovers
from sealcore.protocol.decision import Decision, DecisionContext
from workflow.directory.model import Person, Role


class FormState(StrEnum):
    """Where a form stands; only ``applied`` is open."""

    APPLIED = "applied"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    LAPSED = "lapsed"  # nobody decided, or too few did, within its term


@dataclass(frozen=True)
class Received:
    """A decision as it came in. The reason is beside the signature, not under it."""

    decision: Decision
    reason: str
    received: int


@dataclass(frozen=True)
class Performance:
    """How the carrying out of an approved act stands: ``pending``, ``done``, ``refused``, or ``closed``: refused, and seen to by a person."""

    state: str
    ledger_index: int | None = None
    code: str | None = None
    reason: str | None = None
    closed_by: str | None = None
    closed_reason: str | None = None


@dataclass(frozen=True)
class Form:
    """One application. ``context`` is what every decision on it is signed over, frozen at submission.

    ``submitted_by`` is the caller's SAN URI; it equals ``context.sub`` but for acts, which the workflow itself carries out.
    """

    number: str
    unit: str
    title: str
    state: FormState
    context: DecisionContext
    submitted_by: str
    created: int
    applicant: str | None = None
    settled: int | None = None
    reason: str = ""
    decisions: tuple[Received, ...] = field(default=())

    @property
    def is_act(self) -> bool:
        """Whether it asks for an act of the workflow rather than for a token."""
        return isinstance(self.context.covers, ActCovers)

    @property
    def is_grant(self) -> bool:
        """Whether it asks for a standing approval."""
        return isinstance(self.context.covers, GrantCovers)

    def check_open(self, now: int) -> None:
        """FORM_STATE unless decisions may still change it; TOKEN_EXPIRED past its term."""
        if self.state not in (FormState.APPLIED, FormState.LAPSED):
            raise VermilionError(Code.FORM_STATE, f"form {self.number} is {self.state}")
        if now >= self.context.exp:
            raise VermilionError(Code.TOKEN_EXPIRED, f"the term of form {self.number} has ended")

    def withdrawn(self, caller: str, now: int) -> Form:
        """The form, taken back by who submitted it; it keeps its number."""
        if caller != self.submitted_by:
            raise VermilionError(Code.PERMISSION_DENIED, f"only who submitted a form withdraws it: {self.submitted_by}")
        if self.state is not FormState.APPLIED:
            raise VermilionError(Code.FORM_STATE, f"form {self.number} is {self.state}; only an open form is withdrawn")
        return replace(self, state=FormState.WITHDRAWN, settled=now)

    def lapsed(self, now: int) -> Form:
        """The form, after its term went by without enough decisions; it keeps its number. FORM_STATE for one that is settled, or has time left."""
        if self.state is not FormState.APPLIED or now < self.context.exp:
            raise VermilionError(Code.FORM_STATE, f"form {self.number} is {self.state}; only an open form lapses, past its term")
        return replace(self, state=FormState.LAPSED, settled=now)

    def rejected(self, reason: str, now: int) -> Form:
        """The form, refused for good; INVALID_ARGUMENT without a reason."""
        if not reason.strip():
            raise VermilionError(Code.INVALID_ARGUMENT, "a rejection needs a reason that the applicant can act upon")
        return replace(self, state=FormState.REJECTED, settled=now, reason=reason)

    def approved(self, now: int) -> Form:
        """The form with its quorum met."""
        return replace(self, state=FormState.APPROVED, settled=now)

    def check_may_decide(self, person: Person, verdict: str) -> None:
        """Who may say what: the applicant applies and nothing else, approvers approve or reject, each person once."""
        if person.id == self.applicant and verdict != "apply":
            raise VermilionError(Code.OWN_REQUEST, f"{person.id} applied with form {self.number} and cannot decide on it")
        if any(received.decision.person == person.id for received in self.decisions):
            raise VermilionError(Code.CONFLICT, f"{person.id} has decided on form {self.number} before", rule="Each person decides once.")
        if verdict == "apply":
            if person.id != self.applicant:
                raise VermilionError(Code.PERMISSION_DENIED, "only the applicant whom the form names signs the application")
            return
        if not person.may(Role.APPROVER):
            raise VermilionError(Code.PERMISSION_DENIED, f"{person.id} is not an approver")


@dataclass(frozen=True)
class Standing:
    """How far a form is: who counts as having approved, how many are needed, whether the applicant's own signature is there."""

    approvers: frozenset[str]
    needed: int
    applicant_signed: bool

    @property
    def complete(self) -> bool:
        """Whether a token may be issued. A quorum of 0 is settled at submission and never by a later decision."""
        return self.needed > 0 and len(self.approvers) >= self.needed and self.applicant_signed
