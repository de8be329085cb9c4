"""A timestamp unit: one key, one certificate, tokens that say when a digest was seen (RFC 3161 §2.4.2, RFC 5816)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from sealcore.errors import Code, VermilionError
from sealcore.hsm.token import TokenKey
from timestamp.clock_watch import ClockWatch
from timestamp.der import integer
from timestamp.latest import Latest
from timestamp.template import HASHES, NONCE_LIMIT_BYTES, SERIAL_LIMIT_BYTES, TokenTemplate, accuracy, imprint, template_of

DIGEST_SIZES: Final = {name: hashlib.new(name).digest_size for name in HASHES}
_SERIAL_BYTES: Final = 16


def _random_serial() -> int:
    while not (serial := int.from_bytes(os.urandom(_SERIAL_BYTES), "big")):
        pass
    return serial


class TimestampUnit:
    """Issues TimeStampTokens. Thread-safe.

    watch          the clock; it refuses to tell a time that may be off by more than the accuracy that tokens claim. A step back of up to that
                   accuracy is tolerated; after a larger one no tokens are issued
    latest         the unit's latest time, shared by all processes that issue tokens for it
    draw_serial    source of serial numbers: 128 random bits, or fixed numbers in tests

    Raises CONFIGURATION_INVALID if key, certificate, policy and accuracy do not go together.
    """

    def __init__(
        self,
        key: TokenKey,
        certificate: x509.Certificate,
        chain: Sequence[x509.Certificate],
        *,
        policy_oid: str,
        watch: ClockWatch,
        latest: Latest | None = None,
        draw_serial: Callable[[], int] = _random_serial,
    ) -> None:
        _check_certificate(certificate, key.spki_der)
        try:
            general = TokenTemplate(certificate, chain, key.algorithm, policy_oid, accuracy(watch.accuracy_ms))
            self._template = template_of(certificate, chain, key.algorithm, policy_oid, accuracy(watch.accuracy_ms))
        except ValueError as fault:
            raise VermilionError(Code.CONFIGURATION_INVALID, str(fault)) from None
        self._key = key
        self._watch = watch
        self._draw_serial = draw_serial
        self._accuracy_us = watch.accuracy_ms * 1000
        self._not_before_us, self._not_after_us = (int(bound.timestamp()) * 1_000_000 for bound in _signing_period(certificate))
        self._latest = latest or Latest()
        self.policy_oid: Final = policy_oid
        self.accuracy_ms: Final = watch.accuracy_ms
        self.certificate: Final = certificate
        self.largest_token_bytes: Final = general.largest()

    def stamp(self, digest: bytes, *, hash_name: str = "sha256", nonce: int | None = None, cert_req: bool = True) -> bytes:
        """A TimeStampToken (DER) over ``digest``, made by sha256, sha384 or sha512.

        Raises INVALID_ARGUMENT, TIMESTAMP_UNAVAILABLE (the clock or the certificate cannot be vouched for), HSM_*.
        """
        if DIGEST_SIZES.get(hash_name) != len(digest):
            raise VermilionError(Code.INVALID_ARGUMENT, f"a digest of {len(digest)} bytes by {hash_name} cannot be stamped")
        if nonce is not None and (nonce.bit_length() + 7) // 8 > NONCE_LIMIT_BYTES:
            raise VermilionError(Code.INVALID_ARGUMENT, f"a nonce has at most {NONCE_LIMIT_BYTES} bytes")
        encoded = None if nonce is None else integer(nonce)
        return self.stamp_imprint(imprint(hash_name, digest), nonce=encoded, cert_req=cert_req)

    def stamp_imprint(self, message_imprint: bytes, *, nonce: bytes | None, cert_req: bool) -> bytes:
        """Like ``stamp``, over an encoded MessageImprint and a nonce (DER) that the caller has checked; the token repeats both byte for byte."""
        # Outside the unit's lock: this may ask chrony, which takes milliseconds. The time itself is
        # read within it.
        self._watch.require()
        # The time is taken before the signature: a token may reach its client late, but never say a
        # time that was not there yet.
        time_us = self._latest.advance(self._watch.time_us, self._check_time, self._accuracy_us)
        draft = self._template.draft(message_imprint, self._draw_serial().to_bytes(SERIAL_LIMIT_BYTES, "big"), time_us, nonce)
        return draft.token(self._key.sign_digest(draft.digest), cert_req)

    def _check_time(self, time_us: int) -> None:
        if not self._not_before_us <= time_us <= self._not_after_us:
            raise VermilionError(Code.TIMESTAMP_UNAVAILABLE, "the timestamp unit's key is not certified to sign now")


def _signing_period(certificate: x509.Certificate) -> tuple[datetime, datetime]:
    """When the key may sign: the certificate's validity, narrowed by privateKeyUsagePeriod if there is one."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    try:
        period = certificate.extensions.get_extension_for_class(x509.PrivateKeyUsagePeriod).value
    except x509.ExtensionNotFound:
        return begin, end
    first, last = (bound and bound.replace(tzinfo=UTC) for bound in (period.not_before, period.not_after))
    return max(begin, first or begin), min(end, last or end)


def _check_certificate(certificate: x509.Certificate, spki_der: bytes) -> None:
    """RFC 3161 §2.3: the certificate is this key's and has the one, critical, key purpose id-kp-timeStamping."""
    if certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != spki_der:
        raise VermilionError(Code.CONFIGURATION_INVALID, "the timestamp unit's certificate is not for its key")
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        usage = None
    if usage is None or not usage.critical or list(usage.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        raise VermilionError(Code.CONFIGURATION_INVALID, "a timestamp unit's certificate is for timeStamping, critical and alone")
