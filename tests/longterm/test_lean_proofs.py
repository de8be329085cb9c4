"""The compiled core proves what the general way proves, and nothing beyond: what it does not understand, or what does not hold, it leaves."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from longterm.model import Signed
from longterm.proofs import MOST_AT_ONCE, Proof, prove, prove_lean
from longterm.reading import read
from longterm.sandbox import Sandbox
from sealcore.compiled.core import failures as core_failures
from sealcore.errors import Code, VermilionError
from sealcore.hsm.algorithm import Algorithm
from tests.longterm.world import World
from tests.signer.pdf.kit import Authority, Seal, new_key, sign_with

BEFORE, BEHIND = b"%PDF-1.7 what comes before " * 40, b" and what comes behind"
COVERED = BEFORE + BEHIND
Change = Callable[[Any], None]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def placed(contents: bytes, *, is_timestamp: bool = False, padding_bytes: int = 200) -> tuple[bytes, Signed]:
    """A document around a hole with this value."""
    padded = contents + bytes(padding_bytes)
    hole = b"<" + padded.hex().encode() + b">"
    byte_range = (0, len(BEFORE), len(BEFORE) + len(hole), len(BEHIND))
    return BEFORE + hole + BEHIND, Signed("Seal", is_timestamp, padded, byte_range)


def lean(contents: bytes, **how: Any) -> Proof | None:
    document, signed = placed(contents, **how)
    return prove_lean(document, [signed])[0]


def same(contents: bytes, **how: Any) -> None:
    """Both ways prove it, and the same of it."""
    document, signed = placed(contents, **how)
    (proven,) = prove_lean(document, [signed])
    assert proven == prove(document, signed)


def sealed(authority: Authority, algorithm: Algorithm = Algorithm.P256) -> bytes:
    seal = Seal(authority, algorithm)
    return seal.cms(hashlib.new(seal.template.hash_name, COVERED).digest())


@pytest.mark.parametrize("algorithm", [Algorithm.RSA_2048, Algorithm.P256, Algorithm.P384])
def test_our_seals_are_proven_the_same(authority: Authority, algorithm: Algorithm) -> None:
    same(sealed(authority, algorithm))


def test_document_timestamps_are_proven_the_same(authority: Authority) -> None:
    same(authority.stamp(COVERED), is_timestamp=True)


def test_signatures_and_timestamps_of_another_program_are_proven_the_same(world: World, invoice: bytes) -> None:
    document = world.signed(invoice)
    (signed,) = read(document).signed
    (proven,) = prove_lean(document, [signed])
    assert proven is not None and proven.tokens
    assert proven == prove(document, signed)


def test_no_bit_can_be_changed_that_the_general_way_would_notice(authority: Authority) -> None:
    """What both still prove is what nobody signed: versions, certificates beside the signers' own."""
    for contents, is_timestamp in ((sealed(authority), False), (authority.stamp(COVERED), True)):
        still = 0
        for at in range(0, len(contents), 2):
            changed = bytearray(contents)
            changed[at] ^= 1 << at // 2 % 8
            document, signed = placed(bytes(changed), is_timestamp=is_timestamp)
            (proven,) = prove_lean(document, [signed])
            if proven is not None:
                still += 1
                assert still % 5 or proven == prove(document, signed), at  # every fifth: the general way takes its time
        assert 0 < still < len(contents) / 4
    assert core_failures() == 0


def test_no_byte_that_is_covered_can_be_changed(authority: Authority) -> None:
    document, signed = placed(sealed(authority))
    for at in (0, len(BEFORE) - 1, signed.byte_range[2], len(document) - 1):
        changed = bytearray(document)
        changed[at] ^= 1
        assert prove_lean(bytes(changed), [signed]) == [None]
    start, first, second, rest = signed.byte_range
    for byte_range in (
        (start, first, second, rest + 1),
        (start, first, 2**63, rest),
        (start, 2**63, second, rest),
        (start, first - 1, second, rest),
    ):
        assert prove_lean(document, [Signed("Seal", False, signed.contents, byte_range)]) == [None]


# --- by somebody who has the timestamp unit's key, and breaks one rule -----------------------------------------------------------


def forged(authority: Authority, change: Change, data: bytes = COVERED) -> bytes:
    """A token whose signature verifies, over attributes that were changed before."""
    info = cms.ContentInfo.load(authority.stamp(data))
    signer = info["content"]["signer_infos"][0]
    change(info["content"])
    signer["signature"] = sign_with(authority.unit_key, signer["signed_attrs"].untag().dump(force=True))
    return bytes(info.dump(force=True))


