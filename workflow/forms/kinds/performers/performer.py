"""What carries acts out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from sqlalchemy import Connection

from workflow.forms.kinds.kind import Judged
from workflow.forms.model import Form
from workflow.office import Office


class Performer(Protocol):
    """Whom an act's token is for, what they would refuse, and how the act gets to them."""

    def audience(self, office: Office) -> str:
        """The SAN URI that the token names as its audience."""

    def judge(self, office: Office, judged: Judged, parameters: Mapping[str, Any]) -> None:
        """Raises what the performer would refuse the act for, were it approved now; changes nothing."""

    def approved(self, connection: Connection, form: Form, parameters: Mapping[str, Any], token: str, now: int) -> None:
        """Has the approved act carried out, or queues that, in the transaction of its approval."""
