"""What the ledger is asked: is the seal's signature value in the ledger, under a checkpoint that the log signed and a witness cosigned?

``PublicLedger`` reads the log as any stranger does. The signer is asked for two things at most, both checked: the number of a
form, which must open the entry's commitment, and the committed size, to tell "never logged" from "not published yet".
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.platform.ledger.reader import LocatedEntry, LogReader, TrustedCheckpoint
from sealcore.protocol.ledger_entry import COMMIT_WITHIN_S, Entry, EntryKind, commitment

CLOCKS_DIFFER = timedelta(seconds=5)  # by which the log's clock may be ahead of ours or of the timestamp's
PATIENCE_S = 3.0  # how long a lookup waits for entries on their way; checkpoints come every second while something is new
_POLL_S = 0.5


@dataclass(frozen=True)
class Found:
    """The entry of a signature value, with a verified inclusion under ``checkpoint``; ``form`` when it was disclosed and checked."""

    index: int
    entry: Entry
    checkpoint: TrustedCheckpoint
    form: str | None = None


@dataclass(frozen=True)
class Absent:
    """Not among the entries up to ``checkpoint``. ``is_final`` when these are all that could be the seal's."""

    checkpoint: TrustedCheckpoint
    is_final: bool


class LedgerView(Protocol):
    """Looks up a seal by its signature hash. ``sealed_at`` is the trusted time of its timestamp.

    Raises SERVICE_UNAVAILABLE when the ledger cannot be asked; LEDGER_INCONSISTENT or PROOF_INVALID when it cannot be believed.
    """

    def look_up(self, signature_hash: bytes, sealed_at: datetime | None) -> Found | Absent: ...


class Disclosure(Protocol):
    """What the signer tells this service; nothing of it is believed unchecked. Raises ``VermilionError``."""

    def form(self, signature_hash: bytes, index: int) -> tuple[str, bytes] | None:
        """The form's number and the salt of its commitment."""

    def committed_size(self) -> int:
        """Entries that are committed, published or not."""


class PublicLedger:
    """The published log of one office; safe to share between threads."""

    def __init__(
        self,
        reader: LogReader,
        clock: Clock,
        disclosure: Disclosure | None = None,
        *,
        patience_s: float = PATIENCE_S,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._reader = reader
        self._clock = clock
        self._disclosure = disclosure
        self._patience_s = patience_s
        self._sleep = sleep
        self._followed: TrustedCheckpoint | None = None

    def follow(self) -> TrustedCheckpoint:
        """Reads what is new; raises as ``LedgerView``."""
        self._followed = self._reader.update()
        return self._followed

    def look_up(self, signature_hash: bytes, sealed_at: datetime | None) -> Found | Absent:
        """See ``LedgerView``."""
        if self._followed is not None:
            known = self._reader.find(signature_hash)
            if known is not None:  # what was proven once stays proven, the log up or down
                return self._found(known, signature_hash, self._followed)
        received = self._clock.now()  # the document is here, so its entry is committed: it is released only then (I3)
        until_s, committed = self._clock.monotonic_s() + self._patience_s, None
        while True:
            checkpoint = self.follow()
            located = self._reader.find(signature_hash)
            if located is not None:
                return self._found(located, signature_hash, checkpoint)
            # Asked once: a committed size from any moment after the document came is enough, and
            # the signer is spared the repeats.
            committed = self._committed() if committed is None else committed
            is_final = self._is_final(checkpoint, sealed_at, received, committed)
            if is_final or self._clock.monotonic_s() >= until_s:
                return Absent(checkpoint, is_final)
            self._sleep(_POLL_S)

    def _committed(self) -> int | None:
        """How many entries the signer had committed at some moment since the document came; None when it cannot be asked."""
        try:
            return None if self._disclosure is None else self._disclosure.committed_size()
        except VermilionError:
            return None

    @staticmethod
    def _is_final(checkpoint: TrustedCheckpoint, sealed_at: datetime | None, received: datetime, committed: int | None) -> bool:
        """Whether the document's entry, if it had one, would have to be under ``checkpoint``, which was searched whole.

        It would when the signer's head was read after the document had come, by us or by the log; or so long after its timestamp that
        nothing of then is committed any more. The witness's clock alone says nothing: a log that had to catch up, or whose checkpoints
        are of an earlier release, may have read its head at any time before.
        """
        # Without a witness the log could show each reader another history.
        if checkpoint.cosigned_at_s is None:
            return False
        if committed is not None and checkpoint.size >= committed:
            return True
        if checkpoint.complete_as_of_s is None:
            return False
        complete_as_of = datetime.fromtimestamp(checkpoint.complete_as_of_s, UTC) - CLOCKS_DIFFER
        return complete_as_of >= received or (sealed_at is not None and complete_as_of > sealed_at + timedelta(seconds=COMMIT_WITHIN_S))

    def _found(self, located: LocatedEntry, signature_hash: bytes, checkpoint: TrustedCheckpoint) -> Found:
        form = self._form(signature_hash, located) if located.entry.kind == EntryKind.SEAL else None
        return Found(located.index, located.entry, checkpoint, form)

    def _form(self, signature_hash: bytes, located: LocatedEntry) -> str | None:
        committed = located.entry.commitments.get("form")
        if self._disclosure is None or committed is None:
            return None
        try:
            told = self._disclosure.form(signature_hash, located.index)
            # The signer's word is opened against the public entry: a wrong number is as good as
            # none.
            return told[0] if told is not None and commitment(told[1], told[0]) == committed else None
        except VermilionError:
            return None  # the number is a courtesy; the entry already proves the authorisation


def is_doubt(fault: VermilionError) -> bool:
    """Whether a failed lookup means a ledger that contradicts itself, rather than one that is away."""
    return fault.code in (Code.LEDGER_INCONSISTENT, Code.PROOF_INVALID)
