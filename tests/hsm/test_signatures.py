"""What a key of the token signs, others verify: cryptography and the openssl program."""

from __future__ import annotations

import hashlib
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.x509 import ocsp

from sealcore.errors import Code, VermilionError
from sealcore.hsm.request import certificate_request
from sealcore.hsm.token import Algorithm, Token, TokenKey

DATA = "the 42nd contract, 第四十二份合同".encode()
Hash = hashes.SHA256 | hashes.SHA384 | hashes.SHA512
HASHES: dict[str, Hash] = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}


def verify(key: TokenKey, signature: bytes, data: bytes) -> None:
    match key.public_key:
        case rsa.RSAPublicKey() as public:
            public.verify(signature, data, padding.PKCS1v15(), HASHES[key.algorithm.hash_name])
        case ec.EllipticCurvePublicKey() as public:
            public.verify(signature, data, ec.ECDSA(HASHES[key.algorithm.hash_name]))
        case ed25519.Ed25519PublicKey() as public:
            public.verify(signature, data)


def openssl_verifies(key: TokenKey, signature: bytes, data: bytes, folder: Path) -> bool:
    (folder / "data").write_bytes(data)
    (folder / "signature").write_bytes(signature)
    (folder / "public.pem").write_bytes(
        key.public_key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    if key.algorithm is Algorithm.ED25519:
        command = "openssl pkeyutl -verify -rawin -pubin -inkey public.pem -in data -sigfile signature"
    else:
        command = f"openssl dgst -{key.algorithm.hash_name} -verify public.pem -signature signature data"
    return subprocess.run(command.split(), cwd=folder, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_signature_verifies_and_one_over_other_data_does_not(token: Token, algorithm: Algorithm, tmp_path: Path) -> None:
    key = token.generate("key", algorithm)
    assert (key.algorithm, key.extractable, key.sensitive) == (algorithm, False, True)
    assert key.spki_sha256 == hashlib.sha256(key.spki_der).digest()
    signature = key.sign(DATA)
    verify(key, signature, DATA)
    assert openssl_verifies(key, signature, DATA, tmp_path)
    with pytest.raises(InvalidSignature):
        verify(key, signature, DATA + b".")
    assert not openssl_verifies(key, signature, DATA + b".", tmp_path)


@pytest.mark.parametrize("algorithm", [Algorithm.RSA_2048, Algorithm.P256, Algorithm.P384])
def test_signing_a_digest_is_signing_the_data(token: Token, algorithm: Algorithm) -> None:
    key = token.generate("key", algorithm)
    verify(key, key.sign_digest(hashlib.new(algorithm.hash_name, DATA).digest()), DATA)
    for wrong in (b"", b"x" * 20, b"x" * 64):
        with pytest.raises(VermilionError) as refused:
            key.sign_digest(wrong)
        assert refused.value.code is Code.INVALID_ARGUMENT


def test_ed25519_signs_no_digest(token: Token) -> None:
    key = token.generate("key", Algorithm.ED25519)
    with pytest.raises(VermilionError) as refused:
        key.sign_digest(hashlib.sha256(DATA).digest())
    assert refused.value.code is Code.INVALID_ARGUMENT
    for length in (0, 1, 100_000):
        verify(key, key.sign(b"x" * length), b"x" * length)


def test_rsa_signatures_are_deterministic_and_ecdsa_signatures_are_not(token: Token) -> None:
    rsa_key, ec_key = token.generate("rsa", Algorithm.RSA_2048), token.generate("ec", Algorithm.P256)
    assert rsa_key.sign(DATA) == rsa_key.sign(DATA)
    assert ec_key.sign(DATA) != ec_key.sign(DATA)


def test_many_ecdsa_signatures_have_minimal_integers(token: Token) -> None:
    """About one r or s in 256 begins with a zero octet, which DER drops: each of these must still verify."""
    key = token.generate("key", Algorithm.P256)
    shortest = 72
    for _ in range(20_000):  # one in about 85 has an r or s of 31 octets and no padding; in so many, one is as good as certain
        signature = key.sign(DATA)
        verify(key, signature, DATA)
        shortest = min(shortest, len(signature))
        if shortest < 70:
            break
    assert shortest < 70


def test_a_key_found_again_is_the_same_key(token: Token) -> None:
    made = [token.generate(f"key.{algorithm}", algorithm) for algorithm in (Algorithm.P384, Algorithm.ED25519, Algorithm.RSA_2048)]
    assert token.keys() == sorted(made, key=lambda key: key.label)
    assert token.key("key.ed25519").spki_der == made[1].spki_der
    verify(made[1], token.key("key.ed25519").sign(DATA), DATA)


def issue(key: TokenKey, hash_of_key: Hash | None) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "root")])
    now = datetime.now(UTC).replace(microsecond=0)
    builder = x509.CertificateBuilder(name, name, key.public_key, 1, now, now + timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(key.private_key(), hash_of_key)


@pytest.mark.parametrize("algorithm", Algorithm)
def test_certificates_lists_and_ocsp_answers_are_signed_in_the_token(token: Token, algorithm: Algorithm) -> None:
    key = token.generate("key", algorithm)
    hash_of_key = None if algorithm is Algorithm.ED25519 else HASHES[algorithm.hash_name]
    certificate = issue(key, hash_of_key)
    certificate.verify_directly_issued_by(certificate)
    now = datetime.now(UTC)
    crl = x509.CertificateRevocationListBuilder(certificate.subject, now, now + timedelta(days=1)).sign(key.private_key(), hash_of_key)
    assert crl.is_signature_valid(key.public_key)
    answer = (
        ocsp.OCSPResponseBuilder()
        .add_response(certificate, certificate, hashes.SHA256(), ocsp.OCSPCertStatus.GOOD, now, None, None, None)
        .responder_id(ocsp.OCSPResponderEncoding.HASH, certificate)
        .sign(key.private_key(), hash_of_key)
    )
    verify(key, answer.signature, answer.tbs_response_bytes)


@pytest.mark.parametrize("algorithm", [Algorithm.RSA_3072, Algorithm.P256, Algorithm.P384, Algorithm.ED25519])
def test_a_certificate_request_proves_possession(token: Token, algorithm: Algorithm, tmp_path: Path) -> None:
    key = token.generate("key", algorithm)
    der = certificate_request(key, "契约章", organization="Vermilion", san_uri="https://vermilion.internal/service/signer")
    request = x509.load_der_x509_csr(der)
    assert request.is_signature_valid
    assert request.subject.rfc4514_string() == "CN=契约章,O=Vermilion"
    (tmp_path / "request.der").write_bytes(der)
    checked = subprocess.run(
        ["openssl", "req", "-verify", "-noout", "-inform", "DER", "-in", tmp_path / "request.der"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("name", ["", "x" * 65])
def test_a_name_that_no_certificate_can_carry_is_refused(token: Token, name: str) -> None:
    with pytest.raises(VermilionError) as refused:
        certificate_request(token.generate("key", Algorithm.P256), name)
    assert refused.value.code is Code.INVALID_ARGUMENT


def test_a_longer_hash_is_cut_to_the_order_of_the_curve(token: Token) -> None:
    key = token.generate("key", Algorithm.P256)
    private, public = key.private_key(), key.public_key
    assert isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(public, ec.EllipticCurvePublicKey)
    signature = private.sign(DATA, ec.ECDSA(hashes.SHA384()))
    public.verify(signature, DATA, ec.ECDSA(hashes.SHA384()))
    prehashed = private.sign(hashlib.sha512(DATA).digest(), ec.ECDSA(utils.Prehashed(hashes.SHA512())))
    public.verify(prehashed, DATA, ec.ECDSA(hashes.SHA512()))


def test_private_keys_of_the_token_do_nothing_but_sign(token: Token) -> None:
    rsa_key = token.generate("rsa", Algorithm.RSA_2048).private_key()
    ec_key = token.generate("ec", Algorithm.P256).private_key()
    assert isinstance(rsa_key, rsa.RSAPrivateKey) and isinstance(ec_key, ec.EllipticCurvePrivateKey)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    for attempt, code in (
        (rsa_key.private_numbers, Code.PERMISSION_DENIED),
        (lambda: rsa_key.decrypt(b"x" * 256, padding.PKCS1v15()), Code.PERMISSION_DENIED),
        (lambda: ec_key.exchange(ec.ECDH(), ec_key.public_key()), Code.PERMISSION_DENIED),
        (
            lambda: ec_key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
            Code.PERMISSION_DENIED,
        ),
        (lambda: rsa_key.sign(DATA, pss, hashes.SHA256()), Code.INVALID_ARGUMENT),
        (lambda: rsa_key.sign(DATA, padding.PKCS1v15(), hashes.SHA1()), Code.INVALID_ARGUMENT),
    ):
        with pytest.raises(VermilionError) as refused:
            attempt()
        assert refused.value.code is code
