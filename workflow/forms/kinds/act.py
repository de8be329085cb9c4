"""Have an act carried out once it is approved. Who carries it out is ``performers``' to say; what acts there are, the protocol's table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, StringConstraints
from sqlalchemy import Connection

from sealcore.errors import Code, VermilionError
from sealcore.ids import service_uri
from sealcore.protocol import actions
from sealcore.protocol.canonical import MOST_INTEGER, canonical_json
from sealcore.protocol.covers import MOST_LIST_ITEMS, MOST_PARAMETERS, PARAMETER_CHARACTERS, ActCovers, Covers
from workflow.forms.kinds.kind import Application, Judged, Kind, KindBody, Plan
from workflow.forms.kinds.performers import performer_of
from workflow.forms.model import Form
from workflow.office import Office
from workflow.principal import Principal
from workflow.web.fields import Base64, Readable, Uuid, bytes_of

MOST_ATTACHMENTS = 16  # of one act
MOST_ACT_BYTES = 160 * 1024  # of its parameters: with 64 decisions they fit into one token
ACT_SUBJECT = service_uri("workflow")  # who hands an act's token on, so whom it must name

if TYPE_CHECKING:
    ActName = str
else:
    ActName = Literal[*sorted(actions.ACTS)]


@dataclass(frozen=True)
class ActRequest:
    """An act asked for, with its parameters and the files that they name by SHA-256."""

    parameters: Mapping[str, Any]
    files: tuple[bytes, ...] = ()


_Plain = (
    Annotated[str, StringConstraints(max_length=PARAMETER_CHARACTERS), Readable] | Annotated[int, Field(ge=-MOST_INTEGER, le=MOST_INTEGER)]
)
Parameters = Annotated[
    dict[
        Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")],
        _Plain | Annotated[list[_Plain], Field(max_length=MOST_LIST_ITEMS)],
    ],
    Field(max_length=MOST_PARAMETERS),
]


class ActApplication(KindBody):
    """Have an act carried out once it is approved.

    `resume` a seal; change the `register`, or with `policy_add` the workflow's policies (then `seal` is empty); `revoke` a certificate
    or release it from a hold (`seal` is empty where the certificate is no seal's); `create` an identity: a client's, an operator's, a
    machine's or a person's certificate (`seal` is empty).
    """

    seal: Uuid | Literal[""] = ""
    action: ActName
    act: Parameters
    attachments: Annotated[list[Base64], Field(max_length=MOST_ATTACHMENTS, description="Files that the act names by SHA-256.")] = Field(
        default_factory=list
    )

    def to_domain(self) -> Application:
        files = tuple(map(bytes_of, self.attachments))
        return self._application(self.seal, self.action, ActRequest(dict(self.act), files))


class ActKind(Kind):
    """An act, carried out once by whom the action belongs to."""

    tag, body, request, covers = "act", ActApplication, ActRequest, ActCovers

    def require_allowed(self, caller: Principal, application: Application) -> None:
        kind = actions.KINDS.get(application.action)
        if kind is None or not kind.is_act:
            raise VermilionError(Code.ACTION_MISMATCH, f"the acts that a form can ask for are {', '.join(sorted(actions.ACTS))}")
        if kind.names is not actions.Names.EITHER and (kind.names is actions.Names.NONE) == bool(application.seal):
            raise VermilionError(Code.INVALID_ARGUMENT, "an act names its seal; a change of the register or a new identity names none")

    def plan(self, office: Office, application: Application, now: int) -> Plan:
        asked: ActRequest = application.asked
        return Plan(ActCovers(asked.parameters), now, self.ends(office, application, now), files=asked.files)

    def audience(self, office: Office, action: str, covers: Covers) -> str:
        return performer_of(action, _act(covers)).audience(office)

    def subject(self, caller: Principal) -> str:
        return ACT_SUBJECT

    def judge(self, office: Office, judged: Judged) -> None:
        covers = _act(judged.covers)
        if (size_bytes := len(canonical_json(dict(covers.parameters)))) > MOST_ACT_BYTES:
            raise VermilionError(Code.INVALID_ARGUMENT, f"the act's parameters have {size_bytes} bytes; its token takes {MOST_ACT_BYTES}")
        performer_of(judged.action, covers).judge(office, judged, covers.parameters)

    def approved(self, office: Office, connection: Connection, form: Form, token: str, now: int) -> None:
        covers = _act(form.context.covers)
        performer_of(form.context.action, covers).approved(connection, form, covers.parameters, token, now)


def _act(covers: Covers) -> ActCovers:
    if not isinstance(covers, ActCovers):
        raise VermilionError(Code.ACTION_MISMATCH, "this form asks for no act")
    return covers
