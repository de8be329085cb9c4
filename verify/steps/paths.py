"""Certificate paths to our own root, at a given instant, and revocation by the CRLs that we hold.

Path building and RFC 5280 §6.1 are pyhanko-certvalidator's; trust roots are always named and nothing is ever fetched.
Revocation is read here (RFC 5280 §6.3.3 for full, direct CRLs), because for a seal with a trusted timestamp the question is
whether the certificate was revoked *then*, answered from a CRL that is current *now*.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from typing import Any, TypeVar

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.sign.ades.report import AdESIndeterminate
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.path import ValidationPath

from sealcore.certificate_paths import bounded
from sealcore.clock import why_not_current
from verify.trust import Outside, TrustMaterial

ResultT = TypeVar("ResultT")
_EXPIRED_CERTS_ON_CRL = x509.ObjectIdentifier("2.5.29.60")  # X.509 (2019) §9.5.2.8
_UNDERSTOOD_EXTENSIONS = {x509.IssuingDistributionPoint.oid, _EXPIRED_CERTS_ON_CRL}


class PathFault(StrEnum):
    """Why a path is not trusted."""

    NO_PATH = "no_path"  # leads to another root, or to none
    NOT_IN_FORCE = "not_in_force"  # outside a validity period
    PURPOSE = "purpose"  # key usage or constraints
    ALGORITHM = "algorithm"
    OTHER = "other"


class Standing(StrEnum):
    """What the CRLs say of a certificate at an instant."""

    GOOD = "good"
    REVOKED = "revoked"
    REVOKED_LATER = "revoked_later"
    UNKNOWN = "unknown"


_FAULTS = {
    AdESIndeterminate.NO_CERTIFICATE_CHAIN_FOUND: PathFault.NO_PATH,
    AdESIndeterminate.OUT_OF_BOUNDS_NO_POE: PathFault.NOT_IN_FORCE,
    AdESIndeterminate.CHAIN_CONSTRAINTS_FAILURE: PathFault.PURPOSE,
    AdESIndeterminate.CRYPTO_CONSTRAINTS_FAILURE: PathFault.ALGORITHM,
    AdESIndeterminate.CRYPTO_CONSTRAINTS_FAILURE_NO_POE: PathFault.ALGORITHM,
}


@dataclass(frozen=True)
class Revocation:
    """Standing, and where it was revoked: when, why."""

    standing: Standing
    at: datetime | None = None
    reason: str = ""


def completed(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """The result of one of pyHanko's coroutines, none of which waits for anything; also from code that runs in an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(max_workers=1) as aside:
        return aside.submit(asyncio.run, work).result()


def context(trust: TrustMaterial | Outside, moment: datetime) -> ValidationContext:
    """A validation context of one use: these roots alone, no fetching; revocation is asked separately (``revocation``)."""
    return bounded(
        ValidationContext(
            # Always named: with none given, the library would trust the machine's web roots.
            trust_roots=[_asn1(each) for each in trust.roots],
            other_certs=[_asn1(each) for each in trust.issuers],
            moment=moment,
            allow_fetching=False,
            revocation_mode="soft-fail",
            crls=[],
            ocsps=[],
        )
    )


def fault_of(problem: object, path: ValidationPath | None, trust: TrustMaterial | Outside) -> PathFault | None:
    """What is wrong with a path, from pyHanko's indication; also when it leads to our root but past our issuing CAs."""
    if problem is not None:
        return _FAULTS.get(problem, PathFault.OTHER) if isinstance(problem, AdESIndeterminate) else PathFault.OTHER
    if path is None:
        return PathFault.NO_PATH
    if isinstance(trust, Outside):
        return None  # how many CAs others have is their own affair
    ours = {each.public_bytes(Encoding.DER) for each in trust.issuers}
    chain = [each.dump() for each in path.iter_certs(include_root=True)]
    # root → one of our issuing CAs for seals and timestamps → the certificate: an infrastructure certificate of ours is no seal
    return None if len(chain) == 3 and chain[1] in ours else PathFault.NO_PATH


