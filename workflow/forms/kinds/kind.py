"""What a kind of form is: the body that asks for it, what decisions on it are signed over, and what follows from its approval."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field
from sqlalchemy import Connection

from sealcore.protocol.canonical import MOST_INTEGER
from sealcore.protocol.covers import Covers
from sealcore.protocol.leaf import Leaf
from sealcore.protocol.manifest import DocumentEntry
from workflow.forms.model import Form
from workflow.office import Office
from workflow.principal import Principal
from workflow.web.fields import Body, Title, UnitCode, Uuid


@dataclass(frozen=True)
class Application:
    """What a caller asks for; ``asked`` is the kind's own value. ``valid_s`` shortens the form's term, in seconds."""

    seal: str
    action: str
    title: str
    asked: Any
    unit: str | None = None
    applicant: str | None = None
    valid_s: int | None = None


class KindBody(Body, ABC):
    """What every application says. A kind adds its own members, one of which tells it from the others."""

    title: Title
    unit: UnitCode | None = None
    applicant: Uuid | None = Field(default=None, description="The person who applies; they then sign with the verdict `apply`.")
    valid_s: Annotated[int, Field(ge=1, le=MOST_INTEGER)] | None = Field(default=None, description="Shortens the form's term.")

    @abstractmethod
    def to_domain(self) -> Application:
        """The use case's input; INVALID_ARGUMENT for what the domain refuses."""

    def _application(self, seal: str, action: str, asked: Any) -> Application:
        return Application(seal, action, self.title, asked, self.unit, self.applicant, self.valid_s)


@dataclass(frozen=True)
class Plan:
    """What decisions will be signed over, worked out without the database. ``nbf`` and ``exp`` are NumericDates."""

    covers: Covers
    nbf: int
    exp: int
    entries: Sequence[DocumentEntry] = ()
    leaves: Sequence[Leaf] = ()
    files: Sequence[bytes] = ()


@dataclass(frozen=True)
class Judged:
    """A request as whoever will carry it out judges it, before anybody is asked to approve and again at each approval.

    earliest        NumericDate of the earliest of the form's start and its decisions: what lies before a restore does not count
    approved_since  NumericDate of the first approval so far: what was changed since is not what that person was shown
    """

    seal: str
    action: str
    covers: Covers
    files: Sequence[bytes]
    earliest: int
    approved_since: int | None = None


class Kind(ABC):
    """A kind of form. Each is one module of this folder and one entry of its registry, and has tag, request and covers of its own.

    tag      the member of an application's body that tells this kind from the others
    body     what a caller sends
    request  the type of ``Application.asked``
    covers   the type of what its approval covers (docs/protocol.md, "Approval token")
    """

    tag: ClassVar[str]
    body: ClassVar[type[KindBody]]
    request: ClassVar[type]
    covers: ClassVar[type]

    @abstractmethod
    def require_allowed(self, caller: Principal, application: Application) -> None:
        """Refuses an action that this kind is not for, and a caller who may not ask for it."""

    @abstractmethod
    def plan(self, office: Office, application: Application, now: int) -> Plan:
        """What decisions will be signed over; raises what the request itself is refused for."""

    def audience(self, office: Office, action: str, covers: Covers) -> str:
        """Whom the token is for: the signer, unless a kind says otherwise."""
        return office.bounds.audience

    def subject(self, caller: Principal) -> str:
        """Who presents the token: who asked, unless a kind says otherwise."""
        return caller.uri

    def judge(self, office: Office, judged: Judged) -> None:
        """Refuses what whoever will carry it out would refuse, with their own codes; by default nothing is."""
        return

    def approved(self, office: Office, connection: Connection, form: Form, token: str, now: int) -> None:
        """What follows from the approval, in its transaction; by default the client fetches its token, and nothing more."""
        return

    @staticmethod
    def ends(office: Office, application: Application, now: int) -> int:
        """The end of a form's term when the kind sets none of its own (NumericDate)."""
        longest_s = office.bounds.token_validity_s
        return now + min(application.valid_s or longest_s, longest_s)
