"""Builds a certificate as its profile says. What comes out is a draft: nothing has been signed, recorded or linted."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, ObjectIdentifier

from ca.issuance.profiles import ATTRIBUTES, AttributeName, Profile
from ca.issuance.request import CertificateRequest, Names
from ca.names import IssuerName
from sealcore.errors import Code, VermilionError
from sealcore.text import deceptive

BACKDATE: Final = timedelta(seconds=60)  # so that a machine whose clock is a little behind takes a new certificate
_URI_TAIL: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")  # plain ASCII, and no mark at an end that goes unseen
_DNS_NAME: Final = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
KEY_USAGE_NAMES: Final = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


@dataclass(frozen=True)
class Parent:
    """Who will sign: its certificate (None for a root, which signs itself) and where its certificate and CRL are published.

    ocsp_url  where the status of what it issues is told; a root has no responder: its token is not on line
    """

    name: IssuerName
    certificate: x509.Certificate | None
    public_url: str
    ocsp_url: str | None = None


@dataclass(frozen=True)
class Draft:
    """A certificate before anything was done with it; ``builder`` holds it whole but for its signature."""

    builder: x509.CertificateBuilder
    profile_name: str
    profile: Profile
    issuer: IssuerName
    uri: str | None
    subject: x509.Name
    names_sha256: bytes
    spki_sha256: bytes
    serial: int
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True)
class Linted:
    """A draft that the linter found no error in. Only ``ca.issuance.lint`` makes one.

    tbs  the very bytes that were linted and that will be signed
    """

    draft: Draft
    tbs: bytes


def build(
    profile_name: str, profile: Profile, request: CertificateRequest, parent: Parent, *, serial: int, now: datetime, days: int | None = None
) -> Draft:
    """The draft of a certificate for ``request``; ``days`` only where the profile leaves them open.

    Raises PROFILE_VIOLATION with the rule that the request breaks.
    """
    rules = _Rules(profile_name, profile)
    rules.check_key(request)
    subject = rules.subject(request, parent)
    san = rules.alternative_name(request.names)
    not_before = now.replace(microsecond=0) - BACKDATE
    not_after = not_before + timedelta(days=profile.days or days or 0) - timedelta(seconds=1)  # notAfter is inclusive
    rules.check_validity(not_after, parent)
    issuer_name = parent.certificate.subject if parent.certificate else subject
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(request.public_key)
        .serial_number(serial)
        .not_valid_before(not_before)
        .not_valid_after(not_after)
    )
    for extension, critical in _extensions(profile, request, parent, san):
        builder = builder.add_extension(extension, critical=critical)
    if profile.private_key_days is not None:
        until = not_before + timedelta(days=profile.private_key_days)
        builder = builder.add_extension(x509.PrivateKeyUsagePeriod(not_before, until), critical=False)
    names = subject.public_bytes() + (san.public_bytes() if san else b"")
    return Draft(
        builder=builder,
        profile_name=profile_name,
        profile=profile,
        issuer=parent.name,
        uri=request.names.uri,
        subject=subject,
        names_sha256=hashlib.sha256(names).digest(),
        spki_sha256=hashlib.sha256(request.spki_der).digest(),
        serial=serial,
        not_before=not_before,
        not_after=not_after,
    )


class _Rules:
    """The rules of one profile, each with the sentence that a refusal quotes."""

    def __init__(self, name: str, profile: Profile) -> None:
        self._name = name
        self._profile = profile

    def _refusal(self, reason: str, rule: str) -> VermilionError:
        return VermilionError(Code.PROFILE_VIOLATION, reason, rule=f"Profile {self._name}: {rule}")

    def check_key(self, request: CertificateRequest) -> None:
        if request.algorithm not in self._profile.algorithms:
            raise self._refusal(f"the key is {request.algorithm}", f"keys are {', '.join(self._profile.algorithms)}.")

    def check_validity(self, not_after: datetime, parent: Parent) -> None:
        if parent.certificate and not_after > parent.certificate.not_valid_after_utc:
            raise self._refusal("its issuer's certificate ends first", "a certificate ends before that of its issuer.")

    def subject(self, request: CertificateRequest, parent: Parent) -> x509.Name:
        """The subject: the office's own attributes from the issuer's name, the rest from the request."""
        rules = self._profile.subject
        asked = dict(request.attributes)
        values: dict[AttributeName, str] = {}
        for name, value in _office(parent, rules.office).items():
            # A request may repeat what is the office's, never say otherwise: silently overwriting
            # it would certify what nobody asked for.
            if asked.pop(name, value) != value:
                raise self._refusal(f"the request names another {name}", f"{name} is the office's: {value}.")
            values[name] = value
        for name in rules.required:
            if not asked.get(name):
                raise self._refusal(f"the subject has no {name}", f"{name} is required.")
        if rules.one_of and not any(asked.get(name) for name in rules.one_of):
            raise self._refusal("the subject names no person", f"one of {', '.join(rules.one_of)} is required.")
        for name, value in asked.items():
            if name not in rules.required + rules.allowed:
                raise self._refusal(f"the subject has a {name}", f"{name} is not certified.")
            # Before the rules of form: a pattern may well admit letters that only look like others.
            if (why := deceptive(value)) is not None:
                raise self._refusal(f"the {name} {why}", "names are plain, visible text.")
            if (rule := rules.rule(name).refuses(value)) is not None:
                raise self._refusal(f"the {name} {value!r} is not allowed", f"{name}: {rule}.")
            values[name] = value
        try:
            return x509.Name([x509.NameAttribute(oid, values[name]) for name, oid in ATTRIBUTES.items() if name in values])
        except ValueError as fault:
            raise self._refusal(f"a name cannot be certified: {fault}", "names keep to the lengths of RFC 5280 appendix A.") from None

    def alternative_name(self, names: Names) -> x509.SubjectAlternativeName | None:
        """The subjectAltName: the one URI by which services know the holder, and a service's addresses."""
        begins = self._profile.uri
        if names.uri is None and begins is not None:
            raise self._refusal("the request names no SAN URI", f"the holder is named by one SAN URI, {begins}….")
        if names.uri is not None and (
            begins is None or not names.uri.startswith(begins) or not _URI_TAIL.fullmatch(names.uri.removeprefix(begins))
        ):
            raise self._refusal(f"the SAN URI {names.uri} is not allowed", f"SAN URI: {begins + '…' if begins else 'none'}.")
        if (names.dns or names.addresses) and not self._profile.addresses:
            raise self._refusal("the request names hosts", "no DNS names or IP addresses are certified.")
        for host in names.dns:
            if not _DNS_NAME.fullmatch(host):
                raise self._refusal(f"{host} is not a host name", "DNS names are lower-case host names without wildcards.")
        general: list[x509.GeneralName] = [x509.UniformResourceIdentifier(names.uri)] if names.uri else []
        general += [x509.DNSName(host) for host in names.dns]
        general += [x509.IPAddress(address) for address in names.addresses]
        return x509.SubjectAlternativeName(general) if general else None


