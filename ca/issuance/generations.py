"""Generations of an authority in the CA's record: which there are, and which have nothing left in force."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, Engine, func, insert, select
from sqlalchemy.exc import IntegrityError

from ca.instants import to_text
from ca.names import IssuerName, newest, role_of
from ca.tables import State, certificates, issuers
from sealcore.platform.db import read, write


def enrol(engine: Engine, names: Iterable[IssuerName]) -> None:
    """Gives each authority its row, from which its CRLs are numbered; one that has it keeps it."""
    for name in names:
        with read(engine) as connection:
            known = connection.execute(select(issuers.c.name).where(issuers.c.name == name)).first()
        if known is None:
            try:
                with write(engine) as connection:
                    connection.execute(insert(issuers).values(name=name, crl_number=0, crl_due=True))
            except IntegrityError:
                continue  # another replica was quicker


def is_spent(connection: Connection, name: IssuerName, now: datetime) -> bool:
    """Whether an authority has a successor, and everything that it issued has expired: then its next CRL is its last."""
    names = connection.execute(select(issuers.c.name)).scalars().all()
    if newest(role_of(name), names) == name:
        return False
    in_force = select(func.count()).where(
        certificates.c.issuer == name, certificates.c.state != State.ABANDONED, certificates.c.not_after >= to_text(now)
    )
    return connection.execute(in_force).scalar_one() == 0
