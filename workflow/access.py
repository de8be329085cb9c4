"""Every rule about who may do what with which object. Use cases ask here; none of them looks at who calls by itself.

What a caller may not see does not exist for them: one refusal, whatever its state and whatever they send.
"""

from __future__ import annotations

from sealcore.errors import Code, VermilionError
from workflow.directory.model import Client, Person, Role
from workflow.forms.model import Form
from workflow.principal import Principal

_CLOSING = frozenset({Role.APPROVER, Role.OFFICER, Role.OPERATOR})


# --- forms


def may_see(caller: Principal, form: Form) -> bool:
    """An operator sees every form, a client its own."""
    return caller.is_operator or caller.uri == form.submitted_by


def no_form(number: str) -> VermilionError:
    """What is said of a form that does not exist, and of one that the caller may not see."""
    return VermilionError(Code.NOT_FOUND, f"there is no form {number[:60]}")


def require_visible(caller: Principal, form: Form) -> Form:
    """The form, to who may see it; NOT_FOUND as if it did not exist."""
    if not may_see(caller, form):
        raise no_form(form.number)
    return form


def listed_for(caller: Principal, *, own: bool) -> str | None:
    """Whose forms a listing shows: a client's own, to an operator all (None), or with ``own`` those that the operator filed."""
    return None if caller.is_operator and not own else caller.uri


def require_may_use_seals(caller: Principal) -> None:
    """PERMISSION_DENIED for whoever does not use seals: who operates the system never does (I8)."""
    if not caller.is_client:
        raise VermilionError(Code.PERMISSION_DENIED, "who operates the system does not use seals; submit as a client")


def unit_for(caller: Principal, client: Client | None, asked: str | None, *, office_unit: str) -> str:
    """The unit that a form is filed under; PERMISSION_DENIED for an unknown client, UNIT_NOT_ALLOWED for a unit that is not the client's."""
    if caller.is_client and (client is None or not client.active):
        raise VermilionError(Code.PERMISSION_DENIED, f"{caller.uri} is not among the workflow's clients")
    if client is None:
        return asked or office_unit
    unit = asked or client.unit
    if unit not in client.units:
        raise VermilionError(Code.UNIT_NOT_ALLOWED, f"{caller.uri} applies for {', '.join(sorted(client.units))} and no other unit")
    return unit


def require_applicant(person: Person | None, unit: str) -> None:
    """One refusal for whoever is not there, has left, is another unit's, or may not apply: it reveals nothing about people."""
    if person is None or person.unit != unit or not person.may(Role.APPLICANT, Role.APPROVER):
        raise VermilionError(Code.APPLICANT_NOT_ALLOWED, f"no active person of the unit {unit} with this id may apply")


def require_token_holder(caller: Principal, form: Form) -> None:
    """SUBJECT_MISMATCH for whoever is not the client that the form's token names."""
    if caller.uri != form.context.sub:
        raise VermilionError(Code.SUBJECT_MISMATCH, "the token of this form is for another caller")


# --- seals and grants


def grants_of(caller: Principal) -> str | None:
    """Whose standing approvals a caller sees: a client its own, an operator all (None)."""
    return None if caller.is_operator else caller.uri


# --- refusals


def require_may_close(person: Person) -> None:
    """PERMISSION_DENIED for who may not close a refusal: whoever only applies cannot clear away what came of it, who audits changes nothing."""
    if not person.active:
        raise VermilionError(Code.PERMISSION_DENIED, f"{person.id} is no longer active")
    if not person.roles & _CLOSING:
        raise VermilionError(Code.PERMISSION_DENIED, f"{person.id} only applies or audits; somebody with another role closes this")