def _office(parent: Parent, wanted: tuple[AttributeName, ...]) -> Mapping[AttributeName, str]:
    """The office's attributes, as the issuer's own certificate states them; one that it lacks is left out."""
    found: dict[AttributeName, str] = {}
    for name in wanted:
        values = parent.certificate.subject.get_attributes_for_oid(ATTRIBUTES[name]) if parent.certificate else []
        if values:
            found[name] = str(values[0].value)
    return found


def _extensions(
    profile: Profile, request: CertificateRequest, parent: Parent, san: x509.SubjectAlternativeName | None
) -> list[tuple[x509.ExtensionType, bool]]:
    """All extensions, with their criticality."""
    subject_key = x509.SubjectKeyIdentifier.from_public_key(request.public_key)
    result: list[tuple[x509.ExtensionType, bool]] = []
    if profile.authority is not None:
        result.append((x509.BasicConstraints(ca=True, path_length=profile.authority.path_length), True))
    result.append((x509.KeyUsage(**{name: name in profile.key_usage for name in KEY_USAGE_NAMES}), True))
    if profile.extended_key_usage:
        purposes = x509.ExtendedKeyUsage([ObjectIdentifier(oid) for oid in profile.extended_key_usage])
        result.append((purposes, profile.extended_key_usage_critical))
    if profile.ocsp_no_check:
        result.append((x509.OCSPNoCheck(), False))
    if profile.policies:
        policies = [x509.PolicyInformation(ObjectIdentifier(policy), profile.qualifiers) for policy in profile.policies]
        result.append((x509.CertificatePolicies(policies), False))
    if (statements := profile.qc.extension()) is not None:
        result.append((statements, False))
    if san is not None:
        result.append((san, False))
    result.append((subject_key, False))
    if parent.certificate is None:
        result.append((x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(subject_key), False))
        return result  # a root is trusted as it stands: it names neither CRL nor issuer
    issuer_key = parent.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    result.append((x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key), False))
    base = parent.public_url.rstrip("/")
    where = [x509.UniformResourceIdentifier(crl_url(parent))]
    result.append((x509.CRLDistributionPoints([x509.DistributionPoint(where, None, None, None)]), False))
    issuer_at = x509.UniformResourceIdentifier(f"{base}/ca/{parent.name}.cer")
    access = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, issuer_at)
    ways = [access]
    if parent.ocsp_url is not None and not profile.ocsp_no_check:  # nobody asks about a certificate that says no check is needed
        ways.insert(0, x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(parent.ocsp_url)))
    result.append((x509.AuthorityInformationAccess(ways), False))
    return result


def crl_url(parent: Parent) -> str:
    """Where an authority's CRL is fetched: in its certificates as cRLDistributionPoints, in the CRL as the same distribution point."""
    return f"{parent.public_url.rstrip('/')}/crl/{parent.name}.crl"


def der(certificate: x509.Certificate) -> bytes:
    """The certificate's DER."""
    return certificate.public_bytes(Encoding.DER)
