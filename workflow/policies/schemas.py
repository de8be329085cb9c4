"""Policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, StringConstraints

from sealcore.protocol import actions
from workflow.policies import model
from workflow.web.fields import SINT32, Body, Quorum, Uuid

if TYPE_CHECKING:
    ActionName = str
else:
    ActionName = Literal[*sorted({actions.SEAL, *actions.ACTS})]


class Policy(Body):
    """A version of a policy: the least number of approvers for a seal and an action; null stands for any."""

    id: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,63}$")]
    version: Annotated[int, Field(ge=1, le=SINT32)]
    quorum: Quorum
    seal: Uuid | None = None
    action: ActionName | None = None

    def to_domain(self) -> model.Policy:
        return model.Policy(self.id, self.version, self.quorum, self.seal, self.action)


class Policies(Body):
    """All versions of all policies."""

    policies: list[Policy]


def policy(one: model.Policy) -> Policy:
    """A policy's version."""
    return Policy.model_validate(vars(one))
