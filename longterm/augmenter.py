"""Brings a signed PDF to B-LT or B-LTA, and renews its archive timestamp before that lapses (ETSI EN 319 142-1 §5.4, §5.5, §6)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from longterm.certificates import Certificate, Chain, Chains, certificate
from longterm.collecting import Collector, Gathered, Need
from longterm.model import Contents, Level, Store
from longterm.plan import Addition
from longterm.proofs import WEAK, Proof, Token
from longterm.sandbox import Sandbox
from longterm.writing import filled
from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError

_ORDER: Final = tuple(Level)
_SPARE_BYTES: Final = 128  # a TSA's tokens differ by some bytes: serial numbers, fractions of a second, ECDSA
_UNIT_BYTES: Final = 1024
MOST_S: Final = 300.0  # of one file, in which chains are still begun
_IDENTIFIER: Final = b"vermilion-augment-v1"


class Timestamper(Protocol):
    """A time-stamping authority, and the checks on what it answers."""

    def stamp(self, digest: bytes) -> bytes:
        """A token (DER) over a SHA-256 digest; raises VermilionError."""


@dataclass(frozen=True)
class Aim:
    """What files are brought to: the level, how long ahead of its end an archive timestamp is renewed, and whether /VRI is written."""

    level: Level = Level.B_LTA
    renew_before: timedelta = timedelta(days=90)
    vri: bool = False

    def __post_init__(self) -> None:
        if self.level not in (Level.B_LT, Level.B_LTA):
            raise VermilionError(Code.INVALID_ARGUMENT, "files are extended to B-LT or to B-LTA")
        if self.renew_before < timedelta(0):
            raise VermilionError(Code.INVALID_ARGUMENT, "archive timestamps are renewed before they lapse, not after")


@dataclass(frozen=True)
class Outcome:
    """One file.

    document  the whole file, as it was or with what was appended
    before    its level as it came; ``level`` as it is now
    lapses    when the certificate of its last document timestamp ends; None without one
    waiting   EVIDENCE_NOT_YET where validation data is still missing
    """

    document: bytes
    before: Level
    level: Level
    changed: bool
    renewed: bool = False
    lapses: datetime | None = None
    waiting: VermilionError | None = None


@dataclass(frozen=True)
class _Examined:
    """A file whose signatures were found whole; ``stamps`` are its document timestamps, in order. ``until_s``: how long it may take."""

    document: bytes
    contents: Contents
    proofs: tuple[Proof, ...]
    until_s: float

    @property
    def stamps(self) -> list[tuple[Proof, Token]]:
        return [(proof, proof.token) for proof in self.proofs if proof.token is not None]

    @property
    def signatures(self) -> list[Proof]:
        return [proof for proof in self.proofs if proof.token is None]

    def cover(self, proof: Proof) -> Token | None:
        """The first document timestamp over a signature."""
        return next((token for stamp, token in self.stamps if stamp.signed.end > proof.signed.end), None)

    def time(self, proof: Proof) -> datetime | None:
        """When a signature is proven to have existed; None where it is not."""
        cover = self.cover(proof)
        times = [token.time for token in proof.tokens] or ([cover.time] if cover is not None else [])
        return min(times, default=None)


class Augmenter:
    """Extends files, one after another or in several threads. ``timestamper`` may be None where only B-LT is aimed at."""

    def __init__(
        self, sandbox: Sandbox, chains: Chains, collector: Collector, timestamper: Timestamper | None, clock: Clock, *, aim: Aim
    ) -> None:
        if timestamper is None and aim.level is Level.B_LTA:
            raise VermilionError(Code.INVALID_ARGUMENT, "B-LTA takes a time-stamping authority")
        self._sandbox, self._chains, self._collector, self._timestamper, self._clock, self._aim = (
            sandbox,
            chains,
            collector,
            timestamper,
            clock,
            aim,
        )
        self._hole_size_bytes = 0

    def augment(self, document: bytes) -> Outcome:
        """The file at the level aimed at, or as far as it gets now; raises DOCUMENT_…, SIGNATURE_…, …_UNAVAILABLE, FETCH_FORBIDDEN."""
        file = self._examined(document)
        before = self.level(file)
        due = before is Level.B_LTA and self._aim.level is Level.B_LTA and self._is_due(file.stamps[-1][1])
        if _ORDER.index(before) >= _ORDER.index(self._aim.level) and not due:
            return self._outcome(file, file, before)
        current = file
        # The timestamp comes first and the evidence after it: an answer about the signer counts
        # only when it is younger than the signature's proven time, so it may not exist yet. Until
        # then the file waits as B-T, with its time already secured.
        if before is Level.B_B:
            self._collector.gather(list(self._unproven(file)), file.contents.store, fetch=True)  # not for what is revoked already
            current = self._written(file, Gathered(), stamped=True)
        try:
            archived = self._aim.level is Level.B_LTA
            gathered = self._collector.gather(list(self._needs(current, archived)), current.contents.store, fetch=True)
        except VermilionError as fault:
            if fault.code is not Code.EVIDENCE_NOT_YET:
                raise
            return self._outcome(file, current, before, waiting=fault)
        return self._outcome(file, self._written(current, gathered, stamped=archived), before, renewed=due)

    def level(self, file: _Examined) -> Level:
        """What a file is at, as it stands; nothing is fetched."""
        if any(file.time(proof) is None for proof in file.signatures):
            return Level.B_B
        if self._collector.gather(list(self._needs(file, False)), file.contents.store, fetch=False).missing:
            return Level.B_T
        return Level.B_LTA if file.stamps and self._is_archived(file) else Level.B_LT

    def _is_archived(self, file: _Examined) -> bool:
        """Whether the last document timestamp covers all validation data that the signatures before it need."""
        end = file.stamps[-1][0].signed.end
        if any(proof.signed.end > end for proof in file.proofs):
            return False
        # Nothing follows the timestamp, so it covers the whole store; that saves reading the file a
        # second time.
        if not file.document[end:].strip():
            return True
        covered = self._sandbox.read(file.document[:end])
        return not self._collector.gather(list(self._needs(file, False)), covered.store, fetch=False).missing

    def _is_due(self, last: Token) -> bool:
        return last.hash_name in WEAK or self._lapses(last) - self._clock.now() <= self._aim.renew_before

    @staticmethod
    def _lapses(token: Token) -> datetime:
        return token.signer.parsed.not_valid_after_utc

    def _outcome(
        self, was: _Examined, now: _Examined, before: Level, *, renewed: bool = False, waiting: VermilionError | None = None
    ) -> Outcome:
        lapses = self._lapses(now.stamps[-1][1]) if now.stamps else None
        level = before if was is now else self.level(now)
        return Outcome(now.document, before, level, was is not now, renewed, lapses, waiting)

    # --- what is to be proven ----------------------------------------------------------------------------------------------------

    def _unproven(self, file: _Examined) -> Iterator[Need]:
        """Of signatures without a timestamp: that they are in good standing now."""
        now = self._clock.now()
        for proof in file.signatures:
            if file.time(proof) is None:
                chain = self._chain(file, proof.signer, self._known(file, proof.certificates), now)
                yield Need(chain, datetime.min.replace(tzinfo=UTC), now, None, proof.signed.vri_key)

    def _needs(self, file: _Examined, archiving: bool) -> Iterator[Need]:
        """Of all signatures, their timestamps, and the document timestamps: the last of them only when ``archiving``, or where a
        signature has no other."""
        now, stamps = self._clock.now(), file.stamps
        through_last = archiving
        for proof in file.signatures:
            time, cover = file.time(proof), file.cover(proof)
            assert time is not None, "signatures without a timestamp were given one"
            chain = self._chain(file, proof.signer, self._known(file, proof.certificates), time)
            yield Need(chain, time, _until(time, cover, now, archiving), time, proof.signed.vri_key)
            for token in proof.tokens:
                yield self._of_token(file, token, cover, proof.signed.vri_key, archiving)
            through_last |= cover is not None and cover is stamps[-1][1] and not proof.tokens
        for index, (proof, token) in enumerate(stamps):
            following = stamps[index + 1][1] if index + 1 < len(stamps) else None
            if following is not None or through_last:
                yield self._of_token(file, token, following, proof.signed.vri_key, archiving)

    def _of_token(self, file: _Examined, token: Token, cover: Token | None, key: str, archiving: bool) -> Need:
        usage = token.signer.extension(x509.ExtendedKeyUsage)
        if usage is None or ExtendedKeyUsageOID.TIME_STAMPING not in usage:
            raise VermilionError(Code.SIGNATURE_UNTRUSTED, f"the certificate {token.signer.name!r} is not one of a time-stamping authority")
        known, now = self._known(file, token.certificates), self._clock.now()
        chain = self._chain(file, token.signer, known, token.time)
        # The chain has to hold again when the next timestamp takes over: a token whose chain had
        # ended by then proves nothing to a verifier at that time.
        self._chain(file, token.signer, known, cover.time if cover is not None else now)
        proven = cover.time if cover is not None else None
        return Need(chain, token.time, _until(token.time, cover, now, archiving), proven, key)

    def _chain(self, file: _Examined, leaf: Certificate, others: Iterable[Certificate], moment: datetime) -> Chain:
        """Each chain takes bounded work; a file may ask for hundreds. DOCUMENT_TOO_COMPLEX once its time is over."""
        if self._clock.monotonic_s() > file.until_s:
            raise VermilionError(Code.DOCUMENT_TOO_COMPLEX, f"its certificates took more than {MOST_S:.0f} s")
        return self._chains.chain(leaf, others, moment)

    @staticmethod
    def _known(file: _Examined, own: tuple[Certificate, ...]) -> list[Certificate]:
        return [*own, *(certificate(der) for der in file.contents.store.certificates)]

    # --- reading and writing -----------------------------------------------------------------------------------------------------

    def _examined(self, document: bytes) -> _Examined:
        contents = self._sandbox.read(document)
        until_s = self._clock.monotonic_s() + MOST_S
        return _Examined(document, contents, self._sandbox.prove(document, contents.signed), until_s)

    def _written(self, file: _Examined, gathered: Gathered, *, stamped: bool) -> _Examined:
        store = gathered.store.without(file.contents.store)
        vri = gathered.by_key if self._aim.vri else {}
        document = file.document
        identifier = hashlib.sha256(_IDENTIFIER + hashlib.sha256(document).digest()).digest()[:16]
        if not stamped:
            suffix, _stamp = self._sandbox.write(document, Addition(store, identifier, 0, vri))
        else:
            suffix = self._stamped(document, store, identifier, vri)
        return self._read_back(file, document + suffix, store, stamped=stamped)

    def _stamped(self, document: bytes, store: Store, identifier: bytes, vri: dict[str, Store]) -> bytes:
        """The update with a document timestamp over all of it; the hole is as large as this TSA's tokens need."""
        if self._timestamper is None:
            raise VermilionError(Code.INVALID_ARGUMENT, "a signature without a timestamp takes a time-stamping authority")
        if not self._hole_size_bytes:
            # The hole's size is part of what is stamped, so it has to be known before. One token
            # that is thrown away tells it for every file of this run.
            self._make_room(self._timestamper.stamp(hashlib.sha256(document).digest()))
        while True:
            size = self._hole_size_bytes
            suffix, stamp = self._sandbox.write(document, Addition(store, identifier, size, vri))
            assert stamp is not None
            digest = hashlib.sha256(document)
            digest.update(memoryview(suffix)[: stamp.byte_range[1] - len(document)])
            digest.update(memoryview(suffix)[stamp.byte_range[2] - len(document) :])
            token = self._timestamper.stamp(digest.digest())
            if len(token) <= size:
                return filled(suffix, len(document), stamp, token)
            self._make_room(token)

    def _make_room(self, token: bytes) -> None:
        self._hole_size_bytes = max(self._hole_size_bytes, -(-(len(token) + _SPARE_BYTES) // _UNIT_BYTES) * _UNIT_BYTES)

    def _read_back(self, file: _Examined, document: bytes, store: Store, *, stamped: bool) -> _Examined:
        """The new file as a reader finds it: all that was there, all that was added, whole and trusted; DOCUMENT_READBACK, SIGNATURE_…"""
        # Before anything replaces the user's file: a writer's fault must not cost the only good
        # copy.
        again = self._sandbox.read(document)
        old = len(file.contents.signed)
        if again.signed[:old] != file.contents.signed or len(again.signed) != old + stamped or store.without(again.store):
            raise VermilionError(Code.DOCUMENT_READBACK, "what was added is not found again; the file was left as it was")
        new = self._sandbox.prove(document, again.signed[old:])
        for made in (proof.token for proof in new if proof.token is not None):
            self._chain(file, made.signer, made.certificates, self._clock.now())
        return _Examined(document, again, file.proofs + new, file.until_s)


def _until(time: datetime, cover: Token | None, now: datetime, archiving: bool) -> datetime:
    """When answers about CAs must still count: at the archive timestamp over them, at the one to be made now, or at ``time``."""
    if cover is not None:
        return cover.time
    return now if archiving else time
