"""The delegate of a CA (RFC 6960 §4.2.2.2): a key in our token, and the CA's certificate that lets it answer.

The certificate lives 30 days and cannot be revoked (id-pkix-ocsp-nocheck), so it is renewed when a third of its life is left: the CA
is asked over mTLS with a PKCS#10 request of the same key. It is kept as a file, which a restart finds again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from ca.ocsp.authority import Authority
from ca.pki import is_issued_by
from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.hsm.request import certificate_request
from sealcore.hsm.token import TokenKey
from sealcore.platform import durable
from sealcore.platform.log import get as get_log
from sealcore.platform.periodic import Backoff

FIRST_PAUSE_S: Final = 2.0  # before the CA is asked again; doubled while it does not certify
LONGEST_PAUSE_S: Final = 300.0

Certify = Callable[[str, bytes], bytes]
"""(CA's name, PKCS#10 DER) → certificate DER; raises what the CA says."""


@dataclass(frozen=True)
class Delegate:
    """Who answers for a CA; refused with CONFIGURATION_INVALID unless the certificate lets this key do so."""

    authority: Authority
    key: TokenKey
    certificate: x509.Certificate

    def __post_init__(self) -> None:
        spki = self.certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        try:
            purposes = self.certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        except x509.ExtensionNotFound:
            purposes = x509.ExtendedKeyUsage([])
        right = spki == self.key.spki_der and is_issued_by(self.certificate, self.authority.certificate)
        if not right or ExtendedKeyUsageOID.OCSP_SIGNING not in purposes:
            raise VermilionError(
                Code.CONFIGURATION_INVALID, f"the certificate does not let {self.key.label} answer for the CA {self.authority.name}"
            )

    def covers(self, now: datetime) -> bool:
        """Whether the certificate is valid at that time."""
        return self.certificate.not_valid_before_utc <= now < self.certificate.not_valid_after_utc

    def is_due(self, now: datetime) -> bool:
        """Whether it is time for the next one: a third of its life is left."""
        life = self.certificate.not_valid_after_utc - self.certificate.not_valid_before_utc
        return now >= self.certificate.not_valid_after_utc - life / 3


class Delegation:
    """Has a delegate for one CA, and its successor in good time. One thread renews; others read."""

    def __init__(self, authority: Authority, key: TokenKey, folder: Path, certify: Certify, *, clock: Clock) -> None:
        self.authority = authority
        self._key = key
        self._file = folder / f"{authority.name}.pem"
        self._certify = certify
        self._clock = clock
        self._log = get_log("ocsp")
        self._quiet_until_s, self._backoff = 0.0, Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        self._delegate = self._from_file()

    def current(self) -> Delegate:
        """The delegate; REVOCATION_UNAVAILABLE while none has a certificate that is valid now."""
        delegate = self._delegate
        if delegate is None or not delegate.covers(self._clock.now()):
            raise VermilionError(Code.REVOCATION_UNAVAILABLE, f"no valid certificate lets us answer for the CA {self.authority.name}")
        return delegate

    @property
    def seconds_left(self) -> float:
        """Until the certificate ends; 0 without one."""
        ends = self._delegate.certificate.not_valid_after_utc if self._delegate is not None else self._clock.now()
        return (ends - self._clock.now()).total_seconds()

    def renew_if_due(self) -> None:
        """Asks the CA when it is time; a refusal is logged, and it is asked again after a pause that grows."""
        now_s = self._clock.monotonic_s()
        if (self._delegate is not None and not self._delegate.is_due(self._clock.now())) or now_s < self._quiet_until_s:
            return
        try:
            self._renew()
            self._backoff.reset()
        except VermilionError as fault:
            self._log.error("no new certificate of the delegate", ca=self.authority.name, code=str(fault.code), reason=fault.reason)
            self._quiet_until_s = now_s + self._backoff.next().seconds

    def _renew(self) -> None:
        request = certificate_request(self._key, f"OCSP Responder {self._key.label}")
        certificate = x509.load_der_x509_certificate(self._certify(self.authority.name, request))
        delegate = Delegate(self.authority, self._key, certificate)
        # Kept before it is used, so that a restart finds it and does not ask the CA again.
        durable.write(self._file, certificate.public_bytes(Encoding.PEM))
        self._delegate = delegate
        self._log.info("delegate certified", ca=self.authority.name, until=certificate.not_valid_after_utc.isoformat())

    def _from_file(self) -> Delegate | None:
        try:
            return Delegate(self.authority, self._key, x509.load_pem_x509_certificate(self._file.read_bytes()))
        except (OSError, ValueError, VermilionError):  # none yet, damaged, or of a key or CA that has a successor
            return None
