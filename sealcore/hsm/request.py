"""PKCS#10 certificate requests (RFC 2986) signed by a key of the token, which proves that the token holds it."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from sealcore.errors import Code, VermilionError
from sealcore.hsm.algorithm import Algorithm
from sealcore.hsm.keys import TokenKey


def certificate_request(key: TokenKey, common_name: str, *, organization: str | None = None, san_uri: str | None = None) -> bytes:
    """DER of a request for this name. The CA decides what the certificate says; INVALID_ARGUMENT for a name X.509 cannot carry."""
    try:
        names = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
        if organization is not None:
            names.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
        if san_uri is not None:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(san_uri)]), critical=False)
    except ValueError as fault:
        raise VermilionError(Code.INVALID_ARGUMENT, f"the name cannot stand in a certificate: {fault}") from None
    digest = None if key.algorithm is Algorithm.ED25519 else key.algorithm.hash
    return builder.sign(key.private_key(), digest).public_bytes(Encoding.DER)
