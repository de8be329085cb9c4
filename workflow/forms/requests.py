"""What comes in about forms: applications and decisions."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Discriminator, RootModel, Tag

from workflow.forms.kinds import KINDS
from workflow.forms.kinds.kind import Application as Asked
from workflow.forms.kinds.kind import KindBody
from workflow.web.fields import Body, Reason, Signature, Time, Uuid


def _tag(body: Any) -> str:
    """The kind that a body asks for: the first whose own member is there."""
    names = body if isinstance(body, dict) else {}
    return next((kind.tag for kind in KINDS if kind.tag in names), KINDS[-1].tag)


if TYPE_CHECKING:
    AnyKind = KindBody
else:
    AnyKind = Annotated[reduce(or_, (Annotated[kind.body, Tag(kind.tag)] for kind in KINDS)), Discriminator(_tag)]


class Application(RootModel[AnyKind]):
    """What a form asks for: one of the kinds."""

    def to_domain(self) -> Asked:
        """The use case's input; INVALID_ARGUMENT for what the domain refuses."""
        return self.root.to_domain()


class Decision(Body):
    """A person's decision. `signature`: DER ECDSA over SHA-256 of the decision statement. A rejection needs a reason."""

    person: Uuid
    verdict: Literal["apply", "approve", "reject"]
    time: Time
    signature: Signature
    reason: Reason = ""
