"""The act that the workflow carries out itself: a policy that asks less than those in force."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from sealcore.ids import service_uri
from sealcore.protocol import actions
from sealcore.protocol.covers import ActCovers
from workflow.forms.kinds.kind import Judged
from workflow.forms.kinds.performers.ca import require_no_files
from workflow.forms.model import Form
from workflow.office import Office
from workflow.policies import use_cases as policies

OWN_AUDIENCE = service_uri("workflow")  # nobody else takes such a token


def asks_for_policy(action: str, covers: ActCovers) -> bool:
    """Whether an act of the register asks for a policy of ours."""
    return action == actions.REGISTER and covers.parameters.get("change") == policies.POLICY_ADD


class PolicyActs:
    """The policy is added in the transaction of its approval."""

    def audience(self, office: Office) -> str:
        return OWN_AUDIENCE

    def judge(self, office: Office, judged: Judged, parameters: Mapping[str, Any]) -> None:
        require_no_files(judged)
        policies.check(office, parameters)

    def approved(self, connection: Connection, form: Form, parameters: Mapping[str, Any], token: str, now: int) -> None:
        policies.perform(connection, form, parameters, token, now)
