"""Gathers what proves that certificates were in good standing: from the DSS where it is there, else from OCSP and CRLs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from longterm.answers import Answer, UnfitError, from_crl, from_ocsp
from longterm.certificates import Certificate, Chain
from longterm.model import Store
from longterm.sources import Sources
from sealcore.clock import Clock, why_not_current
from sealcore.errors import Code, VermilionError


@dataclass(frozen=True)
class Need:
    """A chain whose good standing is to be proven.

    after   when its leaf signed: an answer about the leaf must be younger
    until   when an answer about a CA, whose CRLs are rare, must not have ended yet: at the archive timestamp over it, if there is one
    proven  by when the signature is proven to have existed: a revocation until then breaks it; None: only now, so that any does
    key     of the signature it is for, in /VRI
    """

    chain: Chain
    after: datetime
    until: datetime
    proven: datetime | None
    key: str


@dataclass
class Gathered:
    """Validation data, for each signature and together; ``missing`` names certificates about which there is nothing."""

    by_key: dict[str, Store] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    @property
    def store(self) -> Store:
        """All of it, each piece once."""
        parts = list(self.by_key.values())
        return Store(
            _once(each for part in parts for each in part.certificates),
            _once(each for part in parts for each in part.crls),
            _once(each for part in parts for each in part.ocsps),
        )

    def add(self, key: str, certificates: Sequence[Certificate], answers: Sequence[Answer]) -> None:
        """What belongs to a signature."""
        old = self.by_key.get(key, Store())
        self.by_key[key] = Store(
            _once((*old.certificates, *(each.der for each in certificates))),
            _once((*old.crls, *(each.der for each in answers if each.is_crl))),
            _once((*old.ocsps, *(each.der for each in answers if not each.is_crl))),
        )


def _once(values: object) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys(values))  # type: ignore[call-overload]


@dataclass(frozen=True)
class _Question:
    about: Certificate
    issuer: Certificate
    need: Need
    is_leaf: bool
    by_crl_alone: bool = False


class Collector:
    """Answers needs. Safe to share between threads."""

    def __init__(self, sources: Sources, clock: Clock) -> None:
        self._sources, self._clock = sources, clock

    def gather(self, needs: Sequence[Need], store: Store, *, fetch: bool) -> Gathered:
        """What the needs take; without ``fetch`` from ``store`` alone, and what is not there is named.

        SIGNATURE_REVOKED, EVIDENCE_NOT_YET, REVOCATION_UNAVAILABLE, FETCH_FORBIDDEN.
        """
        gathered = Gathered()
        for need in needs:
            answers: list[Answer] = []
            for about, issuer in zip(need.chain, need.chain[1:], strict=False):
                question = _Question(about, issuer, need, is_leaf=about is need.chain[0])
                found = self._answered(question, store, fetch=fetch)
                answers += found
                if not found:
                    gathered.missing.append(about.name)
            delegates = [each.delegate for each in answers if each.delegate is not None]
            gathered.add(need.key, [*need.chain, *delegates], answers)
            if any(each.der not in store.certificates for each in need.chain[:-1]):
                gathered.missing.append(need.chain[0].name)
        return gathered

    def _answered(self, question: _Question, store: Store, *, fetch: bool) -> list[Answer]:
        """An answer, and the one about its delegate where that is needed; empty where there is none and nothing is fetched."""
        for kept in _kept(question, store):
            if self._fits(kept, question, fetched=False) is None:
                further = self._about_delegate(kept, question, store, fetch=fetch)
                if further is not None:
                    return [kept, *further]
        if not fetch:
            return []
        told: list[VermilionError] = []
        revoked: list[Answer] = []
        for answer in self._offered(question, told):
            why = self._fits(answer, question, fetched=True)
            if why is not None:
                told.append(why)
                continue
            further = self._about_delegate(answer, question, store, fetch=True)
            if further is None:
                continue
            if answer.is_crl or answer.revoked_at is None:
                return [answer, *further]
            revoked = revoked or [answer, *further]  # only a CRL can say since when the key is no good (invalidityDate): it is asked, too
        if revoked:
            return revoked
        raise _most_telling(told) or _unavailable(question, "it names neither an OCSP responder nor a CRL")

    def _about_delegate(self, answer: Answer, question: _Question, store: Store, *, fetch: bool) -> list[Answer] | None:
        """What is needed about the delegate who signed an OCSP answer (RFC 6960 §4.2.2.2.1); None where it cannot be had."""
        if answer.delegate is None or answer.nocheck:
            return []
        asked = _Question(answer.delegate, question.issuer, question.need, is_leaf=False, by_crl_alone=True)
        return self._answered(asked, store, fetch=fetch) or None

    def _offered(self, question: _Question, told: list[VermilionError]) -> Iterator[Answer]:
        """Fetched answers, OCSP first, each made anew where the kept one may be too old; why there is none goes to ``told``."""
        about, issuer = question.about, question.issuer
        for url in () if question.by_crl_alone else about.ocsp_urls:
            for live in (False, True):
                try:
                    yield from_ocsp(self._sources.ocsp(url, about, issuer, live=live), about, issuer)
                except UnfitError as fault:
                    told.append(_unavailable(question, f"the OCSP answer from {url} does not count: {fault}"))
                except VermilionError as fault:
                    told.append(fault)
        for url in about.crl_urls:
            for again in (False, True):
                try:
                    yield from_crl(self._sources.crl(url, again=again), about, issuer)
                except UnfitError as fault:
                    told.append(_unavailable(question, f"the CRL from {url} does not count: {fault}"))
                except VermilionError as fault:
                    told.append(fault)

    def _fits(self, answer: Answer, question: _Question, *, fetched: bool) -> VermilionError | None:
        """None, or why the answer does not serve; SIGNATURE_REVOKED where it says that the signature does not count."""
        need, about, now = question.need, question.about, self._clock.now()
        # Before all other checks: an answer that is too old to prove good standing still proves a
        # revocation.
        if answer.revoked_at is not None and (need.proven is None or answer.revoked_at <= need.proven):
            raise _revoked(question, answer.revoked_at)
        if (why := why_not_current(now, made=answer.this_update, ends=answer.next_update if fetched else None)) is not None:
            return _unavailable(question, f"the answer {why}")
        until = need.after if question.is_leaf else need.until
        if answer.next_update is not None and answer.next_update <= until and not (fetched and question.is_leaf):
            return _unavailable(question, f"the answer counted until {_text(answer.next_update)}, and it is needed for {_text(until)}")
        delegate = answer.delegate.parsed if answer.delegate is not None else None
        if delegate is not None and not delegate.not_valid_before_utc <= answer.this_update <= delegate.not_valid_after_utc:
            return _unavailable(question, "the responder's certificate was not valid when it answered")
        # CAs may drop expired certificates from CRLs (RFC 5280 §3.3), so silence afterwards means
        # nothing.
        if answer.this_update > about.parsed.not_valid_after_utc:
            return _unavailable(question, "the answer is younger than the certificate's end, when its entry may have been dropped")
        # An answer from before the signing cannot know of a revocation shortly before it.
        if question.is_leaf and answer.this_update <= need.after:
            return _not_yet(question, answer)
        return None


def _kept(question: _Question, store: Store) -> Iterator[Answer]:
    readers = [(from_crl, store.crls)] if question.by_crl_alone else [(from_ocsp, store.ocsps), (from_crl, store.crls)]
    for reader, answers in readers:
        for der in answers:
            try:
                yield reader(der, question.about, question.issuer)
            except UnfitError:
                continue


def _most_telling(told: Sequence[VermilionError]) -> VermilionError | None:
    """“Not yet” before “not allowed” before “not there”."""
    order = (Code.EVIDENCE_NOT_YET, Code.FETCH_FORBIDDEN)
    return min(told, key=lambda each: order.index(each.code) if each.code in order else len(order), default=None)


def _revoked(question: _Question, at: datetime) -> VermilionError:
    proven = question.need.proven
    known = f"is proven only for {_text(proven)}" if proven is not None else "is not proven for any time before that"
    return VermilionError(
        Code.SIGNATURE_REVOKED, f"the certificate {question.about.name!r} was revoked on {_text(at)}, and the signature {known}"
    )


def _not_yet(question: _Question, answer: Answer) -> VermilionError:
    due = f"; the next is due by {_text(answer.next_update)}" if answer.next_update is not None else ""
    return VermilionError(
        Code.EVIDENCE_NOT_YET,
        f"the newest answer about {question.about.name!r} is of {_text(answer.this_update)}, not younger than"
        f" the timestamp of {_text(question.need.after)}: try again later{due}",
    )


def _unavailable(question: _Question, why: str) -> VermilionError:
    return VermilionError(Code.REVOCATION_UNAVAILABLE, f"the standing of the certificate {question.about.name!r} is not known: {why}")


def _text(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"
