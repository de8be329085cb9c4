"""The one way to tell another service what has happened here, although it may be away.

What is to be told is a row in the service's own table, written in the transaction that it tells of: both are there, or neither.
``Outbox`` delivers the rows afterwards, in the background, and tries again until each is taken or refused for good. A crash between
the call and our own commit, or two replicas at once, deliver a row twice: each carries a key by which its receiver knows a repeat.

The table, and what a delivery is, belong to the service: its ``Box``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import Any, Final, Protocol

from sealcore.errors import Code, Kind, VermilionError
from sealcore.exhaustion import typed
from sealcore.platform.log import get as get_log
from sealcore.platform.log import request
from sealcore.platform.periodic import NOW, Backoff, Periodic, progress
from sealcore.platform.rpc.errors import UnreachableError

INTERVAL_S: Final = 5.0
_TRY_AGAIN: Final = frozenset({Kind.BUSY, Kind.UNAVAILABLE, Kind.INTERNAL})


@dataclass(frozen=True)
class Item:
    """Something to deliver.

    id        grows with each row: the order of delivery
    receiver  for whom it is, as the log calls that service
    event     what the log calls it
    row       the table's own row, unread: what is wrong with one must not keep the others back
    """

    id: int
    receiver: str
    event: str
    row: Any


class Box(Protocol):
    """A service's table of what it has to tell, and the calls that tell it. Raises DATABASE_UNAVAILABLE when the table cannot be read."""

    def pending(self, after: int, away: Set[str]) -> Sequence[Item]:
        """Some of what is pending, oldest first, with ids above ``after``, and nothing for receivers that are ``away``."""

    def request_id(self, item: Item) -> str | None:
        """Of the request that the item comes from, so that its delivery is logged under it; None where it has none."""

    def hand_over(self, item: Item) -> int | None:
        """Makes the call; the ledger index, where the receiver gives one. Raises ``UnreachableError`` or the receiver's refusal."""

    def delivered(self, item: Item, ledger_index: int | None) -> None:
        """Notes that it is done."""


SetAside = Callable[[Item, VermilionError], None]
"""Takes an item that its receiver refuses for good out of what is pending; a person looks at it and closes it."""


class Outbox:
    """Delivers what is pending, oldest first: what was there at the start, then what its service commits and tells of by ``wake``.

    interval_s       how soon something is found that nobody told of: another replica wrote it and died
    first_retry_s    before the next pass when something could not be delivered
    longest_pause_s  between passes while something cannot be delivered; pauses double up to it
    set_aside        see ``SetAside``; an item that cannot be taken now then holds up nobody. Without it everything arrives in order:
                     what cannot be delivered, for whatever reason, holds back what is behind it for the same receiver
    """

    def __init__(
        self,
        name: str,
        box: Box,
        *,
        interval_s: float = INTERVAL_S,
        first_retry_s: float,
        longest_pause_s: float,
        set_aside: SetAside | None = None,
    ) -> None:
        self._box, self._set_aside = box, set_aside
        self._retry = Backoff(first_retry_s, longest_pause_s)
        self._task = Periodic(name, self._round, interval_s, first_s=NOW, retry=self._retry, failing="the outbox cannot be read")
        self._unanswered: set[int] = set()  # items over which a receiver gave no answer
        self._silent: set[str] = set()  # receivers whose outage is in the log already
        self._fault: VermilionError | None = None  # of the present pass
        self._said: dict[int, str] = {}  # items that were not taken, and why, as the log has it
        self._log = get_log("outbox")

    def start(self) -> None:
        """Delivers in the background until ``stop``."""
        self._task.start()

    def wake(self) -> None:
        """Something new may be pending: for ``db.on_commit``. While something cannot be delivered, it waits for the next try."""
        self._task.wake()

    def stop(self) -> None:
        """Ends after the delivery in progress."""
        self._task.stop()

    def deliver(self) -> bool:
        """One pass over what is pending; True when all of it is delivered or set aside. Raises DATABASE_UNAVAILABLE.

        A receiver that gives no answer is asked no more in this pass. The item that it was asked to take comes last in the next ones
        (where order does not matter), so that nobody waits behind an item over which a receiver hangs.
        """
        away: set[str] = set()
        self._fault = None
        after, all_delivered, last = 0, True, list[Item]()
        while items := self._box.pending(after, away):
            for item in items:
                # Set before it is tried: an item that fails must not be read again in this pass.
                after = item.id
                if item.id in self._unanswered and self._set_aside is not None:
                    last.append(item)
                else:
                    all_delivered &= self._try(item, away)
        for item in last:
            all_delivered &= self._try(item, away)
        self._silent &= away
        if all_delivered:
            self._said.clear()
        return all_delivered and not away

    def _round(self) -> VermilionError | None:
        if self.deliver():
            return None
        return self._fault or VermilionError(Code.SERVICE_UNAVAILABLE, "something could not be delivered yet")

    def _try(self, item: Item, away: set[str]) -> bool:
        """Whether the item is done with."""
        progress()
        if item.receiver in away or self._task.stopping:
            return False
        self._unanswered.discard(item.id)
        try:
            request_id = self._box.request_id(item)
        except Exception as fault:  # noqa: BLE001  (as below)
            self._unforeseen(item, away, fault)
            return False
        with request(request_id):
            return self._deliver_one(item, away)

    def _deliver_one(self, item: Item, away: set[str]) -> bool:
        try:
            ledger_index = self._box.hand_over(item)
        except UnreachableError as fault:
            self._unanswered.add(item.id)
            self._keep_from(away, item, fault)
            return False
        except VermilionError as fault:
            return self._refused(item, away, fault)
        except Exception as fault:  # noqa: BLE001  (what nobody foresaw about one item must not keep the others back)
            self._unforeseen(item, away, fault)
            return False
        # After the call, in a transaction of its own: a crash in between delivers it twice, and its
        # key makes the second one harmless.
        self._box.delivered(item, ledger_index)
        return True

    def _refused(self, item: Item, away: set[str], fault: VermilionError) -> bool:
        if self._set_aside is None:
            self._keep_from(away, item, fault)
            return False
        if fault.kind in _TRY_AGAIN:
            self._fault = fault
            if self._said.get(item.id) != fault.reason:  # once an item, and when the reason changes
                self._said[item.id] = fault.reason
                self._log.warning(f"the {item.receiver} cannot take an event now", event_name=item.event, code=str(fault.code))
            return False
        self._log.error(f"the {item.receiver} refuses an event", event_name=item.event, code=str(fault.code), reason=fault.reason)
        self._set_aside(item, fault)
        return True

    def _unforeseen(self, item: Item, away: set[str], fault: Exception) -> None:
        self._fault = typed(fault)
        if self._said.get(item.id) != self._fault.reason:
            self._said[item.id] = self._fault.reason
            self._log.error("fault", event_name=item.event, code=str(Code.INTERNAL), exc_info=fault)
        if self._set_aside is None:  # where order matters, nothing overtakes it
            away.add(item.receiver)

    def _keep_from(self, away: set[str], item: Item, fault: VermilionError) -> None:
        """Nothing more for this receiver in this pass. Said once an outage, not once a pass."""
        away.add(item.receiver)
        self._fault = fault
        if item.receiver not in self._silent:
            self._silent.add(item.receiver)
            told = {"event_name": item.event, "code": str(fault.code), "reason": fault.reason}
            self._log.warning(f"the {item.receiver} takes nothing now; what it is to be told is kept", **told)
