"""What our authorities are called: a role, and from the second generation on a number, as in ``seals``, ``seals.2``, ``root.2``.

A generation has a key, a subject, a certificate and CRLs of its own. Its name stands in file names, URLs and the database.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Literal, get_args

from sealcore.errors import Code, VermilionError

Role = Literal["root", "seals", "infrastructure"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)
ISSUING: Final[tuple[Role, ...]] = ("seals", "infrastructure")

IssuerName = str
"""One authority of one generation."""

_NAME: Final = re.compile(rf"({'|'.join(ROLES)})(?:\.([2-9]|[1-9][0-9]))?")


def name_of(role: Role, generation: int) -> IssuerName:
    """The name of an authority; the first generation has no number."""
    return role if generation == 1 else f"{role}.{generation}"


def parts(name: IssuerName) -> tuple[Role, int]:
    """Role and generation; INVALID_ARGUMENT for what is no authority's name."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise VermilionError(Code.INVALID_ARGUMENT, f"{name} is no authority's name; names are like seals and seals.2")
    role = next(role for role in ROLES if role == found[1])
    return role, int(found[2] or 1)


def role_of(name: IssuerName) -> Role:
    """What the authority is for; INVALID_ARGUMENT for what is no authority's name."""
    return parts(name)[0]


def is_name(name: str) -> bool:
    """Whether an authority can be called so."""
    return _NAME.fullmatch(name) is not None


def generations(role: Role, names: Iterable[IssuerName]) -> list[IssuerName]:
    """Those of ``names`` that have this role, oldest first."""
    return sorted((name for name in names if role_of(name) == role), key=parts)


def newest(role: Role, names: Iterable[IssuerName]) -> IssuerName | None:
    """The newest generation of a role among ``names``; None when there is none."""
    return next(reversed(generations(role, names)), None)
