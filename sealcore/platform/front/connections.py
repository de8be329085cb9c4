"""The connections of one listener: so many in all, so many of one address; when there are too many, who waits longest gives way.

A newcomer does not have to wait for others: it takes the place of a connection that has nothing going on (no request is being read or
answered), the one that has been so for longest; else of one that is slow. It is turned away only when every connection that could give
way is at work. An address that has its share gives way to itself alone; when the listener is full, the address with the most does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final, Protocol

from sealcore.platform.front.limits import HttpLimits

# Why a connection was ended, or not begun, by us: the label of a metric.
FULL: Final = "full"
SHARE: Final = "address_share"
GAVE_WAY: Final = "gave_way"
HANDSHAKE: Final = "handshake"
HEAD: Final = "head"
BODY: Final = "body"
IDLE: Final = "idle"
UNREAD: Final = "unread"
PIPELINED: Final = "pipelined"
DESCRIPTORS: Final = "descriptors"
MALFORMED: Final = "malformed"
REASONS: Final = (FULL, SHARE, GAVE_WAY, HANDSHAKE, HEAD, BODY, IDLE, UNREAD, PIPELINED, DESCRIPTORS, MALFORMED)

_COUNTED_AFTER: Final = 4  # all that is unread is counted anew once a quarter of what may be has come

Ended = Callable[[str], None]
"""Told the reason of each end; counts it."""


class Connection(Protocol):
    """One connection, from its acceptance to its end."""

    address: str

    def patience(self) -> tuple[int, float] | None:
        """How soon it gives way, the least first; None while it is at work."""

    def abort(self) -> None:
        """Ends it at once."""

    def look(self) -> None:
        """Once a second: ends it when it takes too long."""

    @property
    def unread_bytes(self) -> int:
        """Of answers that its reader has not taken."""


class Connections:
    """Used from one event loop. ``occupied`` is called when the first comes after there was none."""

    def __init__(
        self, limits: HttpLimits, most: int, ended: Ended = lambda _reason: None, *, occupied: Callable[[], None] = lambda: None
    ) -> None:
        self.ended, self._occupied = ended, occupied
        self._limits, self._most = limits, min(limits.connections, most)
        self._of_one = min(limits.connections_of_one, self._most)
        self._of: dict[str, dict[Connection, None]] = {}
        self._count = 0
        self._grown_bytes = 0  # of answers that have begun to wait for their readers since all of them were counted

    @property
    def count(self) -> int:
        """How many are open."""
        return self._count

    def has_room(self, address: str) -> bool:
        """Whether a connection from there can be let in; somebody may have given way for it."""
        mine = self._of.get(address, {})
        if len(mine) >= self._of_one:
            return self._give_way(mine) or self._refused(SHARE)
        if self._count < self._most:
            return True
        for group in sorted(self._of.values(), key=len, reverse=True):
            if len(group) >= len(mine) and self._give_way(group):
                return True
        return self._refused(FULL)

    def add(self, connection: Connection) -> None:
        """It was let in."""
        self._of.setdefault(connection.address, {})[connection] = None
        self._count += 1
        if self._count == 1:
            self._occupied()

    def remove(self, connection: Connection) -> None:
        """It has ended; harmless when that is known."""
        group = self._of.get(connection.address)
        if group is None or connection not in group:
            return
        del group[connection]
        self._count -= 1
        if not group:
            del self._of[connection.address]

    def shed(self, count: int) -> None:
        """The process has no descriptor left: so many of those that wait end."""
        for _ in range(count):
            if not self._of or not self._give_way(max(self._of.values(), key=len)):
                return

    def look(self) -> None:
        """Once a second."""
        everyone = [each for group in self._of.values() for each in group]
        for each in everyone:
            each.look()
        self._bound_unread()

    def answer_waits(self, connection: Connection) -> None:
        """It has more to take than its reader takes at once. In the second between two looks a thousand may come to that."""
        self._grown_bytes += connection.unread_bytes
        if self._grown_bytes > self._limits.unread_bytes // _COUNTED_AFTER:
            self._bound_unread(writing=connection)

    def abort_all(self) -> None:
        """The service ends."""
        for group in list(self._of.values()):
            for each in list(group):
                each.abort()

    def _bound_unread(self, writing: Connection | None = None) -> None:
        """Ends those with the most of their answers unread while there is too much of that; ``writing`` is not ended in the middle of it."""
        self._grown_bytes = 0
        unread = [(size, each) for group in self._of.values() for each in group if (size := each.unread_bytes)]
        too_many = sum(size for size, _each in unread) - self._limits.unread_bytes
        for size, largest in sorted(unread, key=lambda one: one[0], reverse=True):
            if too_many <= 0:
                return
            if largest is not writing:
                too_many -= size
                self.ended(UNREAD)
                largest.abort()

    def _give_way(self, group: Collection[Connection]) -> bool:
        waiting = [(patience, number, each) for number, each in enumerate(group) if (patience := each.patience()) is not None]
        if not waiting:
            return False
        _patience, _number, first = min(waiting)
        self.ended(GAVE_WAY)
        self.remove(first)
        first.abort()
        return True

    def _refused(self, reason: str) -> bool:
        self.ended(reason)
        return False
