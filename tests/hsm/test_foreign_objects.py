"""Objects in the token that are not ours: each is listed as what it is, and spoils nothing of ours. Made by python-pkcs11, in SoftHSM."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkcs11 import Attribute, CertificateType, KeyType, ObjectClass
from pkcs11.attributes import AttributeMapper

from hsm_config.inventory import load
from hsm_config.keygen import verify
from sealcore.errors import Code, VermilionError
from sealcore.hsm.token import Algorithm, Token
from sealcore.platform.config import TokenSettings

OURS = "seal.contract.1"
P256 = bytes.fromhex("06082a8648ce3d030107")
SECP256K1 = bytes.fromhex("06052b8104000a")
P521 = bytes.fromhex("06052b81040023")
X25519 = bytes.fromhex("06032b656e")


@contextmanager
def writing(token: Token, mapper: AttributeMapper | None = None) -> Iterator[Any]:
    """A read-write session of the test's own on the open token."""
    opened = token._pool._token
    assert opened is not None
    session = opened.open(rw=True, attribute_mapper=mapper)
    try:
        yield session
    finally:
        session.close()


def point(curve: ec.EllipticCurve) -> bytes:
    key = ec.generate_private_key(curve).public_key()
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def octets(content: bytes) -> bytes:
    size = bytes([len(content)]) if len(content) < 128 else bytes([0x81, len(content)])
    return b"\x04" + size + content


def pair(session: Any, label: Any, key_type: KeyType, public: dict[Attribute, Any], private: dict[Attribute, Any], **rest: Any) -> None:
    """Both halves as a foreign program may have put them there; what is left out, the token fills in."""
    shared = {Attribute.TOKEN: True, Attribute.LABEL: label, Attribute.ID: rest.get("key_id", b"foreign"), Attribute.KEY_TYPE: key_type}
    session.create_object({Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.PRIVATE: True, **shared, **private})
    if public:
        session.create_object({Attribute.CLASS: ObjectClass.PUBLIC_KEY, **shared, **public})


def elliptic(session: Any, label: Any, parameters: bytes, encoded: bytes, kind: KeyType = KeyType.EC, **rest: Any) -> None:
    private = {Attribute.EC_PARAMS: parameters, Attribute.VALUE: b"\x11" * 32}
    pair(session, label, kind, {Attribute.EC_PARAMS: parameters, Attribute.EC_POINT: encoded}, private, **rest)


def modular(session: Any, label: Any, modulus: bytes, exponent: bytes) -> None:
    private = {Attribute.MODULUS: modulus, Attribute.PUBLIC_EXPONENT: exponent, Attribute.PRIVATE_EXPONENT: b"\x03"}
    pair(session, label, KeyType.RSA, {Attribute.MODULUS: modulus, Attribute.PUBLIC_EXPONENT: exponent}, private)


def certificate(session: Any) -> None:
    session.create_object(
        {
            Attribute.CLASS: ObjectClass.CERTIFICATE,
            Attribute.CERTIFICATE_TYPE: CertificateType.X_509,
            Attribute.TOKEN: True,
            Attribute.LABEL: OURS,
            Attribute.SUBJECT: b"0\x00",
            Attribute.VALUE: b"no certificate",
        }
    )


def orphan(session: Any) -> None:
    """A public key under our label with another id."""
    session.create_object(
        {
            Attribute.CLASS: ObjectClass.PUBLIC_KEY,
            Attribute.KEY_TYPE: KeyType.EC,
            Attribute.TOKEN: True,
            Attribute.LABEL: OURS,
            Attribute.ID: b"other",
            Attribute.EC_PARAMS: P521,
            Attribute.EC_POINT: b"junk",
        }
    )


