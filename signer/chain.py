"""Whether certificates may stand behind a seal: the profile of PROTOCOL "Profiles", and the path to the anchor given with them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, ObjectIdentifier

from sealcore.errors import Code, VermilionError

MOST_CERTIFICATES: Final = 6  # all of them go into every signature
DOCUMENT_SIGNING: Final = ObjectIdentifier("1.3.6.1.5.5.7.3.36")  # RFC 9336
_PURPOSES: Final = frozenset({DOCUMENT_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION})
_BROKEN_HASHES: Final = (hashes.MD5, hashes.SHA1)
# Critical extensions that the path's verification, or this module, understands in a seal's certificate.
_UNDERSTOOD: Final = frozenset(
    {ExtensionOID.KEY_USAGE, ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.EXTENDED_KEY_USAGE, ExtensionOID.CERTIFICATE_POLICIES}
)


def require_seal_chain(certificate: bytes, chain: Sequence[bytes], now: datetime) -> None:
    """Raises SEAL_CERTIFICATE_INVALID with the rule that certificate or chain (DER, issuing CA first, anchor last) breaks at ``now``."""
    leaf, *issuers = (x509.load_der_x509_certificate(one) for one in (certificate, *chain))
    _require_leaf(leaf)
    if len(issuers) >= MOST_CERTIFICATES:
        raise _refusal("the chain is too long", f"A seal's chain has at most {MOST_CERTIFICATES} certificates.")
    *intermediates, anchor = issuers
    if anchor.subject != anchor.issuer:
        raise _refusal("the chain does not end in a root", "A chain goes down to its anchor, a certificate that signed itself.")
    for one in (leaf, *intermediates):
        if isinstance(one.signature_hash_algorithm, _BROKEN_HASHES):
            raise _refusal("a certificate is signed over a broken hash", "Certificates are signed over SHA-256 or better.")
        if not one.not_valid_before_utc <= now <= one.not_valid_after_utc:
            raise _refusal(f"{one.subject.rfc4514_string()} is not valid now", "Every certificate of the chain is within its validity.")
    _require_path(leaf, intermediates, anchor, now)


def _require_leaf(leaf: x509.Certificate) -> None:
    try:
        extensions = leaf.extensions
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except (ValueError, x509.ExtensionNotFound):
        raise _refusal("the certificate has no keyUsage", "A seal's keyUsage is contentCommitment alone.") from None
    others = (
        usage.digital_signature, usage.key_encipherment, usage.data_encipherment, usage.key_agreement, usage.key_cert_sign, usage.crl_sign,
    )  # fmt: skip
    if not usage.content_commitment or any(others):
        raise _refusal("the certificate's keyUsage is another", "A seal's keyUsage is contentCommitment alone.")
    for extension in extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD:
            raise _refusal(
                f"the certificate has the critical extension {extension.oid.dotted_string}", "Every critical extension is understood."
            )
        if isinstance(extension.value, x509.ExtendedKeyUsage) and frozenset(extension.value) != _PURPOSES:
            raise _refusal(
                "the certificate's extendedKeyUsage is another",
                "A seal's certificate has no extendedKeyUsage, or documentSigning together with emailProtection.",
            )


def _require_path(leaf: x509.Certificate, intermediates: Sequence[x509.Certificate], anchor: x509.Certificate, now: datetime) -> None:
    """RFC 5280 §6.1 by ``cryptography``: signatures, CA bits, path lengths, name constraints, validity."""
    everything = verification.ExtensionPolicy.permit_all()
    authorities = everything.require_present(x509.BasicConstraints, verification.Criticality.AGNOSTIC, None)
    builder = verification.PolicyBuilder().store(verification.Store([anchor])).time(now).max_chain_depth(MOST_CERTIFICATES)
    verifier = builder.extension_policies(ca_policy=authorities, ee_policy=everything).build_client_verifier()
    try:
        path = verifier.verify(leaf, list(intermediates)).chain
    except verification.VerificationError as fault:
        raise _refusal(
            f"the chain does not verify: {fault}", "A chain leads from the seal's certificate to its anchor (RFC 5280 §6.1)."
        ) from None
    if list(path) != [leaf, *intermediates, anchor]:
        raise _refusal("the chain holds certificates that do not belong to it", "A chain names each issuer once, in order.")


def _refusal(reason: str, rule: str) -> VermilionError:
    return VermilionError(Code.SEAL_CERTIFICATE_INVALID, reason, rule=rule)
