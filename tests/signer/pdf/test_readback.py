"""Reading back finds every fault that a writer, a key or a damaged document could have left."""

from __future__ import annotations

import hashlib
import mmap
import random
import tempfile
from collections.abc import Iterator
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sealcore.errors import Code, VermilionError
from sealcore.hashes import hash_state
from signer.pdf.fill import fill
from signer.pdf.plan import Document, Prepared
from signer.pdf.prepare import prepare
from signer.pdf.readback.accounted import Accounted, account_for
from signer.pdf.readback.locate import locate
from signer.pdf.readback.quick_account import KnownLooks
from signer.pdf.readback.reader import Reader
from signer.pdf.readback.sealed import read_back
from signer.pdf.readback.syntax import UnreadableError, parse
from tests.signer.pdf import documents
from tests.signer.pdf.kit import Seal, sign_with

DOCUMENT = documents.simple()


@pytest.fixture(scope="module")
def prepared(seal: Seal) -> Prepared:
    return prepare(DOCUMENT, seal.plan())


def account(seal: Seal, prepared: Prepared, document: Document = DOCUMENT) -> Accounted:
    return account_for(document, hash_state("sha256", document), prepared, seal.plan(), KnownLooks())


def check(seal: Seal, accounted: Accounted, sealed: bytes) -> None:
    read_back(accounted, sealed, spki_sha256=seal.spki_sha256, known=seal.known_cms)


def refused(seal: Seal, accounted: Accounted, sealed: bytes) -> bool:
    try:
        check(seal, accounted, sealed)
    except VermilionError as refusal:
        assert refusal.code == Code.DOCUMENT_READBACK
        return True
    return False


@pytest.fixture(scope="module")
def accounted(seal: Seal, prepared: Prepared) -> Accounted:
    return account(seal, prepared)


@pytest.fixture(scope="module")
def sealed(seal: Seal, prepared: Prepared) -> bytes:
    return fill(prepared.suffix, prepared.hole, seal.cms(prepared.digest))


def test_any_flipped_bit_of_the_update_is_found(seal: Seal, prepared: Prepared, accounted: Accounted, sealed: bytes) -> None:
    check(seal, accounted, sealed)
    for position in {*range(len(sealed))} - {*range(accounted.hole.start + 1, accounted.hole.end - 1)}:
        damaged = bytearray(sealed)
        damaged[position] ^= 1
        with pytest.raises(VermilionError, match="not those that were accounted for") as refusal:
            check(seal, accounted, bytes(damaged))
        assert refusal.value.code == Code.DOCUMENT_READBACK


