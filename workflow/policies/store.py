"""Policies in the database. Each function works inside the caller's transaction."""

from __future__ import annotations

from sqlalchemy import Connection, select

from workflow import tables
from workflow.policies.model import Policy
from workflow.rows import insert_row


def policies(connection: Connection, *, lock: bool = False) -> list[Policy]:
    """All versions of all policies. With ``lock`` they stay ours until the transaction ends."""
    query = select(tables.policies).order_by(tables.policies.c.id, tables.policies.c.version)
    query = query.with_for_update() if lock else query
    return [Policy(row.id, row.version, row.quorum, row.seal, row.action) for row in connection.execute(query)]


def add(connection: Connection, policy: Policy) -> None:
    """CONFLICT when the policy has this version."""
    values = {"id": policy.id, "version": policy.version, "quorum": policy.quorum, "seal": policy.seal, "action": policy.action}
    insert_row(connection, tables.policies, values, f"the policy {policy.id} has a version {policy.version}")
