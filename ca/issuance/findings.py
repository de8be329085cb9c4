"""What pkilint finds in a certificate or CRL: by RFC 5280, and by ETSI EN 319 412 where the profile names a type.

``ca.issuance.lint`` imports this at the first certificate or CRL: pkilint takes 25 MB, and a CA makes none for hours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pkilint import loader, pkix
from pkilint.pkix import certificate, crl, extension, name
from pkilint.validation import ValidationFindingSeverity


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
    # By their tables of languages, countries and currencies these modules take more memory than all else here, and only seals and units need them.
    from pkilint import etsi  # noqa: PLC0415
    from pkilint.etsi.etsi_constants import CertificateType  # noqa: PLC0415

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
