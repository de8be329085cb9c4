"""Acts that the signer carries out: resuming a seal, changing its register."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from sealcore.errors import Code, VermilionError
from workflow.delivery import events
from workflow.forms.kinds.kind import Judged
from workflow.forms.model import Form
from workflow.office import Office
from workflow.policies import use_cases as policies

MOST_ATTACHED_BYTES = 3 * 1024 * 1024  # with its token they fit into one message to the signer


class SignerActs:
    """The signer judges the act against its register, and gets its token through the outbox."""

    def audience(self, office: Office) -> str:
        return office.bounds.audience

    def judge(self, office: Office, judged: Judged, parameters: Mapping[str, Any]) -> None:
        if (size_bytes := sum(map(len, judged.files))) > MOST_ATTACHED_BYTES:
            raise VermilionError(Code.DOCUMENT_TOO_LARGE, f"the act's files have {size_bytes} bytes; the limit is {MOST_ATTACHED_BYTES}")
        if parameters.get("change") == "person_remove":
            policies.check_removal(office, str(parameters.get("id")))
        office.register.check_act(judged.action, judged.seal, parameters, judged.files, judged.approved_since)

    def approved(self, connection: Connection, form: Form, parameters: Mapping[str, Any], token: str, now: int) -> None:
        events.queue_performance(connection, form, token, now)
