"""Lints what is about to be signed, under a throwaway key, so that nothing faulty ever carries the CA's own signature.

The linter is pkilint (``ca.issuance.findings``), imported when there is something to lint.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ca.issuance.certificate import Draft, Linted
from ca.issuance.conformity import require_conformity
from sealcore.errors import Code, VermilionError
from sealcore.hsm.algorithm import Algorithm
from sealcore.platform.log import get as get_log

if TYPE_CHECKING:
    from ca.issuance.findings import Finding

ThrowawayKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class Linter:
    """Lints certificates and CRLs; keeps one throwaway key for each algorithm of a CA. Safe to use from several threads."""

    def __init__(self) -> None:
        self._log = get_log("lint")
        self._keys: dict[Algorithm, ThrowawayKey] = {}
        self._lock = threading.Lock()  # pkilint's validators are shared; nobody promises that they keep no state

    def certificate(self, draft: Draft, issuer_algorithm: Algorithm) -> Linted:
        """Signs with a throwaway key of the issuer's algorithm and lints; raises PROFILE_VIOLATION or LINT_FAILED."""
        from ca.issuance.findings import certificate_findings  # noqa: PLC0415

        with self._lock:
            # Signed for real, since a linter reads whole certificates; only the key is worthless.
            trial = draft.builder.sign(self._throwaway(issuer_algorithm), issuer_algorithm.hash)
            require_conformity(trial, draft)
            self._judge(certificate_findings(trial, draft.profile.etsi), f"the certificate for {draft.subject.rfc4514_string()}")
        return Linted(draft, trial.tbs_certificate_bytes)

    def crl(self, builder: x509.CertificateRevocationListBuilder, issuer_algorithm: Algorithm) -> bytes:
        """Lints a CRL likewise; the tbsCertList that was linted."""
        from ca.issuance.findings import crl_findings  # noqa: PLC0415

        with self._lock:
            trial = builder.sign(self._throwaway(issuer_algorithm), issuer_algorithm.hash)
            self._judge(crl_findings(trial), "the CRL")
        return trial.tbs_certlist_bytes

    def _judge(self, findings: Iterable[Finding], what: str) -> None:
        for finding in findings:
            if finding.is_error:
                raise VermilionError(Code.LINT_FAILED, f"{what}: {finding.code}: {finding.message}", rule=f"pkilint {finding.code}")
            self._log.info("lint finding", severity=finding.severity, code=finding.code)

    def _throwaway(self, algorithm: Algorithm) -> ThrowawayKey:
        if algorithm not in self._keys:
            self._keys[algorithm] = _new_key(algorithm)
        return self._keys[algorithm]


def _new_key(algorithm: Algorithm) -> ThrowawayKey:
    match algorithm:  # without a case for all others, so that a new algorithm is not linted under a key of another
        case Algorithm.RSA_2048 | Algorithm.RSA_3072 | Algorithm.RSA_4096:
            return rsa.generate_private_key(65537, 2048)  # the signature algorithm counts, which is the same for every size
        case Algorithm.P256:
            return ec.generate_private_key(ec.SECP256R1())
        case Algorithm.P384:
            return ec.generate_private_key(ec.SECP384R1())
        case Algorithm.ED25519:
            raise VermilionError(Code.INVALID_ARGUMENT, "no CA signs with Ed25519")
