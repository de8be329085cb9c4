"""Certificates, and chains from them to the trust anchors (RFC 5280 §6)."""

# mypy: disallow-untyped-calls=False
from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any, Final, Protocol

from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import PathBuildingError, PathValidationError, ValidationError

from sealcore import pem
from sealcore.certificate_paths import bounded
from sealcore.errors import Code, VermilionError
from sealcore.unreadable import UNREADABLE
from timestamp.client.signed import completed

MOST_FETCHED: Final = 6  # issuers of one chain, by caIssuers
TOGETHER_S: Final = 3.0  # then each looks for itself: what takes longer may be the fault of one file
_OCSP: Final = AuthorityInformationAccessOID.OCSP
_ISSUERS: Final = AuthorityInformationAccessOID.CA_ISSUERS


@dataclass(frozen=True)
class Certificate:
    """A certificate by its DER."""

    der: bytes

    @cached_property
    def parsed(self) -> x509.Certificate:
        """As ``cryptography`` reads it; SIGNATURE_UNTRUSTED where it cannot."""
        try:
            return x509.load_der_x509_certificate(self.der)
        except ValueError:
            raise VermilionError(Code.SIGNATURE_UNTRUSTED, "a certificate is no X.509 certificate in DER") from None

    @cached_property
    def asn1(self) -> asn1.Certificate:
        """As the path validator reads it."""
        return asn1.Certificate.load(self.der)

    @cached_property
    def name(self) -> str:
        """For people: its common name, or all of its subject."""
        subject = self.parsed.subject
        common = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(common[0].value) if common else subject.rfc4514_string()

    @cached_property
    def ocsp_urls(self) -> tuple[str, ...]:
        """Where its issuer's OCSP responders are (RFC 5280 §4.2.2.1)."""
        return tuple(self._access(_OCSP))

    @cached_property
    def issuer_urls(self) -> tuple[str, ...]:
        """Where its issuer's certificate is (RFC 5280 §4.2.2.1)."""
        return tuple(self._access(_ISSUERS))

    @cached_property
    def crl_urls(self) -> tuple[str, ...]:
        """Where its issuer's CRLs are, those of other CRL issuers and of single reasons left out (RFC 5280 §4.2.1.13)."""
        points = self.extension(x509.CRLDistributionPoints) or ()
        whole = [point for point in points if point.full_name and not point.crl_issuer and not point.reasons]
        return tuple(name.value for point in whole for name in point.full_name if isinstance(name, x509.UniformResourceIdentifier))

    def extension(self, kind: type[x509.ExtensionType]) -> Any:
        """The value of an extension; None where there is none or it cannot be read."""
        try:
            return self.parsed.extensions.get_extension_for_class(kind).value
        except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
            return None

    def _access(self, method: x509.ObjectIdentifier) -> Iterable[str]:
        for description in self.extension(x509.AuthorityInformationAccess) or ():
            location = description.access_location
            if description.access_method == method and isinstance(location, x509.UniformResourceIdentifier):
                yield location.value


@lru_cache(maxsize=1024)
def certificate(der: bytes) -> Certificate:
    """The same object for the same certificate, so that each is read once a run."""
    return Certificate(der)


Chain = tuple[Certificate, ...]  # the leaf first, the anchor last


class NoPathError(Exception):
    """No path leads from a certificate to an anchor over the certificates that are there; the message says what is missing."""


class Build(Protocol):
    """How chains are found among certificates that strangers brought."""

    def __call__(self, leaf: Certificate, others: Sequence[Certificate], anchors: Sequence[Certificate], moment: datetime) -> Chain:
        """A chain from ``leaf`` to an anchor that holds at ``moment`` (RFC 5280 §6.1); NoPathError, SIGNATURE_UNTRUSTED."""