FOREIGN: dict[str, tuple[Callable[[Any], object], str | None]] = {
    "an unknown curve": (lambda s: elliptic(s, "x", SECP256K1, octets(point(ec.SECP256K1()))), "curve that the office does not use"),
    "P-521": (lambda s: elliptic(s, "x", P521, octets(point(ec.SECP521R1()))), "curve that the office does not use"),
    "X25519, as long as Ed25519": (lambda s: elliptic(s, "x", X25519, octets(b"\x09" * 32), KeyType.EC_EDWARDS), "curve that the office"),
    "a bare point": (lambda s: elliptic(s, "x", P256, point(ec.SECP256R1())), "public key that cannot be read"),
    "a point that is on no curve": (lambda s: elliptic(s, "x", P256, octets(b"\x04" + b"\x01" * 64)), "public key that cannot be read"),
    "no point": (lambda s: elliptic(s, "x", P256, b""), "cannot be read"),
    "no public half": (lambda s: pair(s, "x", KeyType.EC, {}, {Attribute.EC_PARAMS: P256, Attribute.VALUE: b"\x11"}), "public half"),
    "RSA of 1024 bits": (
        lambda s: modular(s, "x", rsa.generate_private_key(65537, 1024).public_key().public_numbers().n.to_bytes(128), b"\1\0\1"),
        "of a kind that the office does not use",
    ),
    "RSA of 16384 bits": (lambda s: modular(s, "x", b"\xff" * 2048, b"\1\0\1"), "of a kind that the office does not use"),
    "RSA with an even exponent": (lambda s: modular(s, "x", b"\xff" * 256, b"\4"), "public key that cannot be read"),
    "RSA without a modulus": (lambda s: modular(s, "x", b"", b"\1\0\1"), "cannot be read"),
    "no label": (lambda s: elliptic(s, "", SECP256K1, octets(point(ec.SECP256K1()))), "curve that the office does not use"),
    "no id": (lambda s: elliptic(s, "x", SECP256K1, octets(point(ec.SECP256K1())), key_id=b""), "curve that the office"),
    "our label, another id": (lambda s: elliptic(s, OURS, SECP256K1, octets(point(ec.SECP256K1()))), "curve that the office does not use"),
    "DSA": (
        lambda s: pair(
            s, "x", KeyType.DSA,
            {Attribute.PRIME: b"\xff" * 128, Attribute.SUBPRIME: b"\xfb" * 20, Attribute.BASE: b"\2", Attribute.VALUE: b"\4"},
            {Attribute.PRIME: b"\xff" * 128, Attribute.SUBPRIME: b"\xfb" * 20, Attribute.BASE: b"\2", Attribute.VALUE: b"\3"},
        ),
        "kind DSA",
    ),
    "a secret key": (lambda s: s.generate_key(KeyType.AES, 256, label=OURS, store=True), None),
    "data": (lambda s: s.create_object({Attribute.CLASS: ObjectClass.DATA, Attribute.TOKEN: True, Attribute.LABEL: OURS}), None),
    "a certificate": (certificate, None),
    "a public key alone": (orphan, None),
}  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_object_is_listed_as_what_it_is_and_spoils_nothing(token: Token, name: str) -> None:
    make, reason = FOREIGN[name]
    ours = token.generate(OURS, Algorithm.P256)
    with writing(token) as session:
        make(session)
    assert token.keys() == [ours] and token.key(OURS) == ours
    foreign = token.found().foreign
    assert len(foreign) == (reason is not None)
    for one in foreign:
        assert one.described.startswith("unreadable: ") and reason is not None and reason in one.described, one.described
    ours.public_key.verify(ours.sign(b"data"), b"data", ec.ECDSA(_sha256()))  # type: ignore[arg-type, call-arg]
    with pytest.raises(VermilionError) as taken:
        token.generate(OURS, Algorithm.P256)
    assert taken.value.code is Code.CONFLICT
    if reason is not None and foreign[0].label == "x":
        with pytest.raises(VermilionError) as unusable:
            token.key("x")
        assert unusable.value.code in (Code.HSM_KEY_MISSING, Code.HSM_UNAVAILABLE, Code.INVALID_ARGUMENT)
        with pytest.raises(VermilionError) as also_taken:
            token.generate("x", Algorithm.P256)
        assert also_taken.value.code is Code.CONFLICT
    other = token.generate("tsa.signer.1", Algorithm.P256)
    token.destroy("tsa.signer.1")
    left = token.found()
    assert other not in left.keys and len(left.foreign) == len(foreign)


def _sha256() -> Any:
    from cryptography.hazmat.primitives.hashes import SHA256

    return SHA256()


def test_a_label_that_is_no_text_is_shown_escaped(token: Token) -> None:
    """python-pkcs11 packs labels as text alone: this session is told to take them as bytes."""
    ours = token.generate(OURS, Algorithm.P256)
    mapper = AttributeMapper()
    mapper.attribute_types[Attribute.LABEL] = (bytes, bytes)
    with writing(token, mapper) as session:
        elliptic(session, b"\xff\xfe seal", SECP256K1, octets(point(ec.SECP256K1())))
    (foreign,) = token.found().foreign
    assert token.keys() == [ours] and foreign.label == "\\xff\\xfe seal" and "not UTF-8" in foreign.described


def test_the_public_half_twice_is_one_if_both_say_the_same(token: Token) -> None:
    """A vendor's tool makes a second copy beside the certificate that it imports."""
    ours = token.generate(OURS, Algorithm.P256)
    encoded = ours.public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    half = {Attribute.CLASS: ObjectClass.PUBLIC_KEY, Attribute.KEY_TYPE: KeyType.EC, Attribute.TOKEN: True, Attribute.LABEL: OURS}
    half |= {Attribute.ID: ours.key_id, Attribute.EC_PARAMS: P256}
    with writing(token) as session:
        session.create_object({**half, Attribute.EC_POINT: octets(encoded)})
    assert token.keys() == [ours]
    with writing(token) as session:
        session.create_object({**half, Attribute.EC_POINT: octets(point(ec.SECP256R1()))})
    assert token.keys() == []
    with pytest.raises(VermilionError) as ambiguous:
        token.key(OURS)
    assert ambiguous.value.code is Code.CONFLICT


def test_the_inventorys_check_names_a_foreign_key_and_why_it_cannot_be_used(settings: TokenSettings, tmp_path: Path) -> None:
    inventory = tmp_path / "inventory.toml"
    inventory.write_text(
        '[[key]]\ntoken = "signer"\nlabel = "seal.contract.1"\nalgorithm = "p-256"\npurpose = "seal"\nrotation_days = 1\nowner = "A"\n',
        "utf-8",
    )
    with Token.open(settings) as token:
        token.generate(OURS, Algorithm.P256)
        assert [key.label for key in verify(token, "signer", load(inventory))] == [OURS]
        with writing(token) as session:
            elliptic(session, "x", SECP256K1, octets(point(ec.SECP256K1())))
        with pytest.raises(VermilionError) as refusal:
            verify(token, "signer", load(inventory))
    assert refusal.value.code is Code.CONFLICT and "x (unreadable: " in refusal.value.reason


def test_of_two_keys_with_one_label_the_certificates_is_found(token: Token) -> None:
    ours = token.generate(OURS, Algorithm.P256)
    with writing(token) as session:
        elliptic(session, OURS, P256, octets(point(ec.SECP256R1())))
    assert token.key(OURS, ours.spki_sha256) == ours
    assert len(token.keys()) == 2
    for named in (None, bytes(32)):
        with pytest.raises(VermilionError) as ambiguous:
            token.key(OURS, named)
        assert ambiguous.value.code is Code.CONFLICT
