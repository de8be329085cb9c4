"""Keeps a current answer at hand for every certificate: at the start, after each change of the record, and long before it lapses."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from typing import Final

from ca.ocsp.answer import AnswerMaker
from ca.ocsp.delegate import Delegation
from ca.ocsp.metrics import OcspMetrics
from ca.ocsp.record import AnswerRecord, Kept
from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.exhaustion import typed
from sealcore.hsm.watch import Watched
from sealcore.platform.log import get as get_log
from sealcore.platform.periodic import NOW, Backoff, Pause, Periodic, progress

ROUND_S: Final = 2.0  # how soon a change of the record is seen; a lookup sees it at once
SHARE: Final = 20  # of which one part may go into looking for what is due
FAULT_PAUSE_S: Final = 5.0  # after a round that failed
BATCH: Final = 100  # answers in one transaction
GRACE_S: Final = 60.0  # how long answers may be missing before the responder says that it is not ready


class Presigner:
    """Makes what is due for some CAs, in the background; others ask how it stands."""

    def __init__(
        self,
        record: AnswerRecord,
        delegations: Iterable[Delegation],
        watched: Watched,
        metrics: OcspMetrics,
        *,
        validity: timedelta,
        clock: Clock,
    ) -> None:
        self._record = record
        self._delegations = delegations
        self._watched = watched
        self._metrics = metrics
        self._validity = validity
        self._clock = clock
        self._complete_s: dict[str, float] = {}  # CA → when nothing was due any more
        self._begun = False  # whether there was a time when nothing at all was due
        self._failing: dict[str, VermilionError] = {}  # CA → why its answers could not be made in the last round
        self._task = Periodic(
            "ocsp-presign", self._timed_round, ROUND_S, first_s=NOW, retry=Backoff(FAULT_PAUSE_S, FAULT_PAUSE_S), clock=clock
        )
        self._log = get_log("ocsp")

    def start(self) -> None:
        """From now on by itself."""
        self._task.start()

    def stop(self) -> None:
        """Ends after the batch in hand."""
        self._task.stop()

    def round(self) -> bool:
        """Renews and signs all that is due; False when something could not be made, which the log names."""
        failing, self._failing = self._failing, {}
        for delegation in self._delegations:
            if self._begun:  # a generation that has joined since has the same grace
                self._complete_s.setdefault(delegation.authority.name, self._clock.monotonic_s())
            try:
                delegation.renew_if_due()
                self._sign_due(delegation)
            except Exception as raised:  # noqa: BLE001  (what is wrong with one CA must not keep the others from being served)
                name, fault = delegation.authority.name, typed(raised)
                self._metrics.faults.labels(str(fault.code)).inc()
                if name not in failing or failing[name].reason != fault.reason:  # once an outage, and when its reason changes
                    self._log.error("answers are due and cannot be made", ca=name, code=str(fault.code), reason=fault.reason)
                self._failing[name] = fault
        self._begun = self._begun or not self._failing
        return not self._failing

    def current(self) -> None:
        """REVOCATION_UNAVAILABLE when a CA has no delegate, or answers have been missing or out of date for a while.

        A CA that has certified nobody yet, as in the middle of a rollover, needs none.
        """
        for delegation in self._delegations:
            name, authority = delegation.authority.name, delegation.authority
            fresh = self._record.freshness(name, keeps_expired=authority.archive_cutoff is not None, now=self._clock.now())
            if fresh.waiting or fresh.lapses is not None:
                delegation.current()
            silent_s = self._clock.monotonic_s() - self._complete_s.get(name, float("-inf"))
            if fresh.waiting and silent_s > GRACE_S:
                reason = f"{fresh.waiting} certificates of the CA {name} have no current OCSP answer"
                raise VermilionError(Code.REVOCATION_UNAVAILABLE, reason)

    def _sign_due(self, delegation: Delegation) -> None:
        delegate, authority = delegation.current(), delegation.authority
        maker = AnswerMaker(delegate, self._validity)
        while not self._task.stopping:
            progress()
            now = self._clock.now()
            due = self._record.due(
                authority.name,
                keeps_expired=authority.archive_cutoff is not None,
                lapsing_before=min(now + self._validity / 2, delegate.certificate.not_valid_after_utc),
                now=now,
                most=BATCH,
            )
            if not due:
                self._complete_s[authority.name] = self._clock.monotonic_s()
                return
            outcomes = self._watched.run([partial(maker.presign, standing, now=now) for standing in due])
            made = [outcome for outcome in outcomes if isinstance(outcome, Kept)]
            if made:
                self._record.keep(authority.name, made)
                self._metrics.presigned.labels(authority.name).inc(len(made))
            # Only now, when what was made is kept: one fault does not cost the whole batch.
            for outcome in outcomes:
                if isinstance(outcome, VermilionError):
                    raise outcome

    def _timed_round(self) -> Pause | VermilionError:
        """A round, and the pause after it: long enough that looking for what is due takes no more than its share of the time."""
        began_s = self._clock.monotonic_s()
        if not self.round():
            return next(iter(self._failing.values()))
        return Pause(max(ROUND_S, SHARE * (self._clock.monotonic_s() - began_s)))
