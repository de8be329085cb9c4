"""What is kept after release: the state of a token's uses, acknowledgement, and the end of stored bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, bindparam, delete, func, select, text, update

from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.platform import db
from sealcore.protocol.ledger_entry import time_us
from signer.tables import suffixes, tokens, uses

LEAST_KEPT_US = 7 * 24 * 3600 * 1_000_000  # docs/protocol.md, "Use", step 5: at least 7 days, acknowledged or not
BATCH = 1000  # rows a transaction, so that housekeeping and long lists hold nobody up
_GONE = 2  # ``uses.acknowledged``: 0 not yet; 1 yes; 2 yes, and the bytes are no longer kept
_IS_HELD = text("acknowledged = 1")  # in the words of the index that finds them

_ACKNOWLEDGE = db.Many(
    "UPDATE uses SET acknowledged = 1 WHERE jti = ?2 AND use_index = ?1 AND state = 'sealed' AND acknowledged = 0",
    "UPDATE uses SET acknowledged = 1 FROM {rows} AS v (i), (SELECT %b::text AS token) AS t"
    " WHERE jti = token AND use_index = i AND state = 'sealed' AND acknowledged = 0",
    ("bigint",),
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
            columns = (uses.c.use_index, uses.c.state, uses.c.attempt, uses.c.ledger_index)
            rows = connection.execute(select(*columns).where(uses.c.jti == jti).order_by(uses.c.use_index))
            return [UseState(row.use_index, row.state, row.attempt, row.ledger_index) for row in rows]

    def acknowledge(self, jti: str, indexes: Sequence[int], peer: str) -> int:
        """Notes that the client holds these sealed documents safely; returns how many of them are sealed."""
        self._own(jti, peer)
        named, sealed = sorted(set(indexes)), 0
        for start in range(0, len(named), BATCH):
            part = named[start : start + BATCH]
            held = (uses.c.jti == jti) & uses.c.use_index.in_(part) & (uses.c.state == "sealed")
            with db.write(self._engine) as connection:
                sealed += connection.execute(select(func.count()).select_from(uses).where(held)).scalar_one()
                _ACKNOWLEDGE.run(connection, [(index,) for index in part], (jti,))
        return sealed

    def forget(self) -> int:
        """Lets go of bytes that were acknowledged and kept long enough; returns how many. The uses themselves stay for ever."""
        forgotten = 0
        before_us = time_us(self._clock.now()) - LEAST_KEPT_US
        due = select(uses.c.jti, uses.c.use_index, uses.c.ledger_index).where(_IS_HELD, uses.c.ended_us < before_us)
        while True:
            with db.write(self._engine) as connection:
                rows = connection.execute(due.order_by(uses.c.jti, uses.c.use_index).limit(BATCH)).all()
                connection.execute(delete(suffixes).where(suffixes.c.ledger_index.in_([row.ledger_index for row in rows])))
                gone = update(uses).where(uses.c.jti == bindparam("at_jti"), uses.c.use_index == bindparam("at_index"))
                if rows:
                    keys = [{"at_jti": row.jti, "at_index": row.use_index} for row in rows]
                    connection.execute(gone.values(acknowledged=_GONE), keys)
            forgotten += len(rows)
            if len(rows) < BATCH:
                return forgotten

    def grants(self) -> list[Grant]:
        """Every grant that has been used, newest first."""
        counted = select(func.count()).select_from(uses).where(uses.c.jti == tokens.c.jti).scalar_subquery()
        wanted = (
            select(tokens.c.jti, tokens.c.jws, tokens.c.sub, counted.label("uses"))
            .where(tokens.c.kind == "grant")
            .order_by(tokens.c.first_seen_us.desc())
        )
        with db.read(self._engine) as connection:
            return [Grant(row.jti, row.jws, row.sub, row.uses) for row in connection.execute(wanted) if row.uses]

    def _own(self, jti: str, peer: str) -> None:
        with db.read(self._engine) as connection:
            sub = connection.execute(select(tokens.c.sub).where(tokens.c.jti == jti)).scalar_one_or_none()
        if sub is not None and sub != peer:
            raise VermilionError(Code.PERMISSION_DENIED, f"the token {jti} is another client's")