def revocation(path: ValidationPath, trust: TrustMaterial | Outside, *, then: datetime, now: datetime) -> Revocation:
    """The worst standing of the certificates below the root at ``then``."""
    certificates = [x509.load_der_x509_certificate(each.dump()) for each in path.iter_certs(include_root=True)]
    standings = [_standing(certificate, issuer, trust, then, now) for issuer, certificate in pairwise(certificates)]
    # Unknown before "revoked later": the latter says that the certificate was good then, which
    # nobody knows for the others.
    for worst in (Standing.REVOKED, Standing.UNKNOWN, Standing.REVOKED_LATER):
        for each in standings:
            if each.standing is worst:
                return each
    return Revocation(Standing.GOOD)


def _standing(
    certificate: x509.Certificate, issuer: x509.Certificate, trust: TrustMaterial | Outside, then: datetime, now: datetime
) -> Revocation:
    current = next((crl for crl in trust.crls_of(issuer) if _is_current(crl, now) and speaks_of(crl, certificate)), None)
    if current is None:
        return Revocation(Standing.UNKNOWN)
    entry = current.get_revoked_certificate_by_serial_number(certificate.serial_number)
    if entry is not None:
        at, reason = _revoked_since(entry)
        # ``then`` may only be a trusted time: a time that the signer chose would move every
        # revocation behind it.
        return Revocation(Standing.REVOKED if at <= then else Standing.REVOKED_LATER, at, reason)
    return Revocation(Standing.GOOD if _would_name(current, certificate) else Standing.UNKNOWN)


def _is_current(crl: x509.CertificateRevocationList, now: datetime) -> bool:
    """Whether ``crl`` is a whole and present list, and says nothing that we do not understand."""
    if crl.next_update_utc is None or why_not_current(now, made=crl.last_update_utc, ends=crl.next_update_utc) is not None:
        return False
    oids = {each.oid for each in crl.extensions}
    return x509.DeltaCRLIndicator.oid not in oids and not any(
        each.critical and each.oid not in _UNDERSTOOD_EXTENSIONS for each in crl.extensions
    )


def speaks_of(crl: x509.CertificateRevocationList, certificate: x509.Certificate) -> bool:
    """Whether the certificate is one of those that the list is for (RFC 5280 §6.3.3 (b))."""
    try:
        scope = crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint).value
    except x509.ExtensionNotFound:
        return True  # its issuer's whole list
    if scope.indirect_crl or scope.only_some_reasons or scope.only_contains_attribute_certs or scope.relative_name:
        return False
    if (scope.only_contains_user_certs and _is_authority(certificate)) or (scope.only_contains_ca_certs and not _is_authority(certificate)):
        return False
    # A CA may divide its list among distribution points: silence of one says nothing about the
    # certificates of another.
    return scope.full_name is None or not set(scope.full_name).isdisjoint(_distribution_points(certificate))


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _distribution_points(certificate: x509.Certificate) -> set[x509.GeneralName]:
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except x509.ExtensionNotFound:
        return set()
    return {name for point in points for name in point.full_name or ()}


def _would_name(crl: x509.CertificateRevocationList, certificate: x509.Certificate) -> bool:
    """Whether silence means "not revoked": a CRL may drop what has expired (RFC 5280 §5) unless it says that it keeps it."""
    keeps_expired = any(each.oid == _EXPIRED_CERTS_ON_CRL for each in crl.extensions)
    return keeps_expired or crl.last_update_utc <= certificate.not_valid_after_utc


def _revoked_since(entry: x509.RevokedCertificate) -> tuple[datetime, str]:
    """When the certificate stopped counting: the invalidity date when that is earlier (RFC 5280 §5.3.2)."""
    at, reason = entry.revocation_date_utc, ""
    for extension in entry.extensions:
        if isinstance(extension.value, x509.InvalidityDate):
            at = min(at, extension.value.invalidity_date_utc)
        elif isinstance(extension.value, x509.CRLReason):
            reason = extension.value.reason.value
    return at, reason


def _asn1(certificate: x509.Certificate) -> asn1_x509.Certificate:
    return asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))
