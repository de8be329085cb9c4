"""What is asked for: a PKCS#10 request (RFC 2986), its proof of possession, and the names it is to be for."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ca.issuance.profiles import ATTRIBUTES, AttributeName
from ca.issuance.weak_keys import weakness
from sealcore.errors import Code, VermilionError
from sealcore.hsm.algorithm import Algorithm, algorithm_of
from sealcore.unreadable import UNREADABLE

REQUEST_LIMIT_BYTES: Final = 16 * 1024  # an RSA-4096 request with many names has under 4 kB
_BY_OID: Final = {oid: name for name, oid in ATTRIBUTES.items()}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Names:
    """What a subjectAltName is to hold."""

    uri: str | None = None
    dns: tuple[str, ...] = ()
    addresses: tuple[Address, ...] = ()


@dataclass(frozen=True)
class CertificateRequest:
    """A request whose proof of possession has been checked. No profile has judged it yet.

    attributes  of the subject, one value each
    """

    public_key: CertificateIssuerPublicKeyTypes
    algorithm: Algorithm
    attributes: Mapping[AttributeName, str]
    names: Names = field(default_factory=Names)

    @property
    def spki_der(self) -> bytes:
        """The SubjectPublicKeyInfo."""
        return self.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def read(der: bytes, *, uri: str = "", dns: Sequence[str] = (), addresses: Sequence[str] = ()) -> CertificateRequest:
    """Reads a PKCS#10 request, to be issued for the given names or, where none are given, for those that it asks for.

    Raises INVALID_ARGUMENT when it cannot be read or contradicts the given names; PROFILE_VIOLATION when its key is weak
    or it is not signed by its own key.
    """
    if len(der) > REQUEST_LIMIT_BYTES:
        raise VermilionError(Code.INVALID_ARGUMENT, f"a certificate request has at most {REQUEST_LIMIT_BYTES} bytes")
    try:
        request = x509.load_der_x509_csr(der)
        _require_each_attribute_once(request)
        subject, asked = request.subject, _asked_names(request.extensions)
    except UNREADABLE:
        raise VermilionError(Code.INVALID_ARGUMENT, "the certificate request is not PKCS#10, or asks for something twice") from None
    public_key, algorithm = _checked_key(request)
    given = Names(uri or None, tuple(dns), tuple(_address(text) for text in addresses))
    if asked.uri and given.uri and asked.uri != given.uri:
        raise VermilionError(Code.INVALID_ARGUMENT, f"the request asks for {asked.uri}, but {given.uri} was named beside it")
    names = Names(
        given.uri or asked.uri,
        *((given.dns, given.addresses) if given.dns or given.addresses else (asked.dns, asked.addresses)),
    )
    return CertificateRequest(public_key, algorithm, _attributes(subject), names)


def _require_each_attribute_once(request: x509.CertificateSigningRequest) -> None:
    """ValueError for a doubled one: of two lists of extensions a reader sees the first, and another reader the last (RFC 2986 §4.1)."""
    kinds = [attribute.oid for attribute in request.attributes]
    if len(set(kinds)) < len(kinds):
        raise ValueError("an attribute stands there twice")


def _checked_key(request: x509.CertificateSigningRequest) -> tuple[CertificateIssuerPublicKeyTypes, Algorithm]:
    rule = "A key is RSA of 2048, 3072 or 4096 bits with exponent 65537, P-256 or P-384."
    try:
        public_key = request.public_key()
        algorithm = algorithm_of(public_key)
    except (*UNREADABLE, VermilionError):
        raise VermilionError(Code.PROFILE_VIOLATION, "the request's key is weak or of a kind that no profile takes", rule=rule) from None
    if (how := weakness(public_key)) is not None:
        rule = "A key whose secret can be found from its public part is certified for nobody."
        raise VermilionError(Code.PROFILE_VIOLATION, f"the request's key is weak: {how}", rule=rule)
    try:
        proven = request.is_signature_valid
    except UNREADABLE:
        proven = False
    # Without it anybody could have somebody else's key certified under a name of their own.
    if not proven:
        rule = "Proof of possession: a request is signed by its own key (RFC 2986 §3)."
        raise VermilionError(Code.PROFILE_VIOLATION, "the request is not signed by the key it names", rule=rule)
    return public_key, algorithm  # type: ignore[return-value]  # algorithm_of lets only such keys pass


def _asked_names(extensions: x509.Extensions) -> Names:
    try:
        asked = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return Names()
    uris = asked.get_values_for_type(x509.UniformResourceIdentifier)
    dns = asked.get_values_for_type(x509.DNSName)
    addresses = asked.get_values_for_type(x509.IPAddress)
    if len(uris) > 1 or len(uris) + len(dns) + len(addresses) != len(asked):
        raise VermilionError(Code.INVALID_ARGUMENT, "a request names one URI, DNS names and IP addresses, nothing else")
    networks = [address for address in addresses if not isinstance(address, Address)]
    if networks:
        raise VermilionError(Code.INVALID_ARGUMENT, "a request names addresses, not networks")
    return Names(uris[0] if uris else None, tuple(dns), tuple(address for address in addresses if isinstance(address, Address)))


def _address(text: str) -> Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise VermilionError(Code.INVALID_ARGUMENT, f"{text} is not an IP address") from None


def _attributes(subject: x509.Name) -> Mapping[AttributeName, str]:
    found: dict[AttributeName, str] = {}
    for attribute in subject:
        name = _BY_OID.get(attribute.oid)
        if name is None or name in found or not isinstance(attribute.value, str):
            raise VermilionError(
                Code.PROFILE_VIOLATION,
                f"the subject's attribute {attribute.rfc4514_attribute_name} is not one we certify, or stands there twice",
                rule=f"A subject has each of {', '.join(ATTRIBUTES)} at most once.",
            )
        found[name] = attribute.value
    return MappingProxyType(found)
