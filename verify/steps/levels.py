"""At what level of ETSI EN 319 142-1 §6 a signature is, by what the document holds of it. It is told and decides nothing.

B-T: a timestamp over it, or a document timestamp after it. B-LT: in the DSS, for signer and timestamp units, chains and younger
answers about them. B-LTA: a document timestamp over all that.
"""

# mypy: disallow-untyped-calls=False
from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from pyhanko.sign.general import extract_certificate_info, extract_signer_info
from pyhanko.sign.validation.generic_cms import extract_tst_data_iter, validate_sig_integrity
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature

from verify.report import Level, SealKind
from verify.steps.case import Case, Signature
from verify.steps.evidence import Evidence, evidence_of
from verify.steps.timestamps import MOST_TOKENS


@dataclass(frozen=True)
class _Token:
    """A timestamp token that is whole and over what it should be over."""

    time: datetime
    unit: x509.Certificate
    certificates: tuple[x509.Certificate, ...]


@dataclass(frozen=True)
class _Stamp:
    """A document timestamp, and after which revision of the document it was made."""

    token: _Token
    revision: int


def note_levels(case: Case) -> None:
    """For each signature that is whole; what cannot be read counts as not there. A document timestamp has no level of its own."""
    stamps = [stamp for signature in case.signatures for stamp in _stamp(signature)]
    judge = _Judge(case, stamps)
    for signature in case.signatures:
        if signature.embedded is not None and signature.is_sound and signature.kind is not SealKind.DOCUMENT_TIMESTAMP:
            signature.level = "B-B"
            with suppress(Exception):  # whatever a stranger's store provokes: the level is what was found until then
                for level in judge.levels(signature, signature.embedded):
                    signature.level = level


class _Judge:
    """Holds what the signatures of one document share."""

    def __init__(self, case: Case, stamps: list[_Stamp]) -> None:
        self._case, self._stamps = case, stamps
        self._held: dict[int | None, Evidence | None] = {}

    def levels(self, signature: Signature, embedded: EmbeddedPdfSignature) -> Iterator[Level]:
        """Those above B-B that it reaches, in order."""
        tokens = _tokens(embedded)
        after = [stamp for stamp in self._stamps if stamp.revision > embedded.signed_revision]
        if signature.certificate is None or not (tokens or after):
            return
        yield "B-T"
        dating = tokens or [after[0].token]
        needs = [(signature.certificate, min(token.time for token in dating)), *((each.unit, each.time) for each in dating)]
        if not self._proves(needs, None):
            return
        yield "B-LT"
        for number, stamp in enumerate(after):
            before = [(each.token.unit, each.token.time) for each in after[:number]]
            # As of the revision before the timestamp: evidence that was added later is not under
            # it.
            if self._proves([*needs, *before], stamp.revision):
                yield "B-LTA"
                return

    def _proves(self, needs: list[tuple[x509.Certificate, datetime]], revision: int | None) -> bool:
        """Whether the DSS as of a revision (None: the last one) has all that is needed."""
        if revision not in self._held:
            self._held[revision] = self._evidence(revision)
        held = self._held[revision]
        return held is not None and all(held.proves(certificate, after) for certificate, after in needs)

    def _evidence(self, revision: int | None) -> Evidence | None:
        reader, trust = self._case.readable, self._case.trust
        root = reader.root if revision is None else reader.get_historical_root(revision)
        return evidence_of(root, self._carried(), (*trust.roots, *trust.timestamp_anchors))

    def _carried(self) -> Iterator[x509.Certificate]:
        """Certificates inside the signatures and their timestamps (§6.3: they need not be in the DSS as well)."""
        for signature in self._case.signatures:
            if signature.embedded is not None and signature.is_sound:
                with suppress(Exception):  # a certificate that cannot be read helps nobody, and hinders only its own signature
                    yield from _certificates(signature.embedded.signed_data)
                for token in _tokens(signature.embedded):
                    yield from token.certificates


def _stamp(signature: Signature) -> Iterator[_Stamp]:
    embedded = signature.embedded
    if signature.kind is SealKind.DOCUMENT_TIMESTAMP and embedded is not None and signature.is_sound:
        token = _token(embedded.signed_data, embedded.compute_digest)
        if token is not None:
            yield _Stamp(token, embedded.signed_revision)


def _tokens(embedded: EmbeddedPdfSignature) -> list[_Token]:
    """The timestamps over a signature."""
    value = embedded.signer_info["signature"].native
    try:
        found = [each for _, each in zip(range(MOST_TOKENS), extract_tst_data_iter(embedded.signer_info, signed=False), strict=False)]
    except Exception:  # noqa: BLE001  (as below)
        return []
    tokens = (_token(each, lambda name: hashlib.new(name, value).digest()) for each in found)
    return [token for token in tokens if token is not None]


def _token(signed_data: Any, imprint: Callable[[str], bytes]) -> _Token | None:
    """RFC 3161 §2.4.2; None where it is over something else, or its own signature does not hold."""
    try:
        content = signed_data["encap_content_info"]["content"]
        stamped, info = content.parsed, extract_signer_info(signed_data)
        expected = stamped["message_imprint"]
        if imprint(expected["hash_algorithm"]["algorithm"].native) != expected["hashed_message"].native:
            return None
        signer = extract_certificate_info(signed_data).signer_cert
        digest = hashlib.new(info["digest_algorithm"]["algorithm"].native, bytes(content)).digest()
        whole = validate_sig_integrity(info, signer, expected_content_type="tst_info", actual_digest=digest)
        certificates = _certificates(signed_data)
        return _Token(stamped["gen_time"].native, certificates[0], certificates) if all(whole) else None
    except Exception:  # noqa: BLE001  (asn1crypto and pyHanko raise anything over strangers' bytes)
        return None


def _certificates(signed_data: Any) -> tuple[x509.Certificate, ...]:
    """The signer's first; ValueError where one cannot be read."""
    found = extract_certificate_info(signed_data)
    return tuple(x509.load_der_x509_certificate(each.dump()) for each in (found.signer_cert, *found.other_certs))
