"""The compiled CMS is the one that Python makes: the same bytes for any certificate, chain, digest, signature and token."""

from __future__ import annotations

import datetime
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from sealcore.compiled import core
from sealcore.hsm.algorithm import Algorithm
from signer.pdf.cms import SignatureTemplate

ALGORITHMS = {Algorithm.RSA_2048: "rsa", Algorithm.P256: "p-256", Algorithm.P384: "p-384"}
LENGTHS = st.one_of(st.integers(0, 300), st.sampled_from([127, 128, 255, 256, 65_535, 65_536, 70_000]))
NAMES = st.lists(
    st.tuples(
        st.sampled_from([NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.LOCALITY_NAME]),
        st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40),
    ),
    max_size=4,
)


@cache
def signer_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def certificate(issuer: list[tuple[x509.ObjectIdentifier, str]], serial: int, padding: int) -> x509.Certificate:
    key = signer_key()
    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.9"), bytes(padding))
    return (
        x509.CertificateBuilder(
            x509.Name([x509.NameAttribute(kind, text) for kind, text in issuer]),
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Seal")]),
            key.public_key(),
            serial,
            datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
            datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC),
        )
        .add_extension(extension, critical=False)
        .sign(key, hashes.SHA256())
    )


CERTIFICATES = st.builds(certificate, NAMES, st.integers(1, 2**159 - 1), st.integers(0, 1200))


def both(leaf: x509.Certificate, chain: list[x509.Certificate], algorithm: Algorithm) -> tuple[SignatureTemplate, core.SealTemplate]:
    issuing = [each.public_bytes(serialization.Encoding.DER) for each in chain if each.subject != each.issuer]
    compiled = core.SealTemplate(ALGORITHMS[algorithm], leaf.public_bytes(serialization.Encoding.DER), issuing)
    return SignatureTemplate(leaf, chain, algorithm), compiled


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    CERTIFICATES,
    st.lists(CERTIFICATES, max_size=3),
    st.sampled_from(sorted(ALGORITHMS)),
    st.tuples(LENGTHS, LENGTHS),
    st.binary(min_size=48, max_size=48),
)
def test_both_make_the_same_bytes(
    leaf: x509.Certificate, chain: list[x509.Certificate], algorithm: Algorithm, lengths: tuple[int, int], random: bytes
) -> None:
    own, compiled = both(leaf, [*chain, *chain[:1]], algorithm)
    digest = random[: 48 if algorithm is Algorithm.P384 else 32]
    signature, token = b"\x5a" * lengths[0], b"\xa5" * lengths[1]
    assert compiled.signed_attributes(digest) == own.signed_attributes(digest)
    assert compiled.assemble(digest, signature, token) == own.assemble(digest, signature, token)


def test_a_digest_of_another_hash_is_refused() -> None:
    _, compiled = both(certificate([], 1, 0), [], Algorithm.P256)
    for digest in (b"", bytes(31), bytes(48)):
        with pytest.raises(ValueError, match="another hash"):
            compiled.signed_attributes(digest)
        with pytest.raises(ValueError, match="another hash"):
            compiled.assemble(digest, b"", b"")


def test_a_certificate_that_is_cut_is_none() -> None:
    """Its frame is read strictly; what it says is for others to judge."""
    whole = certificate([(NameOID.COMMON_NAME, "Issuer")], 2**100, 200).public_bytes(serialization.Encoding.DER)
    for odd in (*(whole[:place] for place in range(len(whole))), whole + b"\x00"):
        with pytest.raises(ValueError, match=r"value|length"):
            core.SealTemplate("rsa", odd, [])


def test_no_other_key_makes_seals() -> None:
    with pytest.raises(ValueError, match="no key"):
        core.SealTemplate("ed25519", certificate([], 1, 0).public_bytes(serialization.Encoding.DER), [])
