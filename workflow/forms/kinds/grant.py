"""Let a client seal under a standing approval: so many uses until a time, on a registered template or on none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from sealcore.errors import Code, VermilionError
from sealcore.protocol.covers import MOST_GRANT_USES, GrantCovers
from workflow.forms.kinds.documents import require_sealing
from workflow.forms.kinds.kind import Application, Kind, KindBody, Plan
from workflow.office import Office
from workflow.principal import Principal
from workflow.web.fields import Body, Time, Uuid


@dataclass(frozen=True)
class GrantRequest:
    """A standing approval asked for; ``until`` is a NumericDate, ``template`` lower hex or None."""

    uses: int
    until: int
    template: str | None


class GrantTerms(Body):
    """A standing approval: so many uses until a time, on a registered template or on `none`."""

    uses: Annotated[int, Field(ge=1, le=MOST_GRANT_USES)]
    until: Time
    template: Annotated[str, StringConstraints(pattern=r"^(none|[0-9a-f]{64})$")] = "none"


class GrantApplication(KindBody):
    """Let a client seal under a standing approval."""

    seal: Uuid
    action: Literal["seal"] = "seal"
    grant: GrantTerms

    def to_domain(self) -> Application:
        template = None if self.grant.template == "none" else self.grant.template
        return self._application(self.seal, self.action, GrantRequest(self.grant.uses, self.grant.until, template))


class GrantKind(Kind):
    """A standing approval."""

    tag, body, request, covers = "grant", GrantApplication, GrantRequest, GrantCovers

    def require_allowed(self, caller: Principal, application: Application) -> None:
        require_sealing(caller, application)

    def plan(self, office: Office, application: Application, now: int) -> Plan:
        asked: GrantRequest = application.asked
        if not now < asked.until <= now + office.bounds.grant_validity_s:
            raise VermilionError(Code.INVALID_ARGUMENT, f"a grant ends within {office.bounds.grant_validity_s} seconds from now")
        return Plan(GrantCovers(asked.uses, asked.until, asked.template), now, asked.until)
