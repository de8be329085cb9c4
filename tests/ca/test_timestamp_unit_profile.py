"""A timestamp unit's certificate as ETSI EN 319 422 §6 and EN 319 421 §7.6.4 want it, linted; no office is needed for that."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID, ObjectIdentifier

from ca.issuance import profiles
from ca.issuance.certificate import Parent, build
from ca.issuance.findings import certificate_findings
from ca.issuance.lint import Linter
from ca.issuance.profiles import Profile
from ca.issuance.request import read
from sealcore.errors import Code, VermilionError
from sealcore.hsm.algorithm import Algorithm
from tests.ca.office import software_request

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
QC_STATEMENTS = ObjectIdentifier("1.3.6.1.5.5.7.1.3")
OFFICE = ((NameOID.COUNTRY_NAME, "CN"), (NameOID.ORGANIZATION_NAME, "Test Office"), (NameOID.COMMON_NAME, "Test seals CA"))


def parent_of(key: CertificateIssuerPublicKeyTypes, signer: Any) -> Parent:
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in OFFICE])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key).serial_number(1)
    builder = builder.not_valid_before(NOW - timedelta(days=1)).not_valid_after(NOW + timedelta(days=3650))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    return Parent("seals", builder.sign(signer, hashes.SHA256()), "http://127.0.0.1:8703")


def certify(profile: Profile) -> x509.Certificate:
    """Built, linted and signed, as the CA does it."""
    key = ec.generate_private_key(ec.SECP256R1())
    parent = parent_of(key.public_key(), key)
    request = read(software_request((NameOID.COMMON_NAME, "Timestamp Unit 1")))
    draft = build("tsa", profile, request, parent, serial=x509.random_serial_number(), now=NOW)
    Linter().certificate(draft, Algorithm.P256)
    return draft.builder.sign(key, hashes.SHA256())


def test_it_is_what_the_profile_for_timestamps_wants_and_pkilint_finds_nothing() -> None:
    profile = profiles.load()["tsa"]
    certificate = certify(profile)
    assert certificate_findings(certificate, profile.etsi) == []
    found = {extension.oid: extension for extension in certificate.extensions}
    subject = {attribute.oid for attribute in certificate.subject}
    assert {NameOID.COUNTRY_NAME, NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME} <= subject, "who is responsible, and which unit"
    usage, purpose = found[ExtensionOID.KEY_USAGE], found[ExtensionOID.EXTENDED_KEY_USAGE]
    assert usage.critical and usage.value.digital_signature and not usage.value.key_cert_sign
    assert purpose.critical and list(purpose.value) == [ExtendedKeyUsageOID.TIME_STAMPING]
    assert {ExtensionOID.AUTHORITY_INFORMATION_ACCESS, ExtensionOID.CRL_DISTRIBUTION_POINTS, ExtensionOID.CERTIFICATE_POLICIES} <= set(
        found
    )
    assert QC_STATEMENTS not in found, "esi4-qtstStatement-1 would say that its timestamps are qualified"


def test_its_key_ends_long_before_its_certificate() -> None:
    """What it signs last can then still be verified for two years without more (EN 319 421 §7.6.5, §7.6.7)."""
    period = certify(profiles.load()["tsa"]).extensions.get_extension_for_class(x509.PrivateKeyUsagePeriod)
    assert not period.critical and period.value.not_before is not None and period.value.not_after is not None
    assert period.value.not_after - period.value.not_before == timedelta(days=1096)


@pytest.mark.parametrize("days", [1826, 2000])
def test_a_key_period_is_shorter_than_the_certificate(days: int) -> None:
    values = profiles.load()["tsa"].model_dump()
    with pytest.raises(ValueError, match="less long"):
        Profile.model_validate({**values, "private_key_days": days})


def test_another_key_period_than_the_profile_has_is_never_signed() -> None:
    profile = profiles.load()["tsa"]
    key = ec.generate_private_key(ec.SECP256R1())
    request = read(software_request((NameOID.COMMON_NAME, "Timestamp Unit 1")))
    longer = profile.model_copy(update={"private_key_days": 1097})
    draft = build("tsa", longer, request, parent_of(key.public_key(), key), serial=7, now=NOW)
    object.__setattr__(draft, "profile", profile)
    with pytest.raises(VermilionError) as refused:
        Linter().certificate(draft, Algorithm.P256)
    assert refused.value.code is Code.PROFILE_VIOLATION and "private key" in refused.value.rule
