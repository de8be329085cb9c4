"""A restore of the CA's database from a backup (docs/protocol.md, "Keys and trust"): what the backup does not know must not count twice."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Engine, func, insert, select, update

from ca.instants import from_text, to_text
from ca.revocation.revoke import SALT_BYTES
from ca.tables import acts, issuers, outbox, restores
from sealcore.clock import Clock
from sealcore.ids import uuid7
from sealcore.platform.db import read, write
from sealcore.protocol.canonical import b64url, canonical_json
from sealcore.protocol.labels import ACT_V1

CRL_NUMBERS_SKIPPED: Final = 1_000_000
"""More CRLs than were made since any backup: none gets a number that relying parties have seen (RFC 5280 §5.2.3)."""


def record_restore(engine: Engine, *, clock: Clock) -> datetime:
    """From the returned moment on: no approval token counts in which anything is dated before it, and CRLs are made anew under higher numbers.

    Noted for the ledger.
    """
    now = clock.now()
    counts_from = now.replace(microsecond=0) + timedelta(seconds=1)  # a token's times are in whole seconds
    act, salt = uuid7(), b64url(secrets.token_bytes(SALT_BYTES))
    evidence = canonical_json({"kind": "restore", "restored_at": to_text(counts_from), "salt": salt}).decode("utf-8")
    digest = hashlib.sha256(ACT_V1 + evidence.encode("utf-8")).digest()
    with write(engine) as connection:
        kept = {"id": act, "evidence": evidence, "issuer": "", "serial": "", "performed_at": to_text(now)}
        connection.execute(insert(acts).values(kept))
        connection.execute(insert(restores).values(act=act, restored_at=to_text(counts_from)))
        connection.execute(insert(outbox).values(idempotency_key=f"act:{act}", kind="revocation", subject_sha256=digest))
        # In one transaction with the restore: a CRL under an old number would be ignored by whoever
        # has seen a newer one.
        connection.execute(update(issuers).values(crl_number=issuers.c.crl_number + CRL_NUMBERS_SKIPPED, crl_due=True))
    return counts_from


def restored_at(engine: Engine) -> datetime | None:
    """The last restore, if there was one."""
    with read(engine) as connection:
        found = connection.execute(select(func.max(restores.c.restored_at))).scalar_one()
    return from_text(found) if found is not None else None
