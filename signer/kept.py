"""What is kept after release: the state of a token's uses, acknowledgement, and the end of stored bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, delete, func, select, tuple_, update

from sealcore import db
from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.ledger.entry import time_us
from signer.tables import suffixes, tokens, uses

LEAST_KEPT_US = 7 * 24 * 3600 * 1_000_000  # PROTOCOL "Use", step 5: at least 7 days, acknowledged or not
FORGET_BATCH = 1000  # rows a transaction, so that housekeeping holds nobody up


@dataclass(frozen=True)
class UseState:
    """One use of a token, for a client that resumes."""

    index: int
    state: str
    attempts: int
    ledger_index: int | None


@dataclass(frozen=True)
class Grant:
    """A grant that has been used at least once, with the number of its uses."""

    jti: str
    jws: str
    client: str
    uses: int


class KeptUses:
    """Reads uses for those they belong to, and lets stored bytes go when their time is over."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    def of_token(self, jti: str, peer: str) -> list[UseState]:
        """The uses of the peer's own token, by index; none when it has not been used. PERMISSION_DENIED for another's."""
        self._own(jti, peer)
        with db.read(self._engine) as connection:
            rows = connection.execute(select(uses).where(uses.c.jti == jti).order_by(uses.c.use_index))
            return [UseState(row.use_index, row.state, row.attempt, row.ledger_index) for row in rows]

    def acknowledge(self, jti: str, indexes: Sequence[int], peer: str) -> int:
        """Notes that the client holds these sealed documents safely; returns how many of them are sealed."""
        self._own(jti, peer)
        if not indexes:
            return 0
        with db.write(self._engine) as connection:
            held = (uses.c.jti == jti) & uses.c.use_index.in_(sorted(set(indexes))) & (uses.c.state == "sealed")
            return connection.execute(update(uses).where(held).values(acknowledged=True)).rowcount

    def forget(self) -> int:
        """Lets go of bytes that were acknowledged and kept long enough; returns how many. The uses themselves stay for ever."""
        forgotten = 0
        before_us = time_us(self._clock.now()) - LEAST_KEPT_US
        kept = uses.join(suffixes, (uses.c.jti == suffixes.c.jti) & (uses.c.use_index == suffixes.c.use_index))
        due = (
            select(uses.c.jti, uses.c.use_index)
            .select_from(kept)
            .where(uses.c.acknowledged, uses.c.ended_us < before_us)
            .limit(FORGET_BATCH)
        )
        while True:
            with db.write(self._engine) as connection:
                keys = [(row.jti, row.use_index) for row in connection.execute(due)]
                if keys:
                    connection.execute(delete(suffixes).where(tuple_(suffixes.c.jti, suffixes.c.use_index).in_(keys)))
            forgotten += len(keys)
            if len(keys) < FORGET_BATCH:
                return forgotten

    def grants(self) -> list[Grant]:
        """Every grant that has been used, newest first."""
        counted = select(uses.c.jti, func.count().label("uses")).group_by(uses.c.jti).subquery()
        wanted = (
            select(tokens.c.jti, tokens.c.jws, tokens.c.sub, counted.c.uses)
            .join(counted, counted.c.jti == tokens.c.jti)
            .where(tokens.c.kind == "grant")
            .order_by(tokens.c.first_seen_us.desc())
        )
        with db.read(self._engine) as connection:
            return [Grant(row.jti, row.jws, row.sub, row.uses) for row in connection.execute(wanted)]

    def _own(self, jti: str, peer: str) -> None:
        with db.read(self._engine) as connection:
            sub = connection.execute(select(tokens.c.sub).where(tokens.c.jti == jti)).scalar_one_or_none()
        if sub is not None and sub != peer:
            raise VermilionError(Code.PERMISSION_DENIED, f"the token {jti} is another client's")
