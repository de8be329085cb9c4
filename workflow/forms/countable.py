"""What the signer could never count, whoever approved it: told before anybody approves."""

from __future__ import annotations

from typing import Final

from sealcore.errors import Code, VermilionError
from sealcore.protocol.token_checks import require_later
from workflow.office import Office

SHUT_OUT: Final = "Nobody is asked to approve for a client that is shut out; have it let in again first: `vermilion clients allow`."


def require_countable(office: Office, audience: str, client: str, earliest: int) -> None:
    """Refuses what is addressed to the signer and could never count there, whoever approved it.

    Raises TOKEN_BEFORE_RESTORE when ``earliest``, as in ``kinds.kind.Judged``, lies before the signer's restore, and PERMISSION_DENIED when
    ``client``, who would present the token, is shut out.
    """
    if audience != office.bounds.audience:
        return
    countable = office.register.countable()
    require_later({"its start or a decision": earliest}, countable.restored_at, "the form", "the signer's database")
    if client in countable.shut_out:
        reason = f"the client {client} is shut out by an act of the register, so its approval would not count"
        raise VermilionError(Code.PERMISSION_DENIED, reason, rule=SHUT_OUT)
