"""What step 7 asks: is the seal's signature value in the ledger, under a checkpoint that the log signed and a witness cosigned?

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
from sealcore.ledger.entry import Entry, EntryKind, commitment
from sealcore.ledger.reader import LocatedEntry, LogReader, TrustedCheckpoint

COMMIT_LAG = timedelta(seconds=5)  # from a seal's timestamp to its entry; no document leaves before its entry is durable (I3)
FRESH = timedelta(seconds=60)  # so old a seal may still be on its way into the public log
PATIENCE_S = 3.0  # how long a lookup waits for it; checkpoints come every second while something is new
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
    """Not among the entries up to ``checkpoint``. ``is_final`` when every entry that could be the seal's was searched."""

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
        self, reader: LogReader, clock: Clock, disclosure: Disclosure | None = None, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._reader = reader
        self._clock = clock
        self._disclosure = disclosure
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
        until_s = self._clock.monotonic_s() + (PATIENCE_S if self._is_fresh(sealed_at) else 0.0)
        while True:
            checkpoint = self.follow()
            located = self._reader.find(signature_hash)
            if located is not None:
                return self._found(located, signature_hash, checkpoint)
            if self._clock.monotonic_s() >= until_s:
                return Absent(checkpoint, self._is_final(checkpoint, sealed_at))
            self._sleep(_POLL_S)

    def _is_fresh(self, sealed_at: datetime | None) -> bool:
        return sealed_at is not None and self._clock.now() - sealed_at < FRESH

    def _is_final(self, checkpoint: TrustedCheckpoint, sealed_at: datetime | None) -> bool:
        """Whether the entry of a seal made at ``sealed_at`` would have to be under ``checkpoint``.

        The witness says as of when this was the newest tree head; for a seal made later than that, the signer's committed size
        decides when it can be asked. A checkpoint that is older than the seal proves nothing about it.
        """
        if checkpoint.cosigned_at_s is None:
            return False
        if sealed_at is None or datetime.fromtimestamp(checkpoint.cosigned_at_s, UTC) > sealed_at + COMMIT_LAG:
            return True
        try:
            return self._disclosure is not None and self._disclosure.committed_size() == checkpoint.size
        except VermilionError:
            return False

    def _found(self, located: LocatedEntry, signature_hash: bytes, checkpoint: TrustedCheckpoint) -> Found:
        form = self._form(signature_hash, located) if located.entry.kind == EntryKind.SEAL else None
        return Found(located.index, located.entry, checkpoint, form)

    def _form(self, signature_hash: bytes, located: LocatedEntry) -> str | None:
        committed = located.entry.commitments.get("form")
        if self._disclosure is None or committed is None:
            return None
        try:
            told = self._disclosure.form(signature_hash, located.index)
            return told[0] if told is not None and commitment(told[1], told[0]) == committed else None
        except VermilionError:
            return None  # the number is a courtesy; the entry already proves the authorisation


def is_doubt(fault: VermilionError) -> bool:
    """Whether a failed lookup means a ledger that contradicts itself, rather than one that is away."""
    return fault.code in (Code.LEDGER_INCONSISTENT, Code.PROOF_INVALID)
