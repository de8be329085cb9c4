"""Seals, grants, stops: what the signer's register says, and what goes to it."""

from __future__ import annotations

import base64
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from sealcore.protocol.leaf import TEXT_CHARACTERS
from workflow.delivery import signer_link as register
from workflow.web.fields import Body, Readable, Signature, Uuid


class Seal(Body):
    """A seal of the signer's register; `quorum` is the least number of persons by action, `certificate` base64 DER."""

    id: str
    name: str
    kind: str
    state: str
    epoch: int
    algorithm: str
    spki_sha256: str
    certificate: str
    pictures: list[str]
    content_policy: str
    certification: Literal["final", "form-fill"] = Field(description="Of a document whose form does not say otherwise.")
    quorum: dict[str, int]


class Seals(Body):
    """The seals of the signer's register."""

    seals: list[Seal]


class Grant(Body):
    """A standing approval as the signer counts it."""

    jti: str
    seal: str
    client: str
    most_uses: int
    uses: int
    expires: str
    template: str
    withdrawn: bool


class Grants(Body):
    """Standing approvals."""

    grants: list[Grant]


class Stop(Body):
    """An officer's signed stop. `signature`: DER ECDSA over SHA-256 of the stop statement; `time` is RFC 3339 in UTC."""

    officer: Uuid
    reason: Annotated[str, StringConstraints(min_length=1, max_length=TEXT_CHARACTERS), Readable]
    time: Annotated[
        str, StringConstraints(pattern=r"^[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9](\.[0-9]{1,6})?Z$", max_length=30)
    ]
    signature: Signature


class Stopped(Body):
    """The signer's answer to a stop."""

    epoch: int
    ledger_index: int


def seal(one: register.RegisteredSeal) -> Seal:
    """A seal."""
    return Seal(
        id=one.id,
        name=one.name,
        kind=one.kind,
        state=one.state,
        epoch=one.epoch,
        algorithm=one.algorithm,
        spki_sha256=one.spki_sha256.hex(),
        certificate=base64.b64encode(one.certificate).decode("ascii"),
        pictures=[digest.hex() for digest in one.pictures],
        content_policy=one.content_policy,
        certification=one.certification.word,  # type: ignore[arg-type]  # one of the two, as the register sees to
        quorum=dict(one.quorum),
    )


def grant(one: register.Grant) -> Grant:
    """A grant."""
    return Grant(**vars(one))
