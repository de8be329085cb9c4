"""Verifies our own CMS when it is read back, with a DER reader of its own: a mistake in the code that encoded it must not repeat itself here.

Narrow on purpose: it accepts the one profile that we write (docs/protocol.md, "Profiles") and nothing else. Most of a CMS is the same for all
seals of one key; once that much has been judged in full, ``known_cms`` finds it again byte for byte and looks at the rest alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from signer.pdf.readback.known_cms import Constants, KnownCms

Verify = Callable[[bytes, bytes], None]
"""Verifies a signature value over a digest; raises InvalidSignature."""

_HASHES: Final = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384()}
_HASH_OIDS: Final = {"sha256": "608648016503040201", "sha384": "608648016503040202"}
_HASH_NAMES: Final = {**{oid: name for name, oid in _HASH_OIDS.items()}, "608648016503040203": "sha512"}
_DATA, _SIGNED_DATA = "2a864886f70d010701", "2a864886f70d010702"
_CONTENT_TYPE, _MESSAGE_DIGEST = "2a864886f70d010903", "2a864886f70d010904"
_SIGNING_CERTIFICATE_V2, _SIGNATURE_TIME_STAMP = "2a864886f70d010910022f", "2a864886f70d010910020e"
_TST_INFO: Final = "2a864886f70d0109100104"
_VERSION: Final = "01"
_CURVES: Final = {"secp256r1": "p-256", "secp384r1": "p-384"}
_RSA_SHA256: Final = "06092a864886f70d01010b0500"  # with NULL (RFC 4055 §5)
_ECDSA: Final = {"sha256": "06082a8648ce3d040302", "sha384": "06082a8648ce3d040303"}  # without parameters (RFC 5758 §3.2)


class MismatchError(Exception):
    """The CMS is not what it should be; the message says how."""


class Node:
    """One DER element: tag, whole encoding, content."""

    __slots__ = ("content", "end", "tag", "whole")

    def __init__(self, data: memoryview, position: int = 0) -> None:
        try:
            self.tag, length, start = data[position], data[position + 1], position + 2
            if length & 0x80:
                count = length & 0x7F
                length, start = int.from_bytes(data[start : start + count], "big"), start + count
                # DER has one spelling (X.690 §10.1). Another one would give a reader something else
                # to hash than we did.
                if count == 0 or length < 0x80 or length < 1 << 8 * (count - 1):
                    raise MismatchError("a length is not in its shortest form")
        except IndexError:
            raise MismatchError("it is cut short") from None
        self.end = start + length
        if self.end > len(data):
            raise MismatchError("it is cut short")
        self.content = data[start : self.end]
        self.whole = data[position : self.end]

    def __iter__(self) -> Iterator[Node]:
        position = 0
        while position < len(self.content):
            child = Node(self.content, position)
            position = child.end
            yield child

    def children(self, *tags: int) -> list[Node]:
        """The children; MismatchError unless their tags are exactly these."""
        nodes = list(self)
        if [node.tag for node in nodes] != list(tags):
            raise MismatchError("it is built in another way than expected")
        return nodes

    @property
    def hex(self) -> str:
        """The content in hexadecimal, which is how object identifiers are compared here."""
        return self.content.hex()


def check_cms(contents: bytes, digest: bytes, hash_name: str, expected_spki_sha256: bytes, known: KnownCms) -> None:
    """Raises ``MismatchError`` unless ``contents`` (the hole: CMS, then zeros) is our signature over ``digest`` with a timestamp.

    known  gets what is the same in all seals of this key
    """
    try:
        known.remember(expected_spki_sha256, hash_name, _check(contents, digest, hash_name, expected_spki_sha256))
    except (ValueError, TypeError, LookupError, StopIteration, UnsupportedAlgorithm, x509.InvalidVersion):  # TypeError: x509.Name's
        raise MismatchError("it is malformed") from None


def _check(contents: bytes, digest: bytes, hash_name: str, expected_spki_sha256: bytes) -> Constants:
    """Verifies every part, and returns the parts that are the same in all seals of this key."""
    whole = Node(memoryview(contents))
    if any(contents[whole.end :]):
        raise MismatchError("something follows it in the hole")
    _require(whole.tag == 0x30, "it is built in another way than expected")
    kind, explicit = whole.children(0x06, 0xA0)
    (signed_data,) = explicit.children(0x30)
    version, digests, content, certificates, signers = signed_data.children(0x02, 0x31, 0x30, 0xA0, 0x31)
    _require(kind.hex == _SIGNED_DATA and content.children(0x06)[0].hex == _DATA, "it is no detached signed data")
    _require(version.hex == _VERSION, "unexpected version")
    (signer,) = signers.children(0x30)
    signer_version, sid, digest_algorithm, attributes, algorithm, signature, unsigned = signer.children(
        0x02, 0x30, 0x30, 0xA0, 0x30, 0x04, 0xA1
    )
    _require(signer_version.hex == _VERSION, "unexpected version of its SignerInfo")
    _require(digest_algorithm.children(0x06)[0].hex == _HASH_OIDS[hash_name], "unexpected digest algorithm")
    _require(digests.children(0x30)[0].whole == digest_algorithm.whole, "unexpected digest algorithm")
    certificate = _certificate(certificates, sid)
    message_digest = _check_attributes(attributes, digest, certificate)
    public_key = certificate.public_key()
    spki = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    _require(hashlib.sha256(spki).digest() == expected_spki_sha256, "it is by a different key")
    verify = _verifier(public_key, algorithm, hash_name)
    # The signature is over the SET OF, not over the [0] IMPLICIT that stands in the SignerInfo
    # (RFC 5652 §5.4).
    encoded = b"\x31" + bytes(attributes.whole[1:])
    try:
        verify(bytes(signature.content), hashlib.new(hash_name, encoded).digest())
    except InvalidSignature:
        raise MismatchError("its signature is invalid") from None
    _check_timestamp(unsigned, bytes(signature.content))
    before, after = encoded.split(bytes(message_digest.whole), 1)  # split at the first: by DER's order, nothing of that form comes earlier
    key_kind, public = _key(public_key)
    return Constants(
        kind=key_kind,
        public=public,
        head=b"".join(bytes(each.whole) for each in (version, digests, content, certificates)),
        signer_head=b"".join(bytes(each.whole) for each in (signer_version, sid, digest_algorithm)),
        attributes_before=before,
        attributes_after=after,
        algorithm=bytes(algorithm.whole),
    )


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise MismatchError(reason)


def _certificate(certificates: Node, sid: Node) -> x509.Certificate:
    issuer, serial = sid.children(0x30, 0x02)
    for each in certificates:
        certificate = x509.load_der_x509_certificate(bytes(each.whole))
        same_serial = certificate.serial_number == int.from_bytes(serial.content, "big", signed=True)
        if same_serial and certificate.issuer.public_bytes() == bytes(issuer.whole):
            return certificate
    raise MismatchError("its certificate is missing")


def _attributes(holder: Node) -> dict[str, Node]:
    found: dict[str, Node] = {}
    for each in holder:
        _require(each.tag == 0x30, "an attribute is built in another way than expected")
        kind, values = each.children(0x06, 0x31)
        (value,) = list(values)
        # RFC 5652 §11: each of these attributes may be there once. Of two, readers take either.
        _require(kind.hex not in found, "an attribute is there twice")
        found[kind.hex] = value
    return found


def _check_attributes(holder: Node, digest: bytes, certificate: x509.Certificate) -> Node:
    """Checks all signed attributes; returns the value of message-digest."""
    encoded = [bytes(each.whole) for each in holder]
    _require(encoded == sorted(encoded), "its signed attributes are not in DER order")
    found = _attributes(holder)
    _require(set(found) == {_CONTENT_TYPE, _MESSAGE_DIGEST, _SIGNING_CERTIFICATE_V2}, "it has other signed attributes")
    _require(found[_CONTENT_TYPE].hex == _DATA, "unexpected content type")
    _require(bytes(found[_MESSAGE_DIGEST].content) == digest, "its digest is not the document's")
    (identifiers,) = found[_SIGNING_CERTIFICATE_V2].children(0x30)
    (identifier,) = identifiers.children(0x30)
    (certificate_hash,) = identifier.children(0x04)
    _require(bytes(certificate_hash.content) == certificate.fingerprint(hashes.SHA256()), "it names another certificate")
    return found[_MESSAGE_DIGEST]


def _key(public_key: object) -> tuple[str, bytes]:
    """Kind and encoding of a key that ``_verifier`` knows."""
    if isinstance(public_key, rsa.RSAPublicKey):
        return "rsa", public_key.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    _require(public_key.curve.name in _CURVES, "unexpected curve")
    return _CURVES[public_key.curve.name], public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _verifier(public_key: object, algorithm: Node, hash_name: str) -> Verify:
    """A function that verifies a signature value over a digest with this key, or raises InvalidSignature."""
    prehashed = Prehashed(_HASHES[hash_name])
    if isinstance(public_key, rsa.RSAPublicKey) and algorithm.hex == _RSA_SHA256 and hash_name == "sha256":
        padded = padding.PKCS1v15()
        return lambda signature, signed: public_key.verify(signature, signed, padded, prehashed)
    if isinstance(public_key, ec.EllipticCurvePublicKey) and algorithm.hex == _ECDSA[hash_name]:
        ecdsa = ec.ECDSA(prehashed)
        return lambda signature, signed: public_key.verify(signature, signed, ecdsa)
    raise MismatchError("unexpected signature algorithm")


def _check_timestamp(unsigned: Node, signature: bytes) -> None:
    found = _attributes(unsigned)
    _require(set(found) == {_SIGNATURE_TIME_STAMP}, "it has no timestamp")
    kind, explicit = found[_SIGNATURE_TIME_STAMP].children(0x06, 0xA0)
    _require(kind.hex == _SIGNED_DATA, "its timestamp is no signed data")
    (signed_data,) = explicit.children(0x30)
    content = list(signed_data)[2]
    content_kind, wrapped = content.children(0x06, 0xA0)
    _require(content_kind.hex == _TST_INFO, "its timestamp holds something else")
    (octets,) = wrapped.children(0x04)
    info = Node(octets.content)
    version, policy, imprint = list(info)[:3]
    shape = (info.tag, info.end, version.tag, policy.tag, imprint.tag)
    _require(shape == (0x30, len(octets.content), 0x02, 0x06, 0x30), "its timestamp is built in another way than expected")
    algorithm, value = imprint.children(0x30, 0x04)
    name = _HASH_NAMES.get(next(iter(algorithm)).hex)
    _require(name is not None, "its timestamp is over an unknown hash")
    assert name is not None
    _require(hashlib.new(name, signature).digest() == bytes(value.content), "its timestamp is over something else")
