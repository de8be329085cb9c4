"""Acts that the CA carries out: a certificate's revocation or release, a new identity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from sealcore.errors import Code, VermilionError
from sealcore.protocol import actions
from workflow.delivery import events
from workflow.directory import store as directory_store
from workflow.forms.kinds.kind import Judged
from workflow.forms.model import Form
from workflow.office import Office

CLIENT_PROFILE = "client"  # the CA's profile of business systems


class CaActs:
    """The CA judges the act against its record, and gets its token through the outbox."""

    def audience(self, office: Office) -> str:
        assert office.bounds.ca_audience is not None, "the CA has judged the act"
        return office.bounds.ca_audience

    def judge(self, office: Office, judged: Judged, parameters: Mapping[str, Any]) -> None:
        require_no_files(judged)
        if office.authority is None or office.bounds.ca_audience is None:
            raise VermilionError(Code.ACTION_MISMATCH, f"this workflow knows no CA (`ca_target`), so nobody would {judged.action}")
        office.authority.check_act(judged.action, judged.seal, parameters, judged.approved_since, judged.earliest)

    def approved(self, connection: Connection, form: Form, parameters: Mapping[str, Any], token: str, now: int) -> None:
        if form.context.action == actions.CREATE and parameters.get("profile") == CLIENT_PROFILE:
            directory_store.approve_client(connection, str(parameters.get("uri")))
        events.queue_performance(connection, form, token, now)


def require_no_files(judged: Judged) -> None:
    """ATTACHMENT_UNNAMED: what only the signer's register keeps travels with no other act."""
    if judged.files:
        raise VermilionError(Code.ATTACHMENT_UNNAMED, "this act names no file")
