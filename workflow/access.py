"""Who may see what. What a caller may not see does not exist for them: one refusal, whatever its state and whatever they send."""

from __future__ import annotations

from sealcore.errors import Code, VermilionError
from sealcore.platform.rpc import Peer
from workflow.model import Form


def may_see(caller: Peer, form: Form) -> bool:
    """An operator sees every form, a client its own."""
    return "operator" in caller.roles or caller.uri == form.submitted_by


def no_form(number: str) -> VermilionError:
    """What is said of a form that does not exist, and of one that the caller may not see."""
    return VermilionError(Code.NOT_FOUND, f"there is no form {number[:60]}")


def require_visible(caller: Peer, form: Form) -> Form:
    """The form, to who may see it; NOT_FOUND as if it did not exist."""
    if not may_see(caller, form):
        raise no_form(form.number)
    return form
