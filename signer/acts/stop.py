"""An officer's stop, given directly to the signer, whether or not the workflow runs. Once it is committed, nothing commits against it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sealcore.clock import SKEW, Clock
from sealcore.errors import Code, VermilionError
from sealcore.protocol.ledger_entry import time_us
from sealcore.protocol.p256 import require_low_s
from sealcore.protocol.stop import StopStatement, verify
from sealcore.text import require_readable
from signer.acts.model import stop_act
from signer.register.model import EpochKind
from signer.register.store import RegisterStore

FRESH = timedelta(hours=24)  # an officer may sign elsewhere and send it later, within this time


@dataclass(frozen=True)
class Stopped:
    """The epoch that the stop began, and its ledger entry."""

    epoch: int
    ledger_index: int


def stop(store: RegisterStore, clock: Clock, statement: StopStatement, signature: bytes) -> Stopped:
    """Carries out a stop. The same statement again changes nothing, not even after a resume: it cannot be replayed.

    Raises APPROVER_UNKNOWN, DECISION_INVALID, SEAL_UNKNOWN, SEAL_RETIRED, INVALID_ARGUMENT for a statement that is not of today.
    """
    require_readable(statement.reason, "the reason of the stop")
    now = clock.now()
    signed_at = datetime.fromisoformat(statement.time)
    # Whoever saw a stop that was never submitted could otherwise submit it on a day of their
    # choosing.
    if not now - FRESH <= signed_at <= now + SKEW:
        raise VermilionError(Code.INVALID_ARGUMENT, "the stop was not signed within the last 24 hours")
    register = store.current()  # a repeat gets the first answer; its signature must verify all the same
    verify(statement, signature, register.person(statement.officer, "officer").key)
    require_low_s(signature, "the officer's")
    recorded = store.record(stop_act(statement, signature, time_us(now)))
    kind: EpochKind = "seal" if statement.subject_kind == "seal" else "grant"
    return Stopped(recorded.register.epoch(kind, statement.subject), recorded.ledger_index)
