"""Certificates that have issued each other, so that ways through them are many more than they are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

FROM, UNTIL = datetime(2000, 1, 1, tzinfo=UTC), datetime(2090, 1, 1, tzinfo=UTC)


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def authority(
    subject: x509.Name, public_key: Any, issuer: x509.Name, key: Any, *extensions: x509.ExtensionType, end: datetime = UNTIL
) -> x509.Certificate:
    """A CA's certificate, with a number of its own and no key identifiers: nothing but the signature says who issued it."""
    builder = x509.CertificateBuilder(issuer, subject, public_key, x509.random_serial_number(), FROM, end)
    builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(key, SHA256())


def crowd(key: ec.EllipticCurvePrivateKey, count: int, name: str = "Crowd") -> list[x509.Certificate]:
    """Certificates of one name and key, each issued by that name and key: every one may have issued every other."""
    return [authority(named(name), key.public_key(), named(name), key) for _ in range(count)]


def net(keys: Sequence[ec.EllipticCurvePrivateKey]) -> list[x509.Certificate]:
    """Each of several CAs certified by each of the others."""
    return [
        authority(named(f"Net {below}"), keys[below].public_key(), named(f"Net {above}"), keys[above])
        for below in range(len(keys))
        for above in range(len(keys))
        if above != below
    ]


def chain(root: Any, root_name: x509.Name, length: int) -> tuple[list[x509.Certificate], ec.EllipticCurvePrivateKey]:
    """CAs below a root, one under the other, and the key of the last."""
    made: list[x509.Certificate] = []
    above, above_name = root, root_name
    for number in range(length):
        key = new_key()
        made.append(authority(named(f"Chain {number}"), key.public_key(), above_name, above))
        above, above_name = key, named(f"Chain {number}")
    return made, above


def end_entity(issuer: x509.Name, key: Any, holder: Any = None, *extensions: x509.ExtensionType) -> x509.Certificate:
    """A certificate that signs documents."""
    usage = x509.KeyUsage(True, True, False, False, False, False, False, False, False)
    builder = x509.CertificateBuilder(
        issuer, named("Somebody"), (holder or new_key()).public_key(), x509.random_serial_number(), FROM, UNTIL
    )
    for extension in (usage, *extensions):
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(key, SHA256())


def as_read(certificate: x509.Certificate) -> Any:
    return asn1.Certificate.load(certificate.public_bytes(Encoding.DER))
