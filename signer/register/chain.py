"""Whether certificates may stand behind a seal: the profile of docs/protocol.md, "Profiles", and the path to the anchor given with them.

First what each certificate says of itself and of the next, by named rules; then the path as a whole by a library (RFC 5280 §6.1 with path
lengths, name constraints and policies). Whatever cannot be read is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Final, TypeVar

from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, ObjectIdentifier

from sealcore.errors import Code, VermilionError
from sealcore.unreadable import UNREADABLE

MOST_CERTIFICATES: Final = 6  # all of them go into every signature
LEAST_RSA_BITS: Final = 2048
SERIAL_LIMIT: Final = 1 << 159
DOCUMENT_SIGNING: Final = ObjectIdentifier("1.3.6.1.5.5.7.3.36")  # RFC 9336
_PURPOSES: Final = frozenset({DOCUMENT_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION})
# Of a CA that limits its purposes, at least one of these; the others are older names for documents (Microsoft, Adobe).
_DOCUMENTS: Final = _PURPOSES | {ObjectIdentifier("1.3.6.1.4.1.311.10.3.12"), ObjectIdentifier("1.2.840.113583.1.1.5")}
_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512, hashes.SHA3_256, hashes.SHA3_384, hashes.SHA3_512)
_CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1, ec.BrainpoolP256R1, ec.BrainpoolP384R1, ec.BrainpoolP512R1)
# Critical extensions that the path's verification, or this module, understands.
_UNDERSTOOD: Final = frozenset(
    {ExtensionOID.KEY_USAGE, ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.EXTENDED_KEY_USAGE, ExtensionOID.CERTIFICATE_POLICIES}
)
_UNDERSTOOD_OF_CAS: Final = _UNDERSTOOD | {
    ExtensionOID.NAME_CONSTRAINTS,
    ExtensionOID.POLICY_CONSTRAINTS,
    ExtensionOID.POLICY_MAPPINGS,
    ExtensionOID.INHIBIT_ANY_POLICY,
}
ValueT = TypeVar("ValueT", bound=x509.ExtensionType)
_PATH: Final = "A chain leads from the seal's certificate to its anchor (RFC 5280 §6.1)."


def require_seal_chain(certificate: bytes, chain: Sequence[bytes], now: datetime) -> None:
    """Raises SEAL_CERTIFICATE_INVALID with the rule that certificate or chain (DER, issuing CA first, anchor last) breaks at ``now``."""
    try:
        _require(certificate, chain, now)
    except UNREADABLE as fault:
        raise _refusal(f"a certificate cannot be read: {str(fault)[:200]}", "Every certificate of the chain is X.509 (RFC 5280).") from None


def _require(certificate: bytes, chain: Sequence[bytes], now: datetime) -> None:
    if not chain:
        raise _refusal("the certificate stands alone", "A chain goes down to its anchor, a certificate that signed itself.")
    if len(chain) >= MOST_CERTIFICATES:
        raise _refusal("the chain is too long", f"A seal's chain has at most {MOST_CERTIFICATES} certificates.")
    leaf, *issuers = (x509.load_der_x509_certificate(one) for one in (certificate, *chain))
    _require_leaf(leaf)
    anchor = issuers[-1]
    if anchor.subject != anchor.issuer:
        raise _refusal("the chain does not end in a root", "A chain goes down to its anchor, a certificate that signed itself.")
    for one in issuers:
        _require_authority(one)
    for one in (leaf, *issuers):
        _require_sound(one, now, signed_by_another=one is not anchor)
    _require_different_keys((leaf, *issuers))
    _require_order((leaf, *issuers))
    _require_purposes(leaf, issuers)
    for child, parent in pairwise((leaf, *issuers)):
        _require_key_identifier(child, parent)
    # Last, since its library reports a failure in words of its own: the named rules above give
    # the reason that a person can act on.
    _require_rfc5280(certificate, chain, now)


def _require_leaf(leaf: x509.Certificate) -> None:
    if leaf.subject == leaf.issuer:
        raise _refusal("the certificate signed itself", "A seal's certificate is issued by a CA.")
    extensions = leaf.extensions
    usage = _extension(leaf, x509.KeyUsage)
    if usage is None:
        raise _refusal("the certificate has no keyUsage", "A seal's keyUsage is contentCommitment alone.")
    others = (
        usage.digital_signature, usage.key_encipherment, usage.data_encipherment, usage.key_agreement, usage.key_cert_sign, usage.crl_sign,
    )  # fmt: skip
    if not usage.content_commitment or any(others):
        raise _refusal("the certificate's keyUsage is not that of a seal", "A seal's keyUsage is contentCommitment alone.")
    constraints = _extension(leaf, x509.BasicConstraints)
    if constraints is not None and (constraints.ca or constraints.path_length is not None):
        raise _refusal("the certificate is a CA's", "A seal's certificate is no CA's (basicConstraints).")
    for extension in extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD:
            raise _refusal(
                f"the certificate has the critical extension {extension.oid.dotted_string}", "Every critical extension is understood."
            )
        if isinstance(extension.value, x509.ExtendedKeyUsage) and frozenset(extension.value) != _PURPOSES:
            raise _refusal(
                "the certificate's extendedKeyUsage is not that of a seal",
                "A seal's certificate has no extendedKeyUsage, or documentSigning together with emailProtection.",
            )


def _require_authority(issuer: x509.Certificate) -> None:
    """What RFC 5280 §4.2.1 asks of a CA's certificate, the anchor's too."""
    name = issuer.subject.rfc4514_string()
    constraints = [one for one in issuer.extensions if isinstance(one.value, x509.BasicConstraints)]
    if not constraints or not constraints[0].value.ca:
        raise _refusal(f"{name} is no CA", "Each issuer is a CA: basicConstraints with cA (RFC 5280 §4.2.1.9).")
    if not constraints[0].critical:
        raise _refusal(f"{name} is a CA by a basicConstraints that is not critical", "basicConstraints of a CA is critical (§4.2.1.9).")
    usage = _extension(issuer, x509.KeyUsage)
    if usage is None or not usage.key_cert_sign:
        raise _refusal(f"{name} may not sign certificates", "Each issuer's keyUsage has keyCertSign (RFC 5280 §4.2.1.3).")
    for extension in issuer.extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD_OF_CAS:
            reason = f"{name} has the critical extension {extension.oid.dotted_string}"
            raise _refusal(reason, "Every critical extension is understood.")


def _require_sound(certificate: x509.Certificate, now: datetime, *, signed_by_another: bool) -> None:
    """Version, validity, key and signature algorithm. An anchor's own signature proves nothing, whatever its hash."""
    name = certificate.subject.rfc4514_string()
    if certificate.version is not x509.Version.v3:
        raise _refusal(f"{name} is of version 1", "Every certificate of the chain is of version 3.")
    # A signature names its certificate by issuer and serial number (RFC 5652 §10.2.4).
    if not 0 < certificate.serial_number < SERIAL_LIMIT:
        raise _refusal(f"the serial number of {name} is none", "Serial numbers are positive, of at most 20 octets (RFC 5280 §4.1.2.2).")
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise _refusal(f"{name} is not valid now", "Every certificate of the chain is within its validity.")
    key = certificate.public_key()
    strong = (
        isinstance(key, ed25519.Ed25519PublicKey)
        or (isinstance(key, rsa.RSAPublicKey) and key.key_size >= LEAST_RSA_BITS)
        or (isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES))
    )
    if not strong:
        raise _refusal(
            f"the key of {name} is weak or of an unknown kind", "Keys are RSA of 2048 bits or more, or on a curve of 256 or more."
        )
    hashed = certificate.signature_hash_algorithm  # None where the algorithm has its own: Ed25519
    if signed_by_another and hashed is not None and not isinstance(hashed, _HASHES):
        raise _refusal(f"{name} is signed over a broken hash", "Certificates are signed over SHA-256 or better.")


