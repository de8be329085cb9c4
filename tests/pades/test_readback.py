"""Reading back finds every fault that a writer, a key or a damaged document could have left."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealcore.errors import Code, VermilionError
from signer.pdf.fill import fill
from signer.pdf.full.prepare import prepare
from signer.pdf.plan import Prepared
from signer.pdf.readback.reader import Reader
from signer.pdf.readback.signature import locate, read_back
from signer.pdf.readback.syntax import UnreadableError, parse
from tests.pades import documents
from tests.pades.kit import Seal, sign_with

DOCUMENT = documents.simple()


@pytest.fixture(scope="module")
def prepared(seal: Seal) -> Prepared:
    return prepare(DOCUMENT, seal.plan())


def check(seal: Seal, prepared: Prepared, suffix: bytes, document: bytes = DOCUMENT, **changes: object) -> None:
    expected: dict[str, object] = {
        "document_digest": hashlib.sha256(document),
        "field_name": prepared.field_name,
        "expected_spki_sha256": seal.spki_sha256,
        "expected_digest": prepared.digest,
        "hash_name": "sha256",
        **changes,
    }
    read_back(document, suffix, **expected)  # type: ignore[arg-type]


def test_any_flipped_bit_of_the_update_is_found(seal: Seal, prepared: Prepared) -> None:
    suffix = fill(prepared, seal.cms(prepared.digest))
    check(seal, prepared, suffix)
    hole = range(prepared.hole_offset - len(DOCUMENT), prepared.byte_range[2] - len(DOCUMENT))
    chosen = random.Random(7).sample(sorted(set(range(len(suffix))) - set(hole)), 150)
    for position in chosen:
        damaged = bytearray(suffix)
        damaged[position] ^= 1
        with pytest.raises(VermilionError) as refusal:
            check(seal, prepared, bytes(damaged))
        assert refusal.value.code == Code.DOCUMENT_READBACK


def test_any_flipped_bit_of_the_signature_is_found(seal: Seal, prepared: Prepared) -> None:
    cms = seal.cms(prepared.digest)
    end_of_signed = cms.index(bytes.fromhex("2a864886f70d010910020e"))  # of what follows, only the imprint is ours to check
    for position in random.Random(8).sample(range(end_of_signed), 150):
        damaged = bytearray(cms)
        damaged[position] ^= 1
        if _in_sent_along(seal, cms, position):
            continue
        with pytest.raises(VermilionError) as refusal:
            check(seal, prepared, fill(prepared, bytes(damaged)))
        assert refusal.value.code == Code.DOCUMENT_READBACK


def _in_sent_along(seal: Seal, cms: bytes, position: int) -> bool:
    """Certificates beside the seal's own are for others to judge."""
    from cryptography.hazmat.primitives.serialization import Encoding

    issuing = seal.authority.issuing.public_bytes(Encoding.DER)
    return cms.index(issuing) <= position < cms.index(issuing) + len(issuing) or position < 60


def test_a_flipped_bit_of_the_document_is_found(seal: Seal, prepared: Prepared) -> None:
    suffix = fill(prepared, seal.cms(prepared.digest))
    damaged = DOCUMENT.replace(b"100 100 300", b"100 101 300")
    with pytest.raises(VermilionError) as refusal:
        check(seal, prepared, suffix, damaged)
    assert refusal.value.code == Code.DOCUMENT_READBACK


def test_another_key_another_digest_no_signature_are_found(seal: Seal, other_seal: Seal, prepared: Prepared) -> None:
    suffix = fill(prepared, seal.cms(prepared.digest))
    forged = other_seal.template.assemble(prepared.digest, b"\x01" * 256, seal.authority.stamp(b"\x01" * 256))
    cases: list[tuple[bytes, dict[str, Any], str]] = [
        (suffix, {"expected_spki_sha256": other_seal.spki_sha256}, "its key is another"),
        (suffix, {"expected_digest": bytes(32)}, "not those that were hashed"),
        (suffix, {"field_name": "Another"}, "does not have the seal's field"),
        (prepared.suffix, {}, "does not verify"),
        (fill(prepared, seal.cms(bytes(32))), {}, "its digest is another"),
        (fill(prepared, forged), {"expected_spki_sha256": other_seal.spki_sha256}, "its signature is invalid"),
        (fill(prepared, seal.cms(prepared.digest) + b"\x01"), {}, "something follows it"),
    ]
    for bytes_, changes, reason in cases:
        with pytest.raises(VermilionError, match=reason):
            check(seal, prepared, bytes_, **changes)


def test_a_timestamp_over_something_else_is_found(seal: Seal, prepared: Prepared) -> None:
    signature = sign_with(seal.key, seal.template.signed_attributes(prepared.digest))
    cms = seal.template.assemble(prepared.digest, signature, seal.authority.stamp(b"something else"))
    with pytest.raises(VermilionError, match="its timestamp is over something else"):
        check(seal, prepared, fill(prepared, cms))


def test_an_unsigned_attribute_of_another_tag_is_found(seal: Seal, prepared: Prepared) -> None:
    cms = bytearray(seal.cms(prepared.digest))
    at = cms.index(bytes.fromhex("060b2a864886f70d010910020e")) - 4
    assert cms[at : at + 2] == b"\x30\x82"
    cms[at] = 0x31
    with pytest.raises(VermilionError, match="an attribute is built in another way"):
        check(seal, prepared, fill(prepared, bytes(cms)))


def test_an_earlier_seal_of_ours_does_not_pass_for_the_new_one(seal: Seal) -> None:
    once = seal.seal(DOCUMENT)
    prepared = prepare(once, seal.plan())
    with pytest.raises(VermilionError, match="does not cover the whole file"):
        check(seal, prepared, fill(prepared, seal.cms(prepared.digest)), once, field_name="Vermilion-1")


@given(st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_the_small_reader_never_ends_in_a_bare_exception(tail: bytes) -> None:
    with pytest.raises(VermilionError):
        locate(b"%PDF-1.7\n" + tail, "x")


@given(st.binary(max_size=200))
@settings(max_examples=500, deadline=None)
def test_parsing_ends_in_a_value_or_says_that_there_is_none(data: bytes) -> None:
    try:
        _value, end = parse(data, 0)
    except UnreadableError:
        return
    assert 0 < end <= len(data)


def test_the_small_reader_follows_older_sections_of_every_kind(seal: Seal) -> None:
    for name in ("classic", "xref-stream", "object-streams", "linearized", "linearized-object-streams", "hybrid", "updated"):
        reader = Reader(seal.seal(documents.STRUCTURES[name]()))
        root = reader.resolve(reader.trailer["Root"])
        pages = reader.resolve(root["Pages"])
        first = reader.resolve(pages["Kids"][0])
        assert first["Type"] == "Page"
        assert reader.resolve(first["Contents"])["Length"] is not None
