"""Keeps an mTLS certificate in force: asks the CA for its successor at two thirds of its life, with a new key.

The new key is written to the folder before the CA is asked. A call that breaks off is then repeated with the same key, and gets the
same certificate. Servers and clients that use the files pick up the new pair by themselves (``sealcore.platform.identity``).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from protos.vermilion.v1 import ca_pb2, ca_pb2_grpc
from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.platform import durable
from sealcore.platform.config import TlsSettings
from sealcore.platform.identity import Identity, IdentityWatch, read, replace
from sealcore.platform.log import get as get_log
from sealcore.platform.metrics import OnDemand
from sealcore.platform.periodic import NOW, Backoff, Periodic
from sealcore.platform.rpc.client import call, channel

SHARE_OF_LIFE: Final = 2 / 3  # leaves a third for a CA that cannot be reached: ten days of thirty
LOOK_S: Final = 60.0
FIRST_PAUSE_S: Final = 5.0
LONGEST_PAUSE_S: Final = 3600.0
JITTER: Final = 0.25  # the services of one office started together, and would call the CA together
CALL_TIMEOUT_S: Final = 30.0
_NEXT_KEY: Final = ".next-key.pem"


def renew(tls: TlsSettings, ca_target: str, clock: Clock) -> x509.Certificate:
    """Renews the identity in these files now; the new certificate.

    Raises CERTIFICATE_EXPIRED or CERTIFICATE_REVOKED (too late: somebody else must issue anew), PERMISSION_DENIED, SERVICE_UNAVAILABLE,
    CONFIGURATION_INVALID (files that cannot be used, or an issuer that ``trust_file`` does not have).
    """
    present = read(tls)
    next_key = tls.key_file.parent / _NEXT_KEY
    # On disk before the CA is asked: after a crash the same key is asked for again, and no
    # certificate is issued for a key that is lost.
    key = _next_key(next_key)
    with channel(ca_target, tls) as connection:
        stub: Any = ca_pb2_grpc.CertificateAuthorityStub(connection)  # type: ignore[no-untyped-call]  # generated
        try:
            answer = call(connection, stub.Renew, ca_pb2.RenewRequest(request=_request(present, key)), timeout_s=CALL_TIMEOUT_S)
        except VermilionError as fault:
            if (
                fault.code is Code.CONFLICT
            ):  # this key was certified under other names, or its certificate has expired: use a new key next time
                next_key.unlink(missing_ok=True)
            raise
    chain = [x509.load_der_x509_certificate(der) for der in (answer.certificate, *answer.chain)]
    # Before anything is replaced: a wrong answer must not cost us the identity that works.
    _check(chain[0], present, key, clock)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    # Who verifies us has the root already, and would not believe one that we send.
    without_root = [one for one in chain if one.subject != one.issuer]
    replace(tls, pem, b"".join(one.public_bytes(Encoding.PEM) for one in without_root))
    next_key.unlink(missing_ok=True)
    return chain[0]


def due(certificate: x509.Certificate, clock: Clock) -> bool:
    """Whether two thirds of its lifetime have passed."""
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return clock.now() >= certificate.not_valid_before_utc + SHARE_OF_LIFE * life


def _next_key(path: Path) -> ec.EllipticCurvePrivateKey:
    pem = durable.read(path)
    try:
        key = load_pem_private_key(pem, None) if pem is not None else None
    except ValueError:
        key = None
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key
    fresh = ec.generate_private_key(ec.SECP256R1())
    durable.write(path, fresh.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), mode=durable.PRIVATE)
    return fresh


def _request(present: Identity, key: ec.EllipticCurvePrivateKey) -> bytes:
    """PKCS#10 for the same subject and the same SAN, signed by the new key."""
    san = present.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    common_names = present.certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(common_names)).add_extension(san.value, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def _check(certificate: x509.Certificate, present: Identity, key: ec.EllipticCurvePrivateKey, clock: Clock) -> None:
    """Refuses an answer that we must not switch to: it must be for our key and our names, from a CA that everyone here trusts."""
    names = [one.extensions.get_extension_for_class(x509.SubjectAlternativeName).value for one in (certificate, present.certificate)]
    if certificate.public_key() != key.public_key() or names[0] != names[1]:
        raise VermilionError(Code.INTERNAL, "the CA answered with a certificate for another key or other names; it was thrown away")
    try:
        store = Store(x509.load_pem_x509_certificates(present.trust))
        PolicyBuilder().store(store).time(clock.now()).build_client_verifier().verify(certificate, [])
    except VerificationError:
        reason = "the CA that renewed is not in our trust file yet; put its certificate there first"
        raise VermilionError(Code.CONFIGURATION_INVALID, reason) from None


class Renewal:
    """Renews an identity in the background; tells monitoring how long the certificate lasts."""

    def __init__(self, tls: TlsSettings, clock: Clock, registry: CollectorRegistry | None = None) -> None:
        self._tls, self._clock = tls, clock
        self._watch = IdentityWatch(tls)
        self._retry = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        self._task = Periodic("tls-renewal", self._round, LOOK_S, first_s=NOW, jitter=JITTER, retry=self._retry, clock=clock)
        self._log = get_log("renewal")
        if registry is not None:
            OnDemand(registry, self._metrics)

    def start(self) -> None:
        """Begins to watch; does nothing without ``tls.ca_target``."""
        if self._tls.ca_target is not None:
            self._task.start()

    def stop(self) -> None:
        """Stops watching. A renewal in progress is completed after the next start."""
        self._task.stop(within_s=0)

    def _round(self) -> VermilionError | None:
        if not due(self._watch.look().certificate, self._clock):
            return None
        assert self._tls.ca_target is not None, "the task runs with a CA only"
        try:
            certificate = renew(self._tls, self._tls.ca_target, self._clock)
        except VermilionError as fault:  # logged every time: attempts are far apart, and each failure leaves one fewer
            self._log.error("certificate not renewed", code=str(fault.code), reason=fault.reason, way_out=fault.way_out)
            return fault
        self._log.info("certificate renewed", serial=f"{certificate.serial_number:x}", until=certificate.not_valid_after_utc.isoformat())
        return None

    def _metrics(self) -> Iterable[Metric]:
        left_s = self._watch.current.ends_s - self._clock.now().timestamp()
        yield GaugeMetricFamily("vermilion_tls_certificate_seconds_left", "Seconds until our own mTLS certificate ends", value=left_s)
