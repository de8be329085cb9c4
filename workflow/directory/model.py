"""Units, people and clients, as the workflow knows them. No database, no network."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from sealcore.errors import Code, VermilionError

UNIT_PATTERN = r"^[A-Z][A-Z0-9]{0,15}$"


class Role(StrEnum):
    """What a person may do. Operating and auditing never go together with using seals (I8)."""

    APPLICANT = "applicant"
    APPROVER = "approver"
    OFFICER = "officer"  # may stop a seal or a grant at once
    OPERATOR = "operator"
    AUDITOR = "auditor"


_ALONE = frozenset({Role.OPERATOR, Role.AUDITOR})


@dataclass(frozen=True)
class Unit:
    """A part of the organisation; its code begins the numbers of its forms. One that has ended (not ``active``) takes nothing new."""

    code: str
    name: str
    active: bool = True

    def __post_init__(self) -> None:
        if not re.fullmatch(UNIT_PATTERN, self.code):
            raise VermilionError(Code.INVALID_ARGUMENT, "a unit's code is 1 to 16 capital letters and digits, a letter first")


@dataclass(frozen=True)
class Person:
    """A real, identified person with the key that signs their decisions (SubjectPublicKeyInfo, DER, P-256)."""

    id: str
    name: str
    unit: str
    roles: frozenset[Role]
    public_key: bytes
    active: bool = True

    def __post_init__(self) -> None:
        if not self.roles:
            raise VermilionError(Code.INVALID_ARGUMENT, "a person has at least one role")
        if self.roles & _ALONE and len(self.roles) > 1:
            raise VermilionError(
                Code.CONFLICT, "who operates the system or audits it has no other role", rule="Using, operating and auditing are separate."
            )

    def may(self, *roles: Role) -> bool:
        """Whether the person is active and has one of ``roles``."""
        return self.active and bool(self.roles & set(roles))


@dataclass(frozen=True)
class Client:
    """A business system that may submit forms and fetch their tokens; known by the SAN URI of its certificate.

    approved  whether people let it in (the ceremony, or an approved act on its certificate). Until then the workflow alone approves
              nothing for it, whatever a seal's quorum is
    units     those that it may apply for; its own ``unit`` is always among them
    """

    id: str
    name: str
    uri: str
    unit: str
    active: bool = True
    approved: bool = True
    units: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "units", self.units | {self.unit})

    @property
    def least_persons(self) -> int:
        """The least number of approvers of what it submits, below which no seal's quorum goes for it."""
        return 0 if self.approved else 1
