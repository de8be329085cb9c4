"""Keeps an mTLS certificate in force: asks the CA for its successor at two thirds of its life, with a new key.

The new key lies in the folder before the CA hears of it, so that a broken call is repeated with the same key and gets the same
certificate. Who serves or calls with the files takes the new pair up by itself (``sealcore.platform.identity``).
"""

from __future__ import annotations

import random
import threading
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
from sealcore.platform.log import request
from sealcore.platform.metrics import OnDemand
from sealcore.platform.rpc_client import call, channel

SHARE_OF_LIFE: Final = 2 / 3  # a third is left for a CA that is away: ten days of thirty
LOOK_S: Final = 60.0
FIRST_PAUSE_S: Final = 5.0
LONGEST_PAUSE_S: Final = 3600.0
CALL_TIMEOUT_S: Final = 30.0
_NEXT_KEY: Final = ".next-key.pem"


def renew(tls: TlsSettings, ca_target: str, clock: Clock) -> x509.Certificate:
    """Renews the identity in these files now; the new certificate.

    Raises CERTIFICATE_EXPIRED or CERTIFICATE_REVOKED (too late: somebody else must issue anew), PERMISSION_DENIED, SERVICE_UNAVAILABLE,
    CONFIGURATION_INVALID (files that cannot be used, or an issuer that ``trust_file`` does not have).
    """
    present = read(tls)
    next_key = tls.key_file.parent / _NEXT_KEY
    key = _next_key(next_key)
    with channel(ca_target, tls) as line:
        stub: Any = ca_pb2_grpc.CertificateAuthorityStub(line)  # type: ignore[no-untyped-call]  # generated
        try:
            answer = call(line, stub.Renew, ca_pb2.RenewRequest(request=_request(present, key)), timeout_s=CALL_TIMEOUT_S)
        except VermilionError as fault:
            if fault.code is Code.CONFLICT:  # the key has a certificate under other names, or one that ended: take another
                next_key.unlink(missing_ok=True)
            raise
    chain = [x509.load_der_x509_certificate(der) for der in (answer.certificate, *answer.chain)]
    _check(chain[0], present, key, clock)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    without_root = [one for one in chain if one.subject != one.issuer]
    replace(tls, pem, b"".join(one.public_bytes(Encoding.PEM) for one in without_root))
    next_key.unlink(missing_ok=True)
    return chain[0]


def due(certificate: x509.Certificate, clock: Clock) -> bool:
    """Whether two thirds of its life are over."""
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
    """Whether the answer is what we may switch to: for our key and names, by a CA that everyone here trusts."""
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
    """Renews an identity in a thread of its own, again and again; tells monitoring how long the certificate lasts."""

    def __init__(self, tls: TlsSettings, clock: Clock, registry: CollectorRegistry | None = None) -> None:
        self._tls, self._clock = tls, clock
        self._watch = IdentityWatch(tls)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="tls-renewal", daemon=True)
        self._log = get_log("renewal")
        if registry is not None:
            OnDemand(registry, self._metrics)

    def start(self) -> None:
        """Begins to watch; does nothing without ``tls.ca_target``."""
        if self._tls.ca_target is not None:
            self._thread.start()

    def stop(self) -> None:
        """Ends; a renewal that is under way is finished at the next start."""
        self._stop.set()

    def _loop(self) -> None:
        wait_s = failed_s = 0.0
        while not self._stop.wait(wait_s):
            failed = due(self._watch.look().certificate, self._clock) and not self._renewed()
            failed_s = min(max(2 * failed_s, FIRST_PAUSE_S), LONGEST_PAUSE_S) if failed else 0.0
            wait_s = (failed_s or LOOK_S) * random.uniform(0.75, 1.25)  # noqa: S311  (only spreads the services' calls)

    def _renewed(self) -> bool:
        assert self._tls.ca_target is not None, "the thread runs with a CA only"
        try:
            with request():  # an id of its own; the CA's log names it too
                certificate = renew(self._tls, self._tls.ca_target, self._clock)
        except VermilionError as fault:
            self._log.error("certificate not renewed", code=str(fault.code), reason=fault.reason, way_out=fault.way_out)
            return False
        self._log.info("certificate renewed", serial=f"{certificate.serial_number:x}", until=certificate.not_valid_after_utc.isoformat())
        return True

    def _metrics(self) -> Iterable[Metric]:
        left_s = self._watch.current.ends_s - self._clock.now().timestamp()
        yield GaugeMetricFamily("vermilion_tls_certificate_seconds_left", "Seconds until our own mTLS certificate ends", value=left_s)
