"""The statements of the store of uses, in each database's own words (``sealcore.platform.bulk``), and the rows that they take."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from sealcore.platform.bulk import Keyed, Many
from signer.tables import UseKey


class NewUse(NamedTuple):
    """A use that is begun for the first time."""

    jti: str
    use_index: int
    binding: bytes
    salt: bytes
    leaf_hash: bytes
    frozen: str


class Attempt(NamedTuple):
    """An attempt at a use."""

    jti: str
    use_index: int
    attempt: int


class Takeover(NamedTuple):
    """An attempt that is taken over, and what the next one freezes."""

    jti: str
    use_index: int
    attempt: int
    frozen: str


class EpochKey(NamedTuple):
    """Whose epoch it is."""

    kind: str
    subject: str


INSERT = Many(
    NewUse,
    "INSERT INTO uses (jti, use_index, state, binding, salt, leaf_hash, attempt, owner, lease_until_us, frozen, acknowledged)"
    " VALUES (:jti, :use_index, 'intended', :binding, :salt, :leaf_hash, 1, :owner, :lease_until_us, :frozen, 0) ON CONFLICT DO NOTHING",
    "INSERT INTO uses (jti, use_index, state, binding, salt, leaf_hash, attempt, owner, lease_until_us, frozen, acknowledged)"
    " SELECT jti, use_index, 'intended', binding, salt, leaf_hash, 1, :owner::text, :lease_until_us::bigint, frozen, 0 FROM {rows}"
    " ON CONFLICT DO NOTHING",
)
LOCKED = Keyed(  # in one order, so that no two can wait for each other
    UseKey,
    "SELECT jti, use_index, state, binding, leaf_hash, attempt, owner, lease_until_us, frozen FROM json_each(?)"
    " CROSS JOIN uses ON jti = :jti AND use_index = :use_index",
    "SELECT jti, use_index, state, binding, leaf_hash, attempt, owner, lease_until_us, frozen FROM {keys}"
    " JOIN uses USING (jti, use_index) ORDER BY jti, use_index FOR UPDATE OF uses",
)
TAKE_OVER = Many(
    Takeover,
    "UPDATE uses SET attempt = :attempt + 1, frozen = :frozen, owner = :owner, lease_until_us = :lease_until_us"
    " WHERE jti = :jti AND use_index = :use_index AND attempt = :attempt",
    "UPDATE uses SET attempt = given.attempt + 1, frozen = given.frozen, owner = :owner::text, lease_until_us = :lease_until_us::bigint"
    " FROM {rows} WHERE uses.jti = given.jti AND uses.use_index = given.use_index AND uses.attempt = given.attempt",
)
RELEASE = Many(
    Attempt,
    "UPDATE uses SET lease_until_us = 0 WHERE jti = :jti AND use_index = :use_index AND attempt = :attempt AND state = 'intended'",
    "UPDATE uses SET lease_until_us = 0 FROM {rows}"
    " WHERE uses.jti = given.jti AND uses.use_index = given.use_index AND uses.attempt = given.attempt AND state = 'intended'",
)
SEALED = Keyed(
    UseKey,
    "SELECT u.jti, u.use_index, u.attempt, u.ledger_index, u.sealed_sha256, u.warnings, s.content, e.entry"
    " FROM json_each(?) CROSS JOIN uses u ON u.jti = :jti AND u.use_index = :use_index"
    ' LEFT JOIN suffixes s ON s.ledger_index = u.ledger_index LEFT JOIN ledger_entries e ON e."index" = u.ledger_index',
    "SELECT u.jti, u.use_index, u.attempt, u.ledger_index, u.sealed_sha256, u.warnings, s.content, e.entry"
    " FROM {keys} JOIN uses u ON u.jti = given.jti AND u.use_index = given.use_index"
    ' LEFT JOIN suffixes s ON s.ledger_index = u.ledger_index LEFT JOIN ledger_entries e ON e."index" = u.ledger_index',
)
EPOCHS = Keyed(
    EpochKey,
    "SELECT kind, subject, epoch FROM json_each(?) CROSS JOIN epochs ON kind = :kind AND subject = :subject",
    "SELECT kind, subject, epoch FROM {keys} JOIN epochs USING (kind, subject)",
)
EPOCHS_HELD = replace(EPOCHS, postgresql=f"{EPOCHS.postgresql} ORDER BY kind, subject FOR SHARE OF epochs")
