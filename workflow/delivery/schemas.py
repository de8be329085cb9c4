"""What its receiver refused for good, and closing it."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from sealcore.protocol.leaf import TEXT_CHARACTERS
from workflow.delivery import refused
from workflow.web.fields import Body, Readable, Time, Uuid


class Refusal(Body):
    """An event or act that the signer or the CA refused for good; the last three are there once a person has closed it."""

    id: int
    event: str
    form: str | None
    created: Time
    state: str
    code: str
    reason: str
    closed: Time | None
    closed_by: Uuid | None
    closed_reason: str | None


class Refusals(Body):
    """A page of refusals."""

    refused: list[Refusal]
    next: int | None


class Closing(Body):
    """Who closes a refusal, and why."""

    person: Uuid
    reason: Annotated[str, StringConstraints(min_length=1, max_length=TEXT_CHARACTERS), Readable]


def refusal(one: refused.Refused) -> Refusal:
    """A refusal."""
    return Refusal(**vars(one))