def test_an_update_that_is_cut_short_or_goes_on_is_found(seal: Seal, accounted: Accounted, sealed: bytes) -> None:
    """A torn buffer, or a writer that was taken over once its update was accounted for."""
    hole = accounted.hole
    for torn in (
        *(b"", sealed[:-1], sealed[: hole.end], sealed[: hole.start], sealed[1:], sealed + b"\n", sealed + sealed, b"\n" + sealed),
        *(sealed[: hole.end - 3] + sealed[hole.end - 1 :], sealed[: hole.start + 1] + b"00" + sealed[hole.start + 1 :]),
        *(bytes(len(sealed)), sealed[: len(sealed) // 2] + bytes(len(sealed) - len(sealed) // 2)),
    ):
        with pytest.raises(VermilionError, match="not those that were accounted for"):
            check(seal, accounted, torn)


def test_a_hole_holds_digits_of_one_value_and_zeros(seal: Seal, accounted: Accounted, sealed: bytes) -> None:
    start, end = accounted.hole.start + 1, accounted.hole.end - 1
    used = len(sealed[start:end].rstrip(b"0"))
    assert used < end - start - 4
    for place, odd in (
        *((start, b">"), (start + used // 2, b" "), (start + used // 2, b"\n"), (start + used // 2, b"g"), (start + 2, b"<")),
        *((start + used + 2, b"1"), (start + used + 2, b" "), (start + used + 2, b">"), (end - 1, b"1"), (end - 1, b"\0")),
        *((start + 2, b"84"), (start + 2, b"8f"), (start + 2, b"80"), (start, b"00"), (start + 3, b"3"), (start + 4, b"ffff")),
    ):
        with pytest.raises(VermilionError, match="does not verify when it is read back"):
            check(seal, accounted, sealed[:place] + odd + sealed[place + len(odd) :])


def test_any_flipped_bit_of_the_signature_is_found(seal: Seal, prepared: Prepared, accounted: Accounted) -> None:
    cms = seal.cms(prepared.digest)
    end_of_signed = cms.index(bytes.fromhex("2a864886f70d010910020e"))  # of what follows, only the imprint is ours to check
    for position in random.Random(8).sample(range(end_of_signed), 150):
        damaged = bytearray(cms)
        damaged[position] ^= 1
        if _in_sent_along(seal, cms, position):
            continue
        with pytest.raises(VermilionError) as refusal:
            check(seal, accounted, fill(prepared.suffix, prepared.hole, bytes(damaged)))
        assert refusal.value.code == Code.DOCUMENT_READBACK


def _in_sent_along(seal: Seal, cms: bytes, position: int) -> bool:
    """Certificates beside the seal's own are for others to judge."""
    from cryptography.hazmat.primitives.serialization import Encoding

    issuing = seal.authority.issuing.public_bytes(Encoding.DER)
    return cms.index(issuing) <= position < cms.index(issuing) + len(issuing) or position < 60


def test_a_flipped_bit_of_the_document_is_found(seal: Seal, prepared: Prepared) -> None:
    damaged = DOCUMENT.replace(b"100 100 300", b"100 101 300")
    with pytest.raises(VermilionError, match="not an update of this document") as refusal:
        account(seal, prepared, damaged)
    assert refusal.value.code == Code.DOCUMENT_READBACK


def test_another_key_another_digest_no_signature_are_found(
    seal: Seal, other_seal: Seal, prepared: Prepared, accounted: Accounted, sealed: bytes
) -> None:
    forged = other_seal.template.assemble(prepared.digest, b"\x01" * 256, seal.authority.stamp(b"\x01" * 256))
    cases: list[tuple[Seal, Accounted, bytes, str]] = [
        (other_seal, accounted, sealed, "it is by a different key"),
        (seal, replace(accounted, digest=bytes(32)), sealed, "its digest is not the document's"),
        (seal, replace(accounted, hash_name="sha384"), sealed, "unexpected digest algorithm"),
        (seal, accounted, prepared.suffix, "does not verify"),
        (seal, accounted, fill(prepared.suffix, prepared.hole, seal.cms(bytes(32))), "its digest is not the document's"),
        (other_seal, accounted, fill(prepared.suffix, prepared.hole, forged), "its signature is invalid"),
        (seal, accounted, fill(prepared.suffix, prepared.hole, seal.cms(prepared.digest) + b"\x01"), "something follows it"),
    ]
    for judge, told, bytes_, reason in cases:
        with pytest.raises(VermilionError, match=reason):
            check(judge, told, bytes_)


def test_what_a_writer_says_of_its_update_is_held_to_the_update(seal: Seal, prepared: Prepared) -> None:
    """A taken-over writer's digest, byte range and field name: no other digest is signed than that of the accounted bytes."""
    start, first, second, rest = prepared.byte_range
    lies = (
        replace(prepared, digest=hashlib.sha256(b"another document").digest()),
        replace(prepared, hole_offset=first - 2, byte_range=(start, first - 2, second - 2, rest + 2)),
        replace(prepared, field_name="Another"),
        replace(prepared, suffix=prepared.suffix + b"\n", byte_range=(start, first, second, rest + 1)),
    )
    for told in lies:
        with pytest.raises(VermilionError) as refusal:
            account(seal, told)
        assert refusal.value.code == Code.DOCUMENT_READBACK
    assert account(seal, prepared).digest == prepared.digest


def test_documents_may_be_mapped(seal: Seal, prepared: Prepared, sealed: bytes) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(DOCUMENT)
        file.flush()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as document:
            check(seal, account(seal, prepared, document), sealed)


def test_the_digest_is_copied_and_belongs_to_its_hash(seal: Seal, prepared: Prepared) -> None:
    state, plan = hash_state("sha256", DOCUMENT), seal.plan()
    assert account_for(DOCUMENT, state, prepared, plan, KnownLooks()).hash_name == "sha256"
    assert state.digest() == hashlib.sha256(DOCUMENT).digest()
    for other in (hash_state("sha256", DOCUMENT + b"x"), hash_state("sha384", DOCUMENT)):
        with pytest.raises(VermilionError, match="not an update of this document"):
            account_for(DOCUMENT, other, prepared, plan, KnownLooks())


def test_a_timestamp_over_something_else_is_found(seal: Seal, prepared: Prepared, accounted: Accounted) -> None:
    signature = sign_with(seal.key, seal.template.signed_attributes(prepared.digest))
    cms = seal.template.assemble(prepared.digest, signature, seal.authority.stamp(b"something else"))
    with pytest.raises(VermilionError, match="its timestamp is over something else"):
        check(seal, accounted, fill(prepared.suffix, prepared.hole, cms))


def test_an_unsigned_attribute_of_another_tag_is_found(seal: Seal, prepared: Prepared, accounted: Accounted) -> None:
    cms = bytearray(seal.cms(prepared.digest))
    at = cms.index(bytes.fromhex("060b2a864886f70d010910020e")) - 4
    assert cms[at : at + 2] == b"\x30\x82"
    cms[at] = 0x31
    with pytest.raises(VermilionError, match="an attribute is built in another way"):
        check(seal, accounted, fill(prepared.suffix, prepared.hole, bytes(cms)))


def test_an_earlier_seal_of_ours_does_not_pass_for_the_new_one(seal: Seal) -> None:
    once = seal.seal(DOCUMENT)
    prepared = prepare(once, seal.plan())
    with pytest.raises(VermilionError, match="does not cover the whole file"):
        locate(once + prepared.suffix, "Vermilion-1")
    with pytest.raises(VermilionError, match="the field has another name"):
        account(seal, replace(prepared, field_name="Vermilion-1"), once)


def harmless(seal: Seal, cms: bytes) -> Iterator[range]:
    """The parts of the CMS that others judge: the issuing CA's certificate sent along, and the timestamp but for its imprint."""
    issuing = seal.authority.issuing.public_bytes(Encoding.DER)
    at = cms.index(issuing)
    yield range(at, at + len(issuing))
    token = cms.index(bytes.fromhex("060b2a864886f70d010910020e"))
    info = cms.index(bytes.fromhex("060b2a864886f70d0109100104"), token)
    imprint = cms.index(b"\x04\x20", cms.index(bytes.fromhex("0609608648016503040201"), info))
    yield range(token, imprint)  # structure: refused where it matters, judged by verifiers where it does not
    yield range(imprint + 2 + 32, len(cms))


@given(data=st.data())
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_flipped_bit_passes_but_in_what_others_judge(
    seal: Seal, prepared: Prepared, accounted: Accounted, sealed: bytes, data: st.DataObject
) -> None:
    position, bit = data.draw(st.integers(0, len(sealed) - 1)), data.draw(st.integers(0, 7))
    damaged = bytearray(sealed)
    damaged[position] ^= 1 << bit
    start = prepared.hole_offset - len(DOCUMENT) + 1
    digits = sealed[start : start + 2 * prepared.hole_size_bytes]
    same_digit = position - start in range(len(digits)) and bytes((damaged[position],)).lower() == bytes((sealed[position],)).lower()
    cms = bytes.fromhex(digits.decode())
    of_others = any((position - start) // 2 in part for part in harmless(seal, cms[: prepared.hole_size_bytes].rstrip(b"\x00")))
    outcome = refused(seal, accounted, bytes(damaged))
    assert outcome or same_digit or of_others
    if same_digit:
        assert not outcome, "a digit in the other case is the same digit"


@given(places=st.tuples(st.integers(0, 2**20), st.integers(0, 2**20)), size=st.integers(1, 200))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_swapped_pieces_pass(seal: Seal, accounted: Accounted, sealed: bytes, places: tuple[int, int], size: int) -> None:
    first, second = sorted(place % (len(sealed) - size) for place in places)
    if second - first < size or sealed[first : first + size] == sealed[second : second + size]:
        return
    one, other = sealed[first : first + size], sealed[second : second + size]
    swapped = sealed[:first] + other + sealed[first + size : second] + one + sealed[second + size :]
    start = accounted.hole.start + 1
    cms = bytes.fromhex(sealed[start : accounted.hole.end - 1].decode())
    parts = [range(start + 2 * part.start, start + 2 * part.stop) for part in harmless(seal, cms)]
    of_others = all(any(at in part and at + size - 1 in part for part in parts) for at in (first, second))
    assert refused(seal, accounted, swapped) or of_others


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