def build(leaf: Certificate, others: Sequence[Certificate], anchors: Sequence[Certificate], moment: datetime) -> Chain:
    """The one of ``Build`` for the process in which it may take long."""
    context = ValidationContext(
        trust_roots=[each.asn1 for each in anchors],
        other_certs=[each.asn1 for each in others],
        moment=moment,
        allow_fetching=False,
        revocation_mode="soft-fail",  # revocation is judged by ``collecting``, against the time of the signature
    )
    try:
        path = completed(CertificateValidator(leaf.asn1, validation_context=bounded(context)).async_validate_usage(set()))
    except PathBuildingError as fault:
        raise NoPathError(str(fault)) from None
    except (PathValidationError, ValidationError, ValueError) as fault:
        raise _untrusted(leaf, str(fault)) from None
    return tuple(certificate(each.dump()) for each in reversed(list(path.iter_certs(include_root=True))))


class Chains:
    """Finds chains. One that was found once serves every further signature under the same certificate.

    anchors  certificates that are trusted as they are
    fetch    gives what stands at a caIssuers URL, or raises VermilionError
    """

    def __init__(self, anchors: Sequence[Certificate], fetch: Callable[[str], bytes], build: Build) -> None:
        self._anchors, self._fetch, self._build = tuple(anchors), fetch, build
        self._known: dict[bytes, Chain] = {}
        self._building: dict[bytes, threading.Lock] = {}
        self._lock = threading.Lock()

    def chain(self, leaf: Certificate, others: Iterable[Certificate], moment: datetime) -> Chain:
        """From ``leaf`` to an anchor, all of it but the anchor valid at ``moment``; SIGNATURE_UNTRUSTED, FETCH_FORBIDDEN."""
        known = self._known.get(leaf.der)
        if known is None:
            known = self._found(leaf, others, moment)
        for each in known[:-1] or known:
            if not each.parsed.not_valid_before_utc <= moment <= each.parsed.not_valid_after_utc:
                raise _untrusted(leaf, f"{each.name} was not valid on {moment:%Y-%m-%d %H:%M:%S} UTC")
        return known

    def _found(self, leaf: Certificate, others: Iterable[Certificate], moment: datetime) -> Chain:
        """Files that are worked on at once begin with the same certificates: one looks, and the others wait a little for what it finds."""
        with self._lock:
            building = self._building.setdefault(leaf.der, threading.Lock())
        is_ours = building.acquire(timeout=TOGETHER_S)
        try:
            known = self._known.get(leaf.der)
            if known is None:
                known = (leaf,) if leaf in self._anchors else self._built(leaf, list(others), moment)
                self._known[leaf.der] = known
            return known
        finally:
            if is_ours:
                building.release()

    def _built(self, leaf: Certificate, others: list[Certificate], moment: datetime) -> Chain:
        fetched: set[str] = set()
        while True:
            try:
                return self._build(leaf, others, self._anchors, moment)
            except NoPathError as fault:
                url = next((url for one in (leaf, *others) for url in one.issuer_urls if url not in fetched), None)
                if url is None or len(fetched) >= MOST_FETCHED:
                    raise _untrusted(leaf, f"no chain leads to a trust anchor ({fault})") from None
                fetched.add(url)
                others.extend(_certificates(self._fetch(url)))


def _certificates(data: bytes) -> list[Certificate]:
    """What caIssuers points to: one certificate, or a bag of them (RFC 5280 §4.2.2.1), in DER or PEM."""
    try:
        return [certificate(each.public_bytes(Encoding.DER)) for each in pem.certificates(data)]
    except pem.EncodingError as fault:
        why = str(fault)
    try:
        bag = pkcs7.load_der_pkcs7_certificates(pem.der(data, pem.PKCS7))
    except UNREADABLE:
        raise VermilionError(Code.SIGNATURE_UNTRUSTED, f"what caIssuers points to {why}") from None
    return [certificate(each.public_bytes(Encoding.DER)) for each in bag]


def _untrusted(leaf: Certificate, why: str) -> VermilionError:
    return VermilionError(Code.SIGNATURE_UNTRUSTED, f"the certificate {leaf.name!r} is not trusted: {why}")
