"""Question in, answer out: pre-signed where one is kept; live for a nonce or for what cannot be kept, within a rate and a number at once.

Whatever a flood asks for, it reaches the HSM no faster than the rate, and pre-signed answers need no HSM at all.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

from asn1crypto import ocsp

from ca.names import IssuerName
from ca.ocsp.answer import AnswerMaker
from ca.ocsp.authority import PRESIGNED_HASHES
from ca.ocsp.delegate import Delegation
from ca.ocsp.question import Question, Refusal, RefusedError
from ca.ocsp.record import AnswerRecord, Kept, Standing
from sealcore.clock import Clock
from sealcore.errors import VermilionError
from sealcore.hsm.watch import Watched
from sealcore.platform.log import get as get_log

_QUIET_S: Final = 1.0  # strangers decide how often a fault happens: it is logged once in that time


@dataclass(frozen=True)
class Reply:
    """An answer.

    outcome  how it came about, for the metrics
    kept     the pre-signed answer that it is; only such a one may be cached
    """

    body: bytes
    outcome: str
    kept: Kept | None = None


class Rate:
    """So many a second, and at once after a pause (a token bucket). Threads may share it."""

    def __init__(self, per_s: float, clock: Clock) -> None:
        self._per_s, self._most, self._clock = per_s, max(per_s, 1.0) if per_s else 0.0, clock
        self._left, self._at_s = self._most, clock.monotonic_s()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Whether one more is within the rate."""
        with self._lock:
            now_s = self._clock.monotonic_s()
            self._left = min(self._most, self._left + (now_s - self._at_s) * self._per_s)
            self._at_s = now_s
            if self._left < 1:
                return False
            self._left -= 1
            return True


class Responder:
    """Answers for some CAs. Its work blocks (database, HSM): call it from threads."""

    def __init__(
        self,
        record: AnswerRecord,
        delegations: Iterable[Delegation],
        watched: Watched,
        *,
        validity: timedelta,
        nonce_answers_per_s: float,
        other_answers_per_s: float,
        at_once: int,
        clock: Clock,
    ) -> None:
        self._record = record
        self._delegations = delegations
        self._watched = watched
        self._validity = validity
        self._nonces, self._others = Rate(nonce_answers_per_s, clock), Rate(other_answers_per_s, clock)
        self._live = threading.Semaphore(at_once)
        self._clock = clock
        self._log = get_log("ocsp")
        self._quiet_until_s = 0.0

    @property
    def names(self) -> Collection[IssuerName]:
        """The CAs that are answered for."""
        return [delegation.authority.name for delegation in self._delegations]

    def answer(self, question: Question, *, only: IssuerName | None = None) -> Reply:
        """The answer; RefusedError with UNAUTHORIZED (no CA of ours, or not the ``only`` one), TRY_LATER, or INTERNAL_ERROR.

        A request that names certificates of several CAs is answered for the first of ours; those of others are "unknown" there,
        because a delegate speaks for one CA alone (RFC 6960 §4.2.2.2).
        """
        delegation = self._delegation(question, only)
        # Beyond the rate the client gets an answer without its nonce, as RFC 5019 lets responders
        # do, and not none at all.
        if question.nonce is not None and self._nonces.take():
            try:
                return Reply(self._make(delegation, question, question.nonce), "nonce")
            except RefusedError:
                pass  # without the nonce then
        (first, *more) = question.certificates
        if not more and first.hash_name in PRESIGNED_HASHES:
            _standing, kept = self._look_up(delegation.authority.name, first.serial)
            if kept is not None and kept.next_update > self._clock.now():
                return Reply(kept.responses[PRESIGNED_HASHES.index(first.hash_name)], "presigned", kept)
        if not self._others.take():
            raise RefusedError(Refusal.TRY_LATER, "too many questions that need an answer of their own")
        return Reply(self._make(delegation, question, None), "live")

    def _delegation(self, question: Question, only: IssuerName | None) -> Delegation:
        for cert_id in question.certificates:
            for delegation in self._delegations:
                if only in (None, delegation.authority.name) and delegation.authority.is_issuer_in(cert_id):
                    return delegation
        raise RefusedError(Refusal.UNAUTHORIZED, "no certificate of a CA that is answered for here")

    def _look_up(self, issuer: IssuerName, serial: int) -> tuple[Standing, Kept | None]:
        try:
            return self._record.look_up(issuer, serial)
        except VermilionError as fault:
            raise self._later(fault) from None

    def _make(self, delegation: Delegation, question: Question, nonce: bytes | None) -> bytes:
        """A live answer. It does not wait for others: threads that wait here would be missing for pre-signed answers."""
        if not self._live.acquire(blocking=False):
            raise RefusedError(Refusal.TRY_LATER, "as many answers as the token has sessions are being made")
        try:
            authority = delegation.authority
            asked = [
                (
                    ocsp.CertId.load(one.der),
                    self._look_up(authority.name, one.serial)[0] if authority.is_issuer_in(one) else Standing(one.serial, "unknown"),
                )
                for one in question.certificates
            ]
            maker = AnswerMaker(delegation.current(), self._validity)
            (outcome,) = self._watched.run([partial(maker.make, asked, now=self._clock.now(), nonce=nonce)])
            if isinstance(outcome, VermilionError):
                raise outcome
            return outcome
        except VermilionError as fault:
            raise self._later(fault) from None
        finally:
            self._live.release()

    def _later(self, fault: VermilionError) -> RefusedError:
        if (now_s := self._clock.monotonic_s()) >= self._quiet_until_s:
            self._quiet_until_s = now_s + _QUIET_S
            self._log.error("no live answer", code=str(fault.code), reason=fault.reason)
        return RefusedError(Refusal.TRY_LATER, fault.reason)