def attribute(signed_data: Any, name: str) -> Any:
    return next(each for each in signed_data["signer_infos"][0]["signed_attrs"] if each["type"].native == name)


def _nothing(_signed_data: Any) -> None: ...


def _another_digest(signed_data: Any) -> None:
    attribute(signed_data, "message_digest")["values"] = [hashlib.sha256(b"another").digest()]


def _another_type(signed_data: Any) -> None:
    attribute(signed_data, "content_type")["values"] = ["data"]


def _another_certificate(signed_data: Any) -> None:
    named = tsp.SigningCertificateV2({"certs": [tsp.ESSCertIDv2({"cert_hash": hashlib.sha256(b"another").digest()})]})
    attribute(signed_data, "signing_certificate_v2")["values"] = [named]


def _no_certificate_named(signed_data: Any) -> None:
    attributes = signed_data["signer_infos"][0]["signed_attrs"]
    kept = [each for each in attributes if each["type"].native != "signing_certificate_v2"]
    signed_data["signer_infos"][0]["signed_attrs"] = cms.CMSAttributes(kept)


def _twice(signed_data: Any) -> None:
    signed_data["signer_infos"][0]["signed_attrs"].append(attribute(signed_data, "message_digest").copy())


def _two_values(signed_data: Any) -> None:
    attribute(signed_data, "message_digest")["values"].append(hashlib.sha256(b"another").digest())


def _two_signers(signed_data: Any) -> None:
    signed_data["signer_infos"].append(signed_data["signer_infos"][0].copy())


def _no_signer(signed_data: Any) -> None:
    signed_data["signer_infos"] = cms.SignerInfos([])


def _no_certificate(signed_data: Any) -> None:
    del signed_data["certificates"][0]


def _certificate_twice(signed_data: Any) -> None:
    signed_data["certificates"].append(signed_data["certificates"][0].copy())


def _another_info(signed_data: Any) -> None:
    info = signed_data["encap_content_info"]["content"].parsed.copy()
    info["serial_number"] = 4711
    signed_data["encap_content_info"]["content"] = core.ParsableOctetString(info.dump(force=True))


def _another_hash(signed_data: Any) -> None:
    """The digest is of SHA-256, and SHA-512 is said."""
    signed_data["signer_infos"][0]["digest_algorithm"] = algos.DigestAlgorithm({"algorithm": "sha512"})


def _rsa(signed_data: Any) -> None:
    signed_data["signer_infos"][0]["signature_algorithm"] = algos.SignedDigestAlgorithm({"algorithm": "sha256_rsa"})


def _protected_otherwise(signed_data: Any) -> None:
    said = cms.CMSAlgorithmProtection(
        {
            "digest_algorithm": algos.DigestAlgorithm({"algorithm": "sha384"}),
            "signature_algorithm": algos.SignedDigestAlgorithm({"algorithm": "sha256_ecdsa"}),
        }
    )
    added = cms.CMSAttribute({"type": "cms_algorithm_protection", "values": [said]})
    signed_data["signer_infos"][0]["signed_attrs"].append(added)


@pytest.mark.parametrize(
    "change",
    [
        _another_digest,
        _another_type,
        _another_certificate,
        _no_certificate_named,
        _twice,
        _two_values,
        _two_signers,
        _no_signer,
        _no_certificate,
        _certificate_twice,
        _another_info,
        _another_hash,
        _rsa,
        _protected_otherwise,
    ],
)
def test_a_token_that_breaks_a_rule_is_left_to_the_general_way(authority: Authority, change: Change) -> None:
    assert lean(forged(authority, _nothing), is_timestamp=True) is not None
    assert lean(forged(authority, change), is_timestamp=True) is None


def test_a_certificate_is_known_by_sha_1_where_a_token_says_nothing_else(authority: Authority) -> None:
    def by_sha1(fingerprint: bytes) -> Change:
        def change(signed_data: Any) -> None:
            named = tsp.SigningCertificate({"certs": [tsp.ESSCertID({"cert_hash": fingerprint})]})
            at = attribute(signed_data, "signing_certificate_v2")
            at["type"], at["values"] = "signing_certificate", [named]

        return change

    same(forged(authority, by_sha1(authority.unit.fingerprint(SHA1()))), is_timestamp=True)
    assert lean(forged(authority, by_sha1(hashlib.sha1(b"another").digest())), is_timestamp=True) is None