def _require_different_keys(certificates: Sequence[x509.Certificate]) -> None:
    keys = [one.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for one in certificates]
    # Whoever holds the seal's key could otherwise issue certificates under the same chain.
    if keys[0] in keys[1:]:
        raise _refusal("the seal's key is an issuer's too", "A seal's key signs no certificates: each issuer has a key of its own.")
    if len(set(keys)) < len(keys):
        raise _refusal("a key stands in the chain twice", "A chain names each issuer once, in order.")


def _require_purposes(leaf: x509.Certificate, issuers: Sequence[x509.Certificate]) -> None:
    """A CA that limits its purposes does so for what it issues: as every validator of document signatures reads it."""
    own = frozenset(_extension(leaf, x509.ExtendedKeyUsage) or ())
    for issuer in issuers:
        limits = _extension(issuer, x509.ExtendedKeyUsage)
        if limits is None or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in limits:
            continue
        if not (own <= frozenset(limits) if own else frozenset(limits) & _DOCUMENTS):
            reason = f"{issuer.subject.rfc4514_string()} issues for other purposes alone"
            raise _refusal(reason, "An issuer's extendedKeyUsage, where it has one, has the seal's purposes, or one for documents.")


def _require_key_identifier(child: x509.Certificate, parent: x509.Certificate) -> None:
    """RFC 5280 §4.2.1.1: a child names the very key and certificate of its issuer, if it names any."""
    named, own = _extension(child, x509.AuthorityKeyIdentifier), _extension(parent, x509.SubjectKeyIdentifier)
    if named is None:
        return
    another_key = named.key_identifier is not None and own is not None and named.key_identifier != own.digest
    another_serial = named.authority_cert_serial_number not in (None, parent.serial_number)
    directory_names = [one.value for one in named.authority_cert_issuer or () if isinstance(one, x509.DirectoryName)]
    another_issuer = bool(directory_names) and parent.issuer not in directory_names
    if another_key or another_serial or another_issuer:
        reason = f"{child.subject.rfc4514_string()} names another key of its issuer"
        raise _refusal(reason, "authorityKeyIdentifier names the issuer's subjectKeyIdentifier (RFC 5280 §4.2.1.1).")


