"""The profile's own rules, held against the built certificate: what is signed is judged, not what was meant.

``certificate`` builds from a profile; this module reads the DER that came of it with no help from there. A mistake in building, or
an extension that another part adds, shows here before the CA's key is touched.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtensionOID, ObjectIdentifier

from ca.issuance import qc
from ca.issuance.certificate import KEY_USAGE_NAMES, Draft
from ca.issuance.profiles import ATTRIBUTES, Profile
from ca.issuance.weak_keys import weakness
from sealcore.errors import Code, VermilionError
from sealcore.hsm.algorithm import algorithm_of
from sealcore.text import deceptive

SERIAL_LIMIT: Final = 1 << 159  # RFC 5280 §4.1.2.2: at most 20 octets, positive
_BY_OID: Final = {oid: name for name, oid in ATTRIBUTES.items()}
_QC: Final = ObjectIdentifier(qc.OID)
_CRITICAL: Final = frozenset({ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE})
# May stand in every certificate, never critical; who issues and where it publishes decide about them, not the profile.
_ALWAYS_ALLOWED: Final = frozenset(
    {
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.CRL_DISTRIBUTION_POINTS,
        ExtensionOID.AUTHORITY_INFORMATION_ACCESS,
    }
)


def require_conformity(certificate: x509.Certificate, draft: Draft) -> None:
    """Raises PROFILE_VIOLATION with the first rule of its profile that the certificate breaks."""
    for broken in _broken(certificate, draft):
        raise VermilionError(
            Code.PROFILE_VIOLATION,
            "the certificate that was built does not keep to its profile; nothing was signed",
            rule=f"Profile {draft.profile_name}: {broken}",
        )


def _broken(certificate: x509.Certificate, draft: Draft) -> Iterator[str]:
    profile = draft.profile
    if not 0 < certificate.serial_number < SERIAL_LIMIT:
        yield "a serial number is positive and has at most 20 octets (RFC 5280 §4.1.2.2)."
    if (certificate.serial_number, certificate.subject) != (draft.serial, draft.subject):
        yield "serial number and subject are those that are recorded."
    if algorithm_of(certificate.public_key()) not in profile.algorithms or weakness(certificate.public_key()):
        yield f"keys are sound and {', '.join(profile.algorithms)}."
    lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc + timedelta(seconds=1)
    if profile.days is not None and lifetime > timedelta(days=profile.days):
        yield f"a certificate lives at most {profile.days} days."
    yield from _broken_names(certificate, profile)
    yield from _broken_extensions(certificate, profile)


def _broken_names(certificate: x509.Certificate, profile: Profile) -> Iterator[str]:
    rules = profile.subject
    names = [_BY_OID.get(attribute.oid) for attribute in certificate.subject]
    if None in names or len(set(names)) != len(names) or not set(names) <= {*rules.office, *rules.required, *rules.allowed}:
        yield "the subject has the profile's attributes alone, each once."
    if not set(rules.required) <= set(names):
        yield f"{', '.join(rules.required)} are required."
    for name, attribute in zip(names, certificate.subject, strict=True):
        if deceptive(str(attribute.value)) and name not in rules.office:
            yield f"{name} is plain, visible text."


def _broken_extensions(certificate: x509.Certificate, profile: Profile) -> Iterator[str]:
    found = {extension.oid: extension for extension in certificate.extensions}
    wanted = _wanted(profile)
    if missing := wanted - found.keys():
        yield f"extensions are there: {_dotted(missing)}."
    optional = {ExtensionOID.SUBJECT_ALTERNATIVE_NAME} if profile.uri or profile.addresses else set()
    if unwanted := found.keys() - wanted - optional - _ALWAYS_ALLOWED:
        yield f"no other extensions: {_dotted(unwanted)}."
    for oid, extension in found.items():
        must = oid in _CRITICAL or (oid == ExtensionOID.EXTENDED_KEY_USAGE and profile.extended_key_usage_critical)
        if extension.critical != must:
            yield f"the extension {oid.dotted_string} is {'critical' if must else 'not critical'}."
    if (period := found.get(ExtensionOID.PRIVATE_KEY_USAGE_PERIOD)) is not None:
        yield from _broken_key_period(certificate, period.value, profile)
    for oid, value in _values(profile).items():
        if oid in found and found[oid].value != value:
            yield f"the extension {oid.dotted_string} says what the profile says."
    if ExtensionOID.SUBJECT_ALTERNATIVE_NAME in found:
        yield from _broken_alternative_name(certificate, profile)


def _broken_key_period(certificate: x509.Certificate, period: x509.ExtensionType, profile: Profile) -> Iterator[str]:
    begin = certificate.not_valid_before_utc
    end = begin + timedelta(days=profile.private_key_days or 0)
    if period != x509.PrivateKeyUsagePeriod(begin.replace(tzinfo=None), end.replace(tzinfo=None)):
        yield f"the private key is used for {profile.private_key_days} days from the beginning."


def _broken_alternative_name(certificate: x509.Certificate, profile: Profile) -> Iterator[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    hosts = len(names) - len(uris)
    if [uri.startswith(profile.uri or "\0") for uri in uris] != [True] * (profile.uri is not None):
        yield f"the SAN holds one URI, {profile.uri}…."
    if hosts and not profile.addresses:
        yield "the SAN holds no hosts."


def _wanted(profile: Profile) -> set[ObjectIdentifier]:
    wanted = {ExtensionOID.KEY_USAGE, ExtensionOID.SUBJECT_KEY_IDENTIFIER, ExtensionOID.AUTHORITY_KEY_IDENTIFIER, *_values(profile)}
    if profile.private_key_days is not None:
        wanted.add(ExtensionOID.PRIVATE_KEY_USAGE_PERIOD)
    return wanted | ({ExtensionOID.SUBJECT_ALTERNATIVE_NAME} if profile.uri else set())


def _values(profile: Profile) -> dict[ObjectIdentifier, x509.ExtensionType]:
    """The extensions that the profile settles whole."""
    values: dict[ObjectIdentifier, x509.ExtensionType] = {
        ExtensionOID.KEY_USAGE: x509.KeyUsage(**{name: name in profile.key_usage for name in KEY_USAGE_NAMES})
    }
    if profile.authority is not None:
        values[ExtensionOID.BASIC_CONSTRAINTS] = x509.BasicConstraints(ca=True, path_length=profile.authority.path_length)
    if profile.extended_key_usage:
        values[ExtensionOID.EXTENDED_KEY_USAGE] = x509.ExtendedKeyUsage([ObjectIdentifier(oid) for oid in profile.extended_key_usage])
    if profile.ocsp_no_check:
        values[ExtensionOID.OCSP_NO_CHECK] = x509.OCSPNoCheck()
    if profile.policies:
        policies = [x509.PolicyInformation(ObjectIdentifier(policy), profile.qualifiers) for policy in profile.policies]
        values[ExtensionOID.CERTIFICATE_POLICIES] = x509.CertificatePolicies(policies)
    if (statements := profile.qc.extension()) is not None:
        values[_QC] = statements
    return values


def _dotted(oids: set[ObjectIdentifier]) -> str:
    return ", ".join(sorted(oid.dotted_string for oid in oids))
