"""The CMS is what RFC 5652 and PAdES say, and OpenSSL verifies it."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
from asn1crypto import cms
from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives.serialization import Encoding

from sealcore.errors import VermilionError
from sealcore.hsm.algorithm import Algorithm
from signer.pdf import der
from signer.pdf.cms import SignatureTemplate
from signer.pdf.fill import fill
from signer.pdf.prepare import prepare
from tests.signer.pdf import documents
from tests.signer.pdf.kit import Authority, Seal


def test_openssl_verifies_it_against_the_root(any_seal: Seal, tmp_path: Path) -> None:
    content = b"what is sealed"
    whole = any_seal.cms(hashlib.new(any_seal.template.hash_name, content).digest())
    (tmp_path / "cms.der").write_bytes(whole)
    (tmp_path / "content").write_bytes(content)
    command: list[str | Path] = ["openssl", "cms", "-verify", "-binary", "-cades", "-inform", "DER", "-in", tmp_path / "cms.der"]
    command += ["-content", tmp_path / "content", "-CAfile", any_seal.authority.root_file, "-purpose", "any"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == content


def test_openssl_encodes_it_to_the_same_bytes(any_seal: Seal, tmp_path: Path) -> None:
    whole = any_seal.cms(bytes(any_seal.digest_size_bytes))
    (tmp_path / "cms.der").write_bytes(whole)
    command: list[str | Path] = ["openssl", "cms", "-cmsout", "-inform", "DER", "-outform", "DER", "-in", tmp_path / "cms.der"]
    assert subprocess.run(command, capture_output=True, check=True).stdout == whole, "DER throughout"


def test_its_structure_is_the_profile(any_seal: Seal) -> None:
    whole = any_seal.cms(bytes(any_seal.digest_size_bytes))
    info = cms.ContentInfo.load(whole, strict=True)
    signed = info["content"]
    (signer,) = signed["signer_infos"]
    attributes = {each["type"].native: each for each in signer["signed_attrs"]}
    assert sorted(attributes) == ["content_type", "message_digest", "signing_certificate_v2"]
    encoded = [each.dump() for each in signer["signed_attrs"]]
    assert encoded == sorted(encoded), "the order of a DER SET OF"
    assert [each["type"].native for each in signer["unsigned_attrs"]] == ["signature_time_stamp_token"]
    assert signed["encap_content_info"]["content"].native is None
    assert len(signed["certificates"]) == 2, "the seal's and the issuing CA's, without the root"
    identifier = attributes["signing_certificate_v2"]["values"][0]["certs"][0]
    assert identifier["cert_hash"].native == hashlib.sha256(any_seal.certificate.public_bytes(Encoding.DER)).digest()
    certificate = asn1_x509.Certificate.load(any_seal.certificate.public_bytes(Encoding.DER))
    assert signer["sid"].chosen["issuer"].dump() == certificate.issuer.dump()


def test_the_hole_takes_the_worst_case(any_seal: Seal) -> None:
    stamp = any_seal.authority.stamp(b"")
    hole = any_seal.template.largest_bytes(len(stamp))
    assert hole % 1024 == 0
    for _ in range(20):
        assert hole - 1024 < len(any_seal.cms(bytes(any_seal.digest_size_bytes))) <= hole


def test_a_digest_of_another_hash_is_refused(seal: Seal) -> None:
    with pytest.raises(VermilionError, match="32 bytes"):
        seal.template.signed_attributes(bytes(48))


def test_an_ed25519_key_seals_no_document(authority: Authority, seal: Seal) -> None:
    with pytest.raises(VermilionError, match="RSA or ECDSA"):
        SignatureTemplate(seal.certificate, [authority.issuing], Algorithm.ED25519)


def test_a_cms_that_does_not_fit_is_never_cut(seal: Seal) -> None:
    prepared = prepare(documents.simple(), seal.plan(hole_size_bytes=512))
    with pytest.raises(VermilionError, match="the hole 512"):
        fill(prepared.suffix, prepared.hole, seal.cms(prepared.digest))


@pytest.mark.parametrize(
    ("value", "encoded"), [(0, "020100"), (127, "02017f"), (128, "02020080"), (256, "02020100"), (-1, "0201ff"), (-129, "0202ff7f")]
)
def test_integers_are_in_shortest_form(value: int, encoded: str) -> None:
    if value >= 0:
        assert der.integer(value).hex() == encoded
    else:
        assert int.from_bytes(der.integer(value)[2:], "big", signed=True) == value


@pytest.mark.parametrize("length", [0, 127, 128, 255, 256, 65535, 65536])
def test_lengths_are_in_shortest_form(length: int) -> None:
    from asn1crypto import core

    content = bytes(length)
    assert der.tlv(der.OCTET_STRING, content) == core.OctetString(content).dump()


def test_object_identifiers_are_encoded_as_x690_says() -> None:
    from asn1crypto import core

    for dotted in ("1.2.840.113549.1.9.16.2.47", "2.16.840.1.101.3.4.2.1", "0.9.2342.19200300.100.1.25", "2.999.1"):
        assert der.object_identifier(dotted) == core.ObjectIdentifier(dotted).dump()
