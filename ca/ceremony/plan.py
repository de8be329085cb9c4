"""The ceremony file: which authorities there are. Read by the ceremony and by the service that keeps their CRLs fresh."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Self

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from ca.names import ISSUING, ROLES, IssuerName, Role, parts
from sealcore.errors import Code, VermilionError
from sealcore.platform.config import Block


class AuthorityPlan(Block):
    """One authority; the fields are explained at the top of ``ceremony.toml``."""

    key: str
    common_name: str
    days: int = Field(ge=1, le=9132)
    crl_days: int = Field(ge=1, le=366)
    crl_hours: int = Field(ge=1)
    crl_keeps_expired: bool

    @model_validator(mode="after")
    def _fresh_in_time(self) -> Self:
        if self.crl_every > self.crl_lifetime:
            raise ValueError("a CRL must be made anew before it lapses")
        return self

    @property
    def crl_lifetime(self) -> timedelta:
        """From thisUpdate to nextUpdate."""
        return timedelta(days=self.crl_days)

    @property
    def crl_every(self) -> timedelta:
        """The age at which a CRL is replaced."""
        return timedelta(hours=self.crl_hours)


class Plan:
    """What is planned for each authority: the file speaks of roles, a successor is like the first with a number to its names."""

    def __init__(self, roles: Mapping[Role, AuthorityPlan]) -> None:
        if set(roles) != set(ROLES):
            raise VermilionError(Code.CONFIGURATION_INVALID, "the ceremony file declares root, seals and infrastructure")
        if any(roles[role].crl_days > _ISSUING_CRL_DAYS_LIMIT for role in ISSUING):
            raise VermilionError(Code.CONFIGURATION_INVALID, "an issuing CA's CRL lives at most 7 days")
        self._roles = roles

    def __getitem__(self, name: IssuerName) -> AuthorityPlan:
        role, generation = parts(name)
        first = self._roles[role]
        if generation == 1:
            return first
        names = {"key": f"{first.key}.{generation}", "common_name": f"{first.common_name} G{generation}"}
        return first.model_copy(update=names)


_ISSUING_CRL_DAYS_LIMIT = 7  # docs/protocol.md, "Keys and trust", and CA/Browser Forum Baseline Requirements §4.9.7 (there: 10)


def load(path: Path | None = None) -> Plan:
    """The ceremony file at ``path``, or the one that ships with us; CONFIGURATION_INVALID naming what is wrong."""
    try:
        text = path.read_text("utf-8") if path else resources.files("ca.ceremony").joinpath("ceremony.toml").read_text("utf-8")
        roles = TypeAdapter(dict[Role, AuthorityPlan]).validate_python(tomllib.loads(text))
    except (OSError, tomllib.TOMLDecodeError) as fault:
        raise VermilionError(Code.CONFIGURATION_INVALID, f"the ceremony file cannot be read: {fault}") from None
    except ValidationError as fault:
        first = fault.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise VermilionError(Code.CONFIGURATION_INVALID, f"the ceremony file: {where}: {first['msg']}") from None
    return Plan(roles)
