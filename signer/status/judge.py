"""Whether a seal with an outside CA's certificate may be used now, judged by the answers in the database, which are verified here again."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Final

from cryptography import x509

from sealcore.clock import Clock, why_not_current
from sealcore.errors import Code, VermilionError
from signer.register.model import Seal
from signer.status.answers import Answer, Link, read, spki
from signer.status.store import StatusStore

LOOK_EVERY_S: Final = 1.0  # an answer that the watch has stored is noticed within this time
_SEALS_HELD: Final = 256


@dataclass
class _Known:
    looked_s: float
    version: int | None
    answer: Answer | None


class Outside:
    """Tells seals of outside CAs from our own: no authority of ours is in their chain."""

    def __init__(self, own_chain_file: Path) -> None:
        try:
            own = x509.load_pem_x509_certificates(own_chain_file.read_bytes())
        except (OSError, ValueError):
            raise VermilionError(Code.CONFIGURATION_INVALID, f"{own_chain_file.name} holds no certificate that can be read") from None
        self._own = frozenset(spki(one) for one in own)
        self._links = lru_cache(maxsize=_SEALS_HELD)(self._found)

    def links(self, seal: Seal) -> Sequence[Link]:
        """Each certificate of the seal that an outside CA may revoke, the seal's own first; none for a seal of our own CA."""
        return self._links(seal.certificate, seal.chain)

    def _found(self, certificate: bytes, chain: tuple[bytes, ...]) -> Sequence[Link]:
        read_ = [x509.load_der_x509_certificate(one) for one in (certificate, *chain)]
        return links_of(read_, self._own)


def links_of(certificates: Sequence[x509.Certificate], own: frozenset[bytes]) -> Sequence[Link]:
    """The links of a chain down to its anchor, which nobody revokes; none where an authority of ``own`` (SPKIs) is in it."""
    # By key: our CAs keep their names from generation to generation, and anybody can copy a
    # name.
    if any(spki(one) in own for one in certificates[1:]):
        return ()
    return tuple(Link(child, parent) for child, parent in pairwise(certificates))


class StatusJudge:
    """Asked for every batch; reads the database at most once a second for each certificate. Thread-safe."""

    def __init__(self, outside: Outside, store: StatusStore, clock: Clock) -> None:
        self._outside = outside
        self._store = store
        self._clock = clock
        self._known: dict[bytes, _Known] = {}
        self._lock = threading.Lock()

    def require_good(self, seal: Seal) -> None:
        """Raises SEAL_CERTIFICATE_REVOKED, or REVOCATION_UNAVAILABLE when there is no current answer of the CA."""
        for link in self._outside.links(seal):
            require_good(self._answer(link), link, seal.id, self._clock)

    def _answer(self, link: Link) -> Answer | None:
        with self._lock:
            known = self._known.get(link.id)
        now_s = self._clock.monotonic_s()
        if known is not None and now_s - known.looked_s < LOOK_EVERY_S:
            return known.answer
        # The version alone is read each second; an answer (a CRL may have megabytes) is read and
        # verified when it has changed.
        version = self._store.version(link)
        answer = known.answer if known is not None and known.version == version else self._read(link)
        with self._lock:
            self._known[link.id] = _Known(now_s, version, answer)
        return answer

    def _read(self, link: Link) -> Answer | None:
        stored = self._store.get(link)
        return None if stored is None else read(stored.kind, stored.der, link, self._clock.now())


def require_good(answer: Answer | None, link: Link, seal_id: str, clock: Clock) -> None:
    """Raises SEAL_CERTIFICATE_REVOKED when the answer says so, REVOCATION_UNAVAILABLE when there is none or it has lapsed."""
    named = f"the certificate {link.certificate.serial_number:x} of the seal {seal_id}"
    if answer is None:
        raise VermilionError(Code.REVOCATION_UNAVAILABLE, f"its CA has not said yet whether {named} is revoked")
    # Before its age: revoked stays revoked, however old the answer is.
    if answer.revoked:
        raise VermilionError(Code.SEAL_CERTIFICATE_REVOKED, f"{named} is revoked by its CA")
    if (why := why_not_current(clock.now(), made=answer.this_update, ends=answer.next_update)) is not None:
        raise VermilionError(
            Code.REVOCATION_UNAVAILABLE,
            f"what its CA said of {named} {why}; nothing newer came",
            rule="Whether a certificate is revoked is known from an answer whose nextUpdate has not passed (RFC 5280 §5.1.2.5).",
        )
