"""Lints what is about to be signed, under a throwaway key, so that nothing faulty ever carries the CA's own signature.

The linter is pkilint: RFC 5280 for everything, ETSI EN 319 412 where the profile names a type.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from pkilint import etsi, loader, pkix
from pkilint.etsi.etsi_constants import CertificateType
from pkilint.pkix import certificate, crl, extension, name
from pkilint.validation import ValidationFindingSeverity

from ca.issuance.certificate import Draft, Linted
from ca.issuance.conformity import require_conformity
from sealcore.errors import Code, VermilionError
from sealcore.hsm.algorithm import Algorithm
from sealcore.platform.log import get as get_log

ThrowawayKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def hash_for(algorithm: Algorithm) -> hashes.SHA256 | hashes.SHA384:
    """The hash with which a CA key of this algorithm signs."""
    return hashes.SHA384() if algorithm.hash_name == "sha384" else hashes.SHA256()


class Linter:
    """Lints certificates and CRLs; keeps one throwaway key for each algorithm of a CA. Safe to use from several threads."""

    def __init__(self) -> None:
        self._log = get_log("lint")
        self._keys: dict[Algorithm, ThrowawayKey] = {}
        self._lock = threading.Lock()  # pkilint's validators are shared; nobody promises that they keep no state

    def certificate(self, draft: Draft, issuer_algorithm: Algorithm) -> Linted:
        """Signs with a throwaway key of the issuer's algorithm and lints; raises PROFILE_VIOLATION or LINT_FAILED."""
        with self._lock:
            # Signed for real, since a linter reads whole certificates; only the key is worthless.
            trial = draft.builder.sign(self._throwaway(issuer_algorithm), hash_for(issuer_algorithm))
            require_conformity(trial, draft)
            self._judge(certificate_findings(trial, draft.profile.etsi), f"the certificate for {draft.subject.rfc4514_string()}")
        return Linted(draft, trial.tbs_certificate_bytes)

    def crl(self, builder: x509.CertificateRevocationListBuilder, issuer_algorithm: Algorithm) -> bytes:
        """Lints a CRL likewise; the tbsCertList that was linted."""
        with self._lock:
            trial = builder.sign(self._throwaway(issuer_algorithm), hash_for(issuer_algorithm))
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
    if algorithm.is_rsa:  # the signature algorithm counts, which is the same for every size, so the quickest will do
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(ec.SECP384R1() if algorithm is Algorithm.P384 else ec.SECP256R1())


@dataclass(frozen=True)
class Finding:
    """What pkilint found: its code, how grave (fatal, error, warning, notice), and its words."""

    severity: str
    code: str
    message: str

    @property
    def is_error(self) -> bool:
        """Whether a MUST is broken."""
        return self.severity in _ERRORS


_ERRORS: Final = frozenset({"FATAL", "ERROR"})

# pkilint's addition for CAs of the public web, in no clause of EN 319 412. An office may be reachable in its own network
# alone, as the demo is on loopback.
_NOT_FOR_US: Final = frozenset({"etsi.internal_domain_name", "etsi.internal_ip_address"})


def certificate_findings(checked: x509.Certificate, etsi_type: str | None = None) -> list[Finding]:
    """pkilint's findings down to NOTICE, in a certificate: RFC 5280, then ETSI EN 319 412 if a type is given."""
    document = loader.RFC5280CertificateDocumentLoader().load_der_document(checked.public_bytes(Encoding.DER), "certificate")
    found = _pkix_certificate_validator().validate(document.root)
    if etsi_type is not None:
        document = loader.RFC5280CertificateDocumentLoader().load_der_document(checked.public_bytes(Encoding.DER), "certificate")
        found += _etsi_validator(etsi_type).validate(document.root)
    return _findings(found)


def crl_findings(checked: x509.CertificateRevocationList) -> list[Finding]:
    """pkilint's findings down to NOTICE, in a CRL: RFC 5280."""
    document = loader.RFC5280CertificateListDocumentLoader().load_der_document(checked.public_bytes(Encoding.DER), "crl")
    return _findings(_crl_validator().validate(document.root))


def _findings(results: Iterable[Any]) -> list[Finding]:
    return [
        Finding(str(described.finding.severity), described.finding.code, described.message or "")
        for result in results
        for described in result.finding_descriptions
        if described.finding.severity <= ValidationFindingSeverity.NOTICE and described.finding.code not in _NOT_FOR_US
    ]


@lru_cache(maxsize=1)
def _pkix_certificate_validator() -> Any:
    return certificate.create_pkix_certificate_validator_container(
        certificate.create_decoding_validators(name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS),
        [
            certificate.create_issuer_validator_container([]),
            certificate.create_validity_validator_container(),
            certificate.create_subject_validator_container([]),
            certificate.create_extensions_validator_container([]),
            certificate.create_spki_validator_container([]),
        ],
    )


@lru_cache(maxsize=4)
def _etsi_validator(etsi_type: str) -> Any:
    kind = CertificateType.from_option_str(etsi_type)
    return certificate.create_pkix_certificate_validator_container(etsi.create_decoding_validators(kind), etsi.create_validators(kind))


@lru_cache(maxsize=1)
def _crl_validator() -> Any:
    return crl.create_pkix_crl_validator_container(
        [pkix.create_attribute_decoder(name.ATTRIBUTE_TYPE_MAPPINGS), pkix.create_extension_decoder(extension.EXTENSION_MAPPINGS)],
        [
            crl.create_issuer_validator_container([]),
            crl.create_validity_validator_container([]),
            crl.create_extensions_validator_container([]),
        ],
    )
