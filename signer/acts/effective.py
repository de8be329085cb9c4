"""Whether an act would have any effect, so that people are not asked to approve it for nothing. Pure.

Asked before a form is filed and before an approval is taken. Where two forms for the same are approved all the same, the second is
carried out and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sealcore.errors import Code, VermilionError
from sealcore.ids import CLIENT_PREFIX
from sealcore.text import require_name
from signer.acts.fresh import what_differs
from signer.register.model import Register


def require_effect(before: Register, after: Register, parameters: Mapping[str, Any]) -> None:
    """CONFLICT for an act that would change nothing, SEAL_RETIRED for one about a seal that never seals again.

    INVALID_ARGUMENT or TEXT_DECEPTIVE for what names nobody: a client that could not exist, an owner whose name misleads.
    """
    change, subject = parameters.get("change"), str(parameters.get("id", ""))
    if change == "client_stop" and not str(parameters["client"]).startswith(CLIENT_PREFIX):
        raise VermilionError(Code.INVALID_ARGUMENT, f"a client is named by its URI, {CLIENT_PREFIX}…")
    if change == "seal_add":
        require_name(str(parameters["name"]), "the name of the seal's owner")
    if (seal := before.seals.get(subject)) is not None and seal.state == "retired":
        raise VermilionError(Code.SEAL_RETIRED, f"the seal {subject} is retired; it never seals again")
    if next(what_differs(before, after), None) is None:
        raise VermilionError(Code.CONFLICT, "this is so already; the act would change nothing")