def _require_order(certificates: Sequence[x509.Certificate]) -> None:
    """Each is signed by the next, and no stranger stands between them."""
    for position, (child, parent) in enumerate(pairwise(certificates)):
        try:
            child.verify_directly_issued_by(parent)
        except UNREADABLE as fault:
            if parent.subject != child.issuer and any(one.subject == child.issuer for one in certificates[position + 2 :]):
                reason = "the chain holds certificates that do not belong to it"
                raise _refusal(reason, "A chain names each issuer once, in order.") from None
            reason = f"{child.subject.rfc4514_string()} is not by {parent.subject.rfc4514_string()}: {fault}"
            raise _refusal(reason.rstrip(": "), _PATH) from None


def _require_rfc5280(certificate: bytes, chain: Sequence[bytes], now: datetime) -> None:
    """RFC 5280 §6.1 whole, by ``pyhanko-certvalidator``: with policies, mappings and constraints. Revocation is asked for elsewhere."""
    # Half a second to load, and chains come a few times a year (ADR 0015).
    from pyhanko_certvalidator import ValidationContext  # noqa: PLC0415
    from pyhanko_certvalidator.authority import CertTrustAnchor  # noqa: PLC0415
    from pyhanko_certvalidator.path import ValidationPath  # noqa: PLC0415
    from pyhanko_certvalidator.validate import validate_path  # noqa: PLC0415

    load: Callable[[bytes], asn1.Certificate] = asn1.Certificate.load
    try:
        *intermediates, anchor = map(load, chain)
        # trust_roots is never left out: a bare context trusts the system's
        context = ValidationContext(trust_roots=[anchor], moment=now, allow_fetching=False, revocation_mode="soft-fail")
        path = ValidationPath(CertTrustAnchor(anchor), interm=intermediates[::-1], leaf=load(certificate))
        validate_path(context, path)
    except Exception as fault:  # noqa: BLE001  (whatever its reader stumbles over, the path was not found valid)
        raise _refusal(f"the chain does not verify: {str(fault)[:200]}", _PATH) from None


def _extension(certificate: x509.Certificate, kind: type[ValueT]) -> ValueT | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _refusal(reason: str, rule: str) -> VermilionError:
    return VermilionError(Code.SEAL_CERTIFICATE_INVALID, reason, rule=rule)
