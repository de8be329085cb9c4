"""After release: the state of a token's uses, acknowledgement, and the deletion of stored bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Engine, bindparam, delete, func, select, text, update

from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.platform import db
from sealcore.platform.bulk import Many
from sealcore.protocol.ledger_entry import time_us
from signer.tables import suffixes, tokens, uses

LEAST_KEPT_US = 7 * 24 * 3600 * 1_000_000  # docs/protocol.md, "Use", step 5: at least 7 days, acknowledged or not
BATCH = 1000  # rows a transaction, so that housekeeping and long lists block nobody for long
_GONE = 2  # ``uses.acknowledged``: 0 not yet; 1 yes; 2 yes, and the bytes are deleted
_IS_HELD = text("acknowledged = 1")  # worded as in the partial index, or the index is not used


class _Index(NamedTuple):
    use_index: int


_ACKNOWLEDGE = Many(
    _Index,
    "UPDATE uses SET acknowledged = 1 WHERE jti = :jti AND use_index = :use_index AND state = 'sealed' AND acknowledged = 0",
    "UPDATE uses SET acknowledged = 1 FROM {rows}"
    " WHERE jti = :jti::text AND uses.use_index = given.use_index AND state = 'sealed' AND acknowledged = 0",
)


@dataclass(frozen=True)
class UseState:
    """One use of a token, for a client that resumes."""

    index: int
    state: str
    attempts: int
    ledger_index: int | None


@dataclass(frozen=True)
class Grant:
    """A grant that was used at least once, with the number of its uses."""

    jti: str
    jws: str
    client: str
    uses: int


class Retention:
    """Reads uses for the clients that own them, and deletes stored bytes once they have been kept long enough."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    def of_token(self, jti: str, peer: str) -> list[UseState]:
        """The uses of the peer's own token, by index; none when it was never used. PERMISSION_DENIED for another client's."""
        self._require_own(jti, peer)
        with db.read(self._engine) as connection:
            columns = (uses.c.use_index, uses.c.state, uses.c.attempt, uses.c.ledger_index)
            rows = connection.execute(select(*columns).where(uses.c.jti == jti).order_by(uses.c.use_index))
            return [UseState(row.use_index, row.state, row.attempt, row.ledger_index) for row in rows]

    def acknowledge(self, jti: str, indexes: Sequence[int], peer: str) -> int:
        """Notes that the client has stored these sealed documents; returns how many of them are sealed."""
        self._require_own(jti, peer)
        named, sealed = sorted(set(indexes)), 0
        for start in range(0, len(named), BATCH):
            part = named[start : start + BATCH]
            # Only sealed ones: an acknowledgement that runs ahead must not lead to the deletion of
            # bytes that nobody has received.
            held = (uses.c.jti == jti) & uses.c.use_index.in_(part) & (uses.c.state == "sealed")
            with db.write(self._engine) as connection:
                sealed += connection.execute(select(func.count()).select_from(uses).where(held)).scalar_one()
                _ACKNOWLEDGE.run(connection, [_Index(index) for index in part], jti=jti)
        return sealed

    def delete_due(self) -> int:
        """Deletes the bytes of uses that were acknowledged and kept long enough; returns how many. The uses stay for ever."""
        deleted = 0
        before_us = time_us(self._clock.now()) - LEAST_KEPT_US
        due = select(uses.c.jti, uses.c.use_index, uses.c.ledger_index).where(_IS_HELD, uses.c.ended_us < before_us)
        while True:
            with db.write(self._engine) as connection:
                rows = connection.execute(due.order_by(uses.c.jti, uses.c.use_index).limit(BATCH)).all()
                # In one transaction with the mark on the use: a repeat must read
                # SEALED_BYTES_EXPIRED, never find a sealed use without its bytes.
                connection.execute(delete(suffixes).where(suffixes.c.ledger_index.in_([row.ledger_index for row in rows])))
                gone = update(uses).where(uses.c.jti == bindparam("at_jti"), uses.c.use_index == bindparam("at_index"))
                if rows:
                    keys = [{"at_jti": row.jti, "at_index": row.use_index} for row in rows]
                    connection.execute(gone.values(acknowledged=_GONE), keys)
            deleted += len(rows)
            if len(rows) < BATCH:
                return deleted

    def grants(self) -> list[Grant]:
        """Every grant that was used, newest first."""
        counted = select(func.count()).select_from(uses).where(uses.c.jti == tokens.c.jti).scalar_subquery()
        wanted = (
            select(tokens.c.jti, tokens.c.jws, tokens.c.sub, counted.label("uses"))
            .where(tokens.c.kind == "grant")
            .order_by(tokens.c.first_seen_us.desc())
        )
        with db.read(self._engine) as connection:
            return [Grant(row.jti, row.jws, row.sub, row.uses) for row in connection.execute(wanted) if row.uses]

    def _require_own(self, jti: str, peer: str) -> None:
        with db.read(self._engine) as connection:
            sub = connection.execute(select(tokens.c.sub).where(tokens.c.jti == jti)).scalar_one_or_none()
        if sub is not None and sub != peer:
            raise VermilionError(Code.PERMISSION_DENIED, f"the token {jti} is another client's")
