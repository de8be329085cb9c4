"""The bytes of an answer: OCSPResponse (RFC 6960 §4.2), signed in the HSM."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from asn1crypto import core, ocsp
from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.ocsp.authority import PRESIGNED_HASHES, Authority, public_key_bits
from ca.ocsp.delegate import Delegate
from ca.ocsp.question import Refusal
from ca.ocsp.record import Kept, Standing

_REASONS: Final = MappingProxyType(  # CRLReason's names in RFC 5280 → in asn1crypto; unspecified is left out (RFC 5280 §5.3.1)
    {
        "keyCompromise": "key_compromise",
        "cACompromise": "ca_compromise",
        "affiliationChanged": "affiliation_changed",
        "superseded": "superseded",
        "cessationOfOperation": "cessation_of_operation",
        "certificateHold": "certificate_hold",
        "privilegeWithdrawn": "privilege_withdrawn",
        "aACompromise": "aa_compromise",
    }
)

Asked = tuple[ocsp.CertId, Standing]
"""A CertID to be repeated in the answer, and what is said of it."""


def refusal(status: Refusal) -> bytes:
    """An OCSPResponse that is nothing but its status; unsigned (RFC 6960 §2.3)."""
    return bytes(ocsp.OCSPResponse({"response_status": int(status)}).dump())


def cert_id(authority: Authority, hash_name: str, serial: int) -> ocsp.CertId:
    """The CertID of a certificate of this CA."""
    name_hash, key_hash = authority.hashes[hash_name]
    algorithm = {"algorithm": hash_name, "parameters": core.Null()}
    return ocsp.CertId({"hash_algorithm": algorithm, "issuer_name_hash": name_hash, "issuer_key_hash": key_hash, "serial_number": serial})


class AnswerMaker:
    """Makes answers for one delegate, each by one signature of its key."""

    def __init__(self, delegate: Delegate, validity: timedelta) -> None:
        self.delegate = delegate
        self._validity = validity
        self._certificate = asn1_x509.Certificate.load(delegate.certificate.public_bytes(Encoding.DER))
        self._key_hash = hashlib.sha1(public_key_bits(delegate.certificate)).digest()  # noqa: S324  (RFC 6960 §4.2.1: KeyHash)
        kind = "ecdsa" if delegate.key.algorithm.is_ecdsa else "rsa"
        self._signature_algorithm = f"{delegate.key.algorithm.hash_name}_{kind}"

    def next_update(self, now: datetime) -> datetime:
        """When an answer made now lapses: with the delegate's certificate at the latest."""
        return min(now.replace(microsecond=0) + self._validity, self.delegate.certificate.not_valid_after_utc)

    def make(self, asked: Sequence[Asked], *, now: datetime, nonce: bytes | None = None) -> bytes:
        """An OCSPResponse about these certificates; HSM_* when the token does not sign."""
        now = now.replace(microsecond=0)  # RFC 5280 §4.1.2.5.2: GeneralizedTime without fractions
        data: dict[str, Any] = {
            "responder_id": ocsp.ResponderId("by_key", self._key_hash),
            "produced_at": now,
            "responses": [self._single(one, standing, now) for one, standing in asked],
        }
        if nonce is not None:
            data["response_extensions"] = [{"extn_id": "nonce", "extn_value": core.ParsableOctetString(core.OctetString(nonce).dump())}]
        tbs = ocsp.ResponseData(data)
        basic = ocsp.BasicOCSPResponse(
            {
                "tbs_response_data": tbs,
                "signature_algorithm": {"algorithm": self._signature_algorithm},
                "signature": self.delegate.key.sign(tbs.dump()),
                "certs": [self._certificate],
            }
        )
        body = {"response_type": "basic_ocsp_response", "response": core.ParsableOctetString(basic.dump())}
        return bytes(ocsp.OCSPResponse({"response_status": "successful", "response_bytes": body}).dump())

    def presign(self, standing: Standing, *, now: datetime) -> Kept:
        """The answers about one certificate that are kept: one for each hash that a client may ask with."""
        authority = self.delegate.authority
        sha1, sha256 = (self.make([(cert_id(authority, name, standing.serial), standing)], now=now) for name in PRESIGNED_HASHES)
        return Kept(standing, now.replace(microsecond=0), self.next_update(now), (sha1, sha256))

    def _single(self, asked: ocsp.CertId, standing: Standing, now: datetime) -> dict[str, Any]:
        single: dict[str, Any] = {
            "cert_id": asked,
            "cert_status": _status(standing),
            "this_update": now,
            "next_update": self.next_update(now),
        }
        extensions = []
        if standing.invalidity_date is not None:  # CRL entry extensions are for answers too (RFC 6960 §4.4.5)
            extensions.append({"extn_id": "invalidity_date", "extn_value": core.GeneralizedTime(standing.invalidity_date)})
        cutoff = self.delegate.authority.archive_cutoff
        if cutoff is not None and standing.kind != "unknown":
            extensions.append({"extn_id": "archive_cutoff", "extn_value": core.GeneralizedTime(cutoff)})
        return {**single, "single_extensions": extensions} if extensions else single


def _status(standing: Standing) -> ocsp.CertStatus:
    if standing.kind == "good":
        return ocsp.CertStatus("good", ocsp.StatusGood("good"))
    if standing.kind == "unknown":
        return ocsp.CertStatus("unknown", ocsp.StatusUnknown("unknown"))
    revoked: dict[str, Any] = {"revocation_time": standing.since}
    if standing.reason is not None and standing.reason in _REASONS:
        revoked["revocation_reason"] = _REASONS[standing.reason]
    return ocsp.CertStatus("revoked", ocsp.RevokedInfo(revoked))