def test_the_issuer_that_a_token_names_is_the_certificates(authority: Authority) -> None:
    def naming(name: x509.Name, serial: int) -> Change:
        def change(signed_data: Any) -> None:
            known = asn1.GeneralNames([asn1.GeneralName("directory_name", asn1.Name.load(name.public_bytes()))])
            identified = tsp.ESSCertIDv2(
                {
                    "cert_hash": authority.unit.fingerprint(SHA256()),
                    "issuer_serial": tsp.IssuerSerial({"issuer": known, "serial_number": serial}),
                }
            )
            attribute(signed_data, "signing_certificate_v2")["values"] = [tsp.SigningCertificateV2({"certs": [identified]})]

        return change

    unit = authority.unit
    same(forged(authority, naming(unit.issuer, unit.serial_number)), is_timestamp=True)
    for change in (naming(unit.subject, unit.serial_number), naming(unit.issuer, unit.serial_number + 1)):
        assert lean(forged(authority, change), is_timestamp=True) is None


def test_what_stands_behind_a_signature_is_padding_and_nothing_else(authority: Authority) -> None:
    contents = sealed(authority)
    assert lean(contents, padding_bytes=0) is not None
    assert lean(contents + b"\x30\x00") is None
    assert lean(contents[:-1], padding_bytes=0) is None
    assert lean(b"") is None
    assert lean(b"\x30\x80" + contents[4:] + b"\x00\x00") is None  # of indefinite length, as BER has it


def test_a_timestamp_is_over_its_own_signature(authority: Authority) -> None:
    """A token that was made for another signature dates nothing here."""
    seal = Seal(authority, Algorithm.P256)
    digest = hashlib.sha256(COVERED).digest()
    signature = sign_with(seal.key, seal.template.signed_attributes(digest))
    assert lean(seal.template.assemble(digest, signature, authority.stamp(signature))) is not None
    assert lean(seal.template.assemble(digest, signature, authority.stamp(b"another signature's value"))) is None


def test_a_seal_is_no_document_timestamp_and_a_timestamp_is_no_seal(authority: Authority) -> None:
    assert lean(sealed(authority), is_timestamp=True) is None
    assert lean(authority.stamp(COVERED)) is None


def test_keys_that_prove_nothing_are_left(authority: Authority) -> None:
    """A signature by another key than the one that the certificate certifies."""
    seal = Seal(authority, Algorithm.P256)
    seal.key = new_key(Algorithm.P256)
    assert lean(seal.cms(hashlib.sha256(COVERED).digest())) is None


def test_the_sandbox_is_asked_about_the_rest_alone(authority: Authority, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    document, whole = placed(sealed(authority))
    asked: list[bytes] = []
    call = sandbox._server.call

    def noted(*parts: bytes) -> list[bytes]:
        asked.append(parts[0])
        return call(*parts)

    monkeypatch.setattr(sandbox._server, "call", noted)
    (proof,) = sandbox.prove(document, [whole])
    assert not asked
    odd = Signed("Odd", False, whole.contents[:-1] + b"\x01", whole.byte_range)  # padded oddly, which proves nothing against it
    assert sandbox.prove(document, [odd, whole])[1] == proof
    assert len(asked) == 1
    with pytest.raises(VermilionError) as broken:
        sandbox.prove(document[:-1] + b"!", [whole])
    assert (broken.value.code, len(asked)) == (Code.SIGNATURE_BROKEN, 2)


def test_many_signatures_are_left_to_the_sandbox(authority: Authority) -> None:
    """Each digests the whole document; there, the time that it may take is bounded."""
    document, signed = placed(sealed(authority))
    assert None not in prove_lean(document, [signed] * MOST_AT_ONCE)
    assert prove_lean(document, [signed] * (MOST_AT_ONCE + 1)) == [None] * (MOST_AT_ONCE + 1)


def test_the_certificates_told_are_those_in_the_signature(authority: Authority) -> None:
    proof = lean(sealed(authority))
    assert proof is not None
    assert [each.der for each in proof.certificates] == [authority.issuing.public_bytes(Encoding.DER)]
    assert proof.tokens[0].signer.der == authority.unit.public_bytes(Encoding.DER)
